//! What reaches them and what does not: bytes that are no text, and tags that are patterns.

use memolock::Source;
use memolock::core::PutMode;
use memolock_tests::{Case, HANG, SECOND, Style, end_of};

in_every_language!(
    the_csharp_client_reads_bytes_as_utf_8,
    a_tag_that_is_another_pattern_is_not_heard,
    a_tag_that_matches_itself_hears_others_too,
);

/// Bytes that are no UTF-8 come to a C# caller as another value, and stay what they are in the store.
async fn the_csharp_client_reads_bytes_as_utf_8(case: Case) {
    let mut peer = case.peer(60 * SECOND).await;
    let (ours, bytes) = (case.ours().await, b"a\xffb".as_slice());
    let key = ours.key("kristoff");
    ours.backend
        .put(&key, bytes.into(), 60 * SECOND, PutMode::Override)
        .await
        .unwrap();
    peer.get("kristoff", HANG).await;
    if case.style == Style::Csharp {
        peer.has("a\u{fffd}b", "hit").await;
    }
    assert_eq!(ours.backend.get(&key).await.unwrap().unwrap(), bytes);
}

/// A tag with a bracket or a backslash is a pattern that does not match its own channels: they hear nothing.
async fn a_tag_that_is_another_pattern_is_not_heard(mut case: Case) {
    for glob in ["[x]", "\\y"] {
        case.tag = memolock_testkit::unique_tag("likes") + glob;
        let (peer, ours) = (case.peer(60 * SECOND).await, case.ours().await);
        let (end, call) = ours.hold("kristoff").await;
        let mut peer = peer;
        peer.wait("kristoff", SECOND).await;
        end.send(Ok("ours".to_owned())).unwrap();
        end_of(call).await.unwrap();
        // The value is there, and it waits for its whole time-out.
        let mut peer = case.gives_up(peer).await;
        peer.get("kristoff", HANG).await;
        peer.has("ours", "hit").await;
        // We hear what they say: the names of our channels are no patterns.
        peer.hold("elsa").await;
        let call = ours.get("elsa", "ours");
        case.we_wait("elsa", 1).await;
        peer.fulfil("theirs").await;
        let memo = end_of(call).await.unwrap();
        assert_eq!((memo.as_str(), memo.source()), ("theirs", Source::Awaited));
    }
}

/// A tag with a star or a question mark matches its own channels, and those of other tags.
async fn a_tag_that_matches_itself_hears_others_too(mut case: Case) {
    let tag = memolock_testkit::unique_tag("likes");
    for (glob, other) in [("*", "other"), ("?", "o")] {
        case.tag = format!("{tag}{glob}");
        let (mut peer, ours) = (case.peer(60 * SECOND).await, case.ours().await);
        let (end, call) = ours.hold("kristoff").await;
        peer.wait("kristoff", HANG).await;
        let stranger = format!("{tag}{other}/notif:kristoff");
        case.cli(&["PUBLISH", &stranger, "not theirs"]).await;
        end.send(Ok("ours".to_owned())).unwrap();
        peer.has("ours", "awaited").await;
        end_of(call).await.unwrap();
        let heard = peer.heard_until("ours").await;
        let expected = [
            (stranger, "not theirs".to_owned()),
            (case.notif("kristoff"), "ours".to_owned()),
        ];
        assert_eq!(heard, expected);
    }
}
