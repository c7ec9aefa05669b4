//! One side computes and the other waits, is told, and finds what is stored.

use memolock::core::Layout;
use memolock::{Error, Source};
use memolock_tests::{Case, HANG, SECOND, end_of};

use crate::TEXT;

in_every_language!(
    they_hold_and_we_wait,
    we_hold_and_they_wait,
    the_empty_string_is_a_value_to_both,
    a_classic_peer_meets_the_hash_tagged_layout,
    our_failure_leaves_them_waiting_for_the_next_of_us,
    our_put_ends_their_wait,
    their_time_out_leaves_our_lease_alone,
);

async fn they_hold_and_we_wait(case: Case) {
    let (mut peer, here, elsewhere) = (
        case.peer(60 * SECOND).await,
        case.ours().await,
        case.ours().await,
    );
    peer.hold("kristoff").await;
    let calls = [&here, &elsewhere, &here].map(|ours| ours.get("kristoff", "ours"));
    case.we_wait("kristoff", 2).await;
    peer.fulfil(TEXT).await;
    for call in calls {
        let memo = end_of(call).await.unwrap();
        assert_eq!((memo.as_str(), memo.source()), (TEXT, Source::Awaited));
    }
    assert_eq!(
        (
            here.likes.stats().computes,
            elsewhere.likes.stats().computes
        ),
        (0, 0)
    );
    assert_eq!(case.stored("kristoff").await.as_deref(), Some(TEXT));
    // Their lock is theirs: it stands, or they have deleted it.
    let locked = case.holder("kristoff").await.is_some();
    assert_eq!(locked, case.style.leaves_lock());
    let memo = end_of(here.get("kristoff", "ours")).await.unwrap();
    assert_eq!((memo.as_str(), memo.source()), (TEXT, Source::Hit));
    case.we_wait("kristoff", 0).await;
}

async fn we_hold_and_they_wait(case: Case) {
    let (mut one, mut other, ours) = (
        case.peer(60 * SECOND).await,
        case.peer(60 * SECOND).await,
        case.ours().await,
    );
    let (end, call) = ours.hold("kristoff").await;
    one.wait("kristoff", HANG).await;
    other.wait("kristoff", HANG).await;
    end.send(Ok(TEXT.to_owned())).unwrap();
    for peer in [&mut one, &mut other] {
        peer.has(TEXT, "awaited").await;
        let heard = peer.heard_until(TEXT).await;
        assert_eq!(heard, [(case.notif("kristoff"), TEXT.to_owned())]);
    }
    assert_eq!(end_of(call).await.unwrap().source(), Source::Computed);
    assert_eq!(case.holder("kristoff").await, None, "we release");
    one.get("kristoff", HANG).await;
    one.has(TEXT, "hit").await;
}

async fn the_empty_string_is_a_value_to_both(case: Case) {
    let (mut peer, ours) = (case.peer(60 * SECOND).await, case.ours().await);
    peer.hold("theirs").await;
    let call = ours.get("theirs", "computed again");
    case.we_wait("theirs", 1).await;
    peer.fulfil("").await;
    let memo = end_of(call).await.unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("", Source::Awaited));
    let memo = end_of(ours.get("theirs", "computed again")).await.unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("", Source::Hit));

    let (end, call) = ours.hold("ours").await;
    peer.wait("ours", HANG).await;
    end.send(Ok(String::new())).unwrap();
    peer.has("", "awaited").await;
    assert_eq!(end_of(call).await.unwrap().as_str(), "");
    peer.get("ours", HANG).await;
    peer.has("", "hit").await;
}

/// They use the id `{kristoff}`, where ours is `kristoff`.
async fn a_classic_peer_meets_the_hash_tagged_layout(case: Case) {
    let (mut peer, ours) = (
        case.peer(60 * SECOND).await,
        case.ours_with(|builder| builder.layout(Layout::HashTagged))
            .await,
    );
    peer.hold("{kristoff}").await;
    let call = ours.get("kristoff", "ours");
    case.we_wait("{kristoff}", 1).await;
    peer.fulfil("theirs").await;
    assert_eq!(end_of(call).await.unwrap().as_str(), "theirs");
    let (end, call) = ours.hold("elsa").await;
    peer.wait("{elsa}", HANG).await;
    end.send(Ok("ours".to_owned())).unwrap();
    peer.has("ours", "awaited").await;
    end_of(call).await.unwrap();
}

async fn our_failure_leaves_them_waiting_for_the_next_of_us(case: Case) {
    let (mut peer, here, elsewhere) = (
        case.peer(60 * SECOND).await,
        case.ours().await,
        case.ours().await,
    );
    let (end, failing) = here.hold("kristoff").await;
    peer.wait("kristoff", HANG).await;
    let next = elsewhere.get("kristoff", "the next");
    case.we_wait("kristoff", 1).await;
    end.send(Err("no luck".to_owned())).unwrap();
    let error = end_of(failing).await.unwrap_err();
    assert!(matches!(error, Error::Compute(e) if e.to_string() == "no luck"));
    assert_eq!(end_of(next).await.unwrap().source(), Source::Computed);
    peer.has("the next", "awaited").await;
}

async fn our_put_ends_their_wait(case: Case) {
    let (mut peer, here, elsewhere) = (
        case.peer(60 * SECOND).await,
        case.ours().await,
        case.ours().await,
    );
    let (end, call) = here.hold("kristoff").await;
    peer.wait("kristoff", HANG).await;
    elsewhere
        .likes
        .put("kristoff", &"put".to_owned())
        .await
        .unwrap();
    peer.has("put", "awaited").await;
    // The older compute is fenced off: its caller has its value, and nobody else hears of it.
    end.send(Ok("older".to_owned())).unwrap();
    assert_eq!(end_of(call).await.unwrap().as_str(), "older");
    assert_eq!(case.stored("kristoff").await.as_deref(), Some("put"));
}

async fn their_time_out_leaves_our_lease_alone(case: Case) {
    let (mut peer, ours) = (case.peer(60 * SECOND).await, case.ours().await);
    let (end, call) = ours.hold("kristoff").await;
    let holder = case.holder("kristoff").await;
    peer.wait("kristoff", SECOND / 10).await;
    let mut peer = case.gives_up(peer).await;
    assert_eq!(case.holder("kristoff").await, holder);
    // It waits again, and is told.
    peer.wait("kristoff", HANG).await;
    end.send(Ok("ours".to_owned())).unwrap();
    peer.has("ours", "awaited").await;
    end_of(call).await.unwrap();
}
