//! Promises that another program keeps: theirs for us, ours for them.

use memolock::{Error, Source};
use memolock_tests::{Case, Event, HANG, SECOND, end_of};
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use crate::TEXT;

in_every_language!(
    they_keep_our_promise,
    they_are_faster_than_our_trigger,
    we_keep_their_promise,
    they_keep_a_promise_of_their_own_while_we_wait,
);

async fn they_keep_our_promise(case: Case) {
    let mut program = case.peer(60 * SECOND).await;
    let (ours, elsewhere) = (case.ours().await, case.ours().await);
    for (id, value) in [("kristoff", TEXT), ("elsa", "")] {
        let mut waiting = case.peer(60 * SECOND).await;
        let (triggered, seen) = oneshot::channel();
        let triggered = Mutex::new(Some(triggered));
        let trigger = || async {
            let once = triggered.lock().await.take();
            once.expect("fired once").send(()).unwrap();
            Ok::<_, String>(())
        };
        let keep = async {
            seen.await.unwrap();
            // Others wait for the same promise: of ours, and of theirs.
            let other = elsewhere.get(id, "computed");
            case.we_wait(id, 2).await;
            waiting.wait(id, HANG).await;
            program.keep(id, value).await;
            waiting.has(value, "awaited").await;
            end_of(other).await
        };
        let both = async { tokio::join!(ours.likes.entry(id).or_external(trigger), keep) };
        let (here, there) = timeout(HANG, both).await.expect("a hang");
        for memo in [here.unwrap(), there.unwrap()] {
            assert_eq!((memo.as_str(), memo.source()), (value, Source::Awaited));
        }
        assert_eq!(case.holder(id).await, None, "released when the value came");
    }
}

/// Stored and published before the trigger has even returned.
async fn they_are_faster_than_our_trigger(case: Case) {
    let program = Mutex::new(case.peer(60 * SECOND).await);
    let ours = case.ours().await;
    let trigger = || async {
        program.lock().await.keep("kristoff", TEXT).await;
        Ok::<_, String>(())
    };
    let call = ours.likes.entry("kristoff").or_external(trigger);
    let memo = timeout(HANG, call).await.expect("a hang").unwrap();
    assert_eq!(memo.as_str(), TEXT);
    // A program that cannot be started is an error of ours, and nobody's lock.
    let missing = || async { Err::<(), _>("no such program".to_owned()) };
    let failed = ours.likes.entry("elsa").or_external(missing).await;
    assert!(matches!(failed, Err(Error::Compute(_))), "{failed:?}");
    program.lock().await.hold("elsa").await;
}

async fn we_keep_their_promise(case: Case) {
    let (mut peer, ours) = (case.peer(60 * SECOND).await, case.ours().await);
    peer.external("kristoff", HANG).await;
    peer.says(&Event::Triggered).await;
    peer.says(&Event::Waiting).await;
    let resolved = ours.likes.entry("kristoff").resolve(&TEXT.to_owned()).await;
    resolved.unwrap();
    peer.has(TEXT, "awaited").await;
    assert!(
        case.holder("kristoff").await.is_some(),
        "a lock of theirs is not ours to delete"
    );
}

async fn they_keep_a_promise_of_their_own_while_we_wait(case: Case) {
    let (mut peer, mut program, ours) = (
        case.peer(60 * SECOND).await,
        case.peer(60 * SECOND).await,
        case.ours().await,
    );
    peer.external("kristoff", HANG).await;
    peer.says(&Event::Triggered).await;
    peer.says(&Event::Waiting).await;
    let call = ours.get("kristoff", "computed");
    case.we_wait("kristoff", 1).await;
    program.keep("kristoff", "kept").await;
    peer.has("kept", "awaited").await;
    let memo = end_of(call).await.unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("kept", Source::Awaited));
}
