//! One side is killed, or gives up without a word, while the other waits.

use std::process::Stdio;

use memolock::Source;
use memolock_tests::{Call, Case, Event, HANG, SECOND, Style, end_of, eventually};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

in_every_language!(
    they_crash_while_we_wait,
    they_fail_without_a_word,
    we_crash_while_they_wait,
    another_of_us_keeps_the_promise_of_one_that_crashed,
);

/// Long enough for us to be waiting before it is over, on a busy machine too.
const LOCK: std::time::Duration = std::time::Duration::from_secs(4);

async fn they_crash_while_we_wait(case: Case) {
    let (mut peer, ours) = (case.peer(LOCK).await, case.ours().await);
    // Before it is taken: the lock does not expire earlier than this.
    let expiry = case.now().await + LOCK.as_secs_f64();
    peer.hold("kristoff").await;
    // Go would renew it for centuries: see `locks`.
    if case.style == Style::Csharp {
        assert_eq!(peer.renew(LOCK.as_secs_f64()).await, Event::Renewed);
    }
    let call = ours.get("kristoff", "ours");
    case.we_wait("kristoff", 1).await;
    peer.crash().await;
    took_over(&case, call, expiry).await;
}

/// They release nothing when a compute fails: we wait as if they had crashed.
async fn they_fail_without_a_word(case: Case) {
    let (mut peer, ours) = (case.peer(LOCK).await, case.ours().await);
    // Before it is taken: the lock does not expire earlier than this.
    let expiry = case.now().await + LOCK.as_secs_f64();
    peer.hold("kristoff").await;
    let call = ours.get("kristoff", "ours");
    case.we_wait("kristoff", 1).await;
    peer.fail("no luck").await;
    took_over(&case, call, expiry).await;
    // The failed one is in good health, and finds what we have made.
    peer.get("kristoff", HANG).await;
    peer.has("ours", "hit").await;
}

/// We compute, and not before the lock has expired: nobody deletes a lock of theirs.
async fn took_over(case: &Case, call: Call, expiry: f64) {
    let memo = end_of(call).await.unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("ours", Source::Computed));
    assert!(case.now().await >= expiry, "too early");
    assert_eq!(case.holder("kristoff").await, None, "ours is released");
    let mut next = case.peer(LOCK).await;
    next.get("kristoff", HANG).await;
    next.has("ours", "hit").await;
}

/// They have only their time-out; then the lock is free for them.
async fn we_crash_while_they_wait(case: Case) {
    let (mut peer, mut holder) = (case.peer(LOCK).await, holder(&case, 2000).await);
    peer.wait("kristoff", SECOND).await;
    holder.kill().await.unwrap();
    let mut peer = case.gives_up(peer).await;
    eventually("the expiry of our lease", || async {
        case.holder("kristoff").await.is_none()
    })
    .await;
    peer.hold("kristoff").await;
    peer.fulfil("theirs").await;
    let memo = end_of(case.ours().await.get("kristoff", "ours"))
        .await
        .unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("theirs", Source::Hit));
}

async fn another_of_us_keeps_the_promise_of_one_that_crashed(case: Case) {
    let (mut peer, ours) = (case.peer(LOCK).await, case.ours().await);
    let mut holder = holder(&case, 3000).await;
    peer.wait("kristoff", HANG).await;
    let call = ours.get("kristoff", "ours");
    case.we_wait("kristoff", 1).await;
    holder.kill().await.unwrap();
    assert_eq!(end_of(call).await.unwrap().source(), Source::Computed);
    peer.has("ours", "awaited").await;
}

/// A process of ours in the middle of its compute, with a lease of so many milliseconds.
async fn holder(case: &Case, lease_ms: u32) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_holder"))
        .args([&case.adapter.to_string(), case.server.url(), &case.tag])
        .args(["kristoff", &lease_ms.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = timeout(HANG, lines.next_line()).await.expect("a hang");
    assert_eq!(said.unwrap().as_deref(), Some("computing"));
    child
}
