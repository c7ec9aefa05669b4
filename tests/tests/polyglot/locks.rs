//! What becomes of locks: left behind, renewed, outlived, deleted by whoever does not hold them.

use std::time::Duration;

use memolock::{Error, Source};
use memolock_testkit::Monitor;
use memolock_tests::{Case, Event, HANG, SECOND, Style, end_of, eventually};
use tokio::time::timeout;

in_every_language!(
    a_lock_that_they_leave_outlives_their_value,
    a_lock_that_they_leave_is_waited_out,
    a_holder_of_theirs_that_renews,
    their_renewals,
    their_values_can_stay_for_ever,
    a_slow_holder_of_theirs,
    they_are_not_fenced,
);

/// Short, for what is waited out.
const LOCK: Duration = Duration::from_secs(4);

/// Their value is gone before their lock: nobody computes while it stands, unless somebody invalidates.
async fn a_lock_that_they_leave_outlives_their_value(case: Case) {
    let mut peer = case.peer_with(60 * SECOND, SECOND / 10).await;
    let ours = case.ours().await;
    peer.hold("kristoff").await;
    peer.fulfil("theirs").await;
    expired(&case).await;
    if case.style.leaves_lock() {
        let compute = |_| async { Ok::<_, String>("ours".to_owned()) };
        let entry = ours.likes.entry("kristoff").wait_timeout(SECOND / 5);
        let error = entry.or_compute(compute).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        ours.likes.invalidate("kristoff").await.unwrap();
    }
    // At once: a lock of 60 s would outlast this test's patience.
    let memo = end_of(ours.get("kristoff", "ours")).await.unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("ours", Source::Computed));
}

async fn a_lock_that_they_leave_is_waited_out(case: Case) {
    let mut peer = case.peer_with(LOCK, SECOND / 10).await;
    let ours = case.ours().await;
    // Before it is taken: the lock does not expire earlier than this.
    let expiry = case.now().await + LOCK.as_secs_f64();
    peer.hold("kristoff").await;
    peer.fulfil("theirs").await;
    expired(&case).await;
    let memo = end_of(ours.get("kristoff", "ours")).await.unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("ours", Source::Computed));
    assert!(
        !case.style.leaves_lock() || case.now().await >= expiry,
        "too early"
    );
    assert_eq!(case.holder("kristoff").await, None, "ours is released");
}

/// A holder of theirs that renews is waited for.
async fn a_holder_of_theirs_that_renews(case: Case) {
    let (mut peer, ours) = (case.peer(LOCK).await, case.ours().await);
    // Before it is taken: the lock does not expire earlier than this.
    let expiry = case.now().await + LOCK.as_secs_f64();
    peer.hold("kristoff").await;
    let mut monitor = case.server.monitor().await.unwrap();
    let call = ours.get("kristoff", "ours");
    // Not before we have seen the lock as it is: one that is renewed by then is asked for a minute later.
    listened_and_looked(
        &mut monitor,
        &case.notif("kristoff"),
        &case.lock("kristoff"),
    )
    .await;
    assert_eq!(peer.renew(60.0).await, Event::Renewed);
    asked_again(&mut monitor, &case.lock("kristoff"), expiry).await;
    peer.fulfil("theirs").await;
    let memo = end_of(call).await.unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("theirs", Source::Awaited));
    assert_eq!(ours.likes.stats().computes, 0);
}

/// Go renews by nanoseconds in place of seconds: its lock stands for centuries, also when it is gone. C# renews by whole
/// seconds, and anything else is an error of the server.
async fn their_renewals(case: Case) {
    let (mut peer, ours) = (case.peer(LOCK).await, case.ours().await);
    peer.hold("kristoff").await;
    if case.style == Style::Csharp {
        let refused = peer.renew(1.5).await;
        assert!(matches!(refused, Event::Refused { .. }), "{refused:?}");
        assert_eq!(peer.renew(7200.0).await, Event::Renewed);
        let left = case.cli(&["TTL", &case.lock("kristoff")]).await;
        assert!((7000..=7200).contains(&left.as_int().unwrap()), "{left}");
        return;
    }
    assert_eq!(peer.renew(1.5).await, Event::Renewed);
    assert_eq!(peer.renew(20.0).await, Event::Renewed);
    peer.crash().await;
    let compute = |_| async { Ok::<_, String>("ours".to_owned()) };
    let entry = ours.likes.entry("kristoff").wait_timeout(SECOND / 5);
    let error = entry.or_compute(compute).await.unwrap_err().to_string();
    assert!(error.contains("expires only in 5555555 hours"), "{error}");
    let found = ours.likes.inspect("kristoff").await.unwrap();
    assert!(error.ends_with(&found.oddities[0]), "{:?}", found.oddities);
    ours.likes.invalidate("kristoff").await.unwrap();
    let memo = end_of(ours.get("kristoff", "ours")).await.unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("ours", Source::Computed));
}

/// Both can store without an expiry, and then the value stays.
async fn their_values_can_stay_for_ever(case: Case) {
    let mut peer = case.peer_with(60 * SECOND, Duration::ZERO).await;
    let ours = case.ours().await;
    peer.hold("kristoff").await;
    peer.fulfil("theirs").await;
    let left = case.cli(&["TTL", &format!("{}:kristoff", case.tag)]).await;
    assert_eq!(left.as_int(), Some(-1));
    let found = ours.likes.inspect("kristoff").await.unwrap();
    assert!(
        found
            .oddities
            .iter()
            .any(|odd| odd.contains("never expires"))
    );
    let memo = end_of(ours.get("kristoff", "ours")).await.unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("theirs", Source::Hit));
}

/// A holder of theirs that does not renew is overtaken, and is not fenced when it is done at last.
async fn a_slow_holder_of_theirs(case: Case) {
    let (mut peer, ours) = (case.peer(LOCK).await, case.ours().await);
    peer.hold("kristoff").await;
    // Its lock expires, and we compute as well.
    let (end, call) = ours.hold("kristoff").await;
    peer.fulfil("late").await;
    assert_eq!(case.stored("kristoff").await.as_deref(), Some("late"));
    // A lock that is deleted by whoever does not hold it is a lease lost: ours.
    let kept = case.style.leaves_lock();
    assert_eq!(case.holder("kristoff").await.is_some(), kept);
    end.send(Ok("ours".to_owned())).unwrap();
    assert_eq!(end_of(call).await.unwrap().as_str(), "ours");
    let last = if kept { "ours" } else { "late" };
    assert_eq!(case.stored("kristoff").await.as_deref(), Some(last));
    assert_eq!(case.holder("kristoff").await, None);
}

/// As the protocol's page warns: what they began before an invalidation is stored after it.
async fn they_are_not_fenced(case: Case) {
    let (mut peer, ours) = (case.peer(60 * SECOND).await, case.ours().await);
    peer.hold("kristoff").await;
    ours.likes.invalidate("kristoff").await.unwrap();
    assert_eq!(case.holder("kristoff").await, None);
    assert_eq!(peer.renew(60.0).await, Event::Lost);
    peer.fulfil("stale").await;
    let memo = end_of(ours.get("kristoff", "ours")).await.unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("stale", Source::Hit));
}

/// Waits until their value is gone.
async fn expired(case: &Case) {
    eventually("the value's expiry", || async {
        case.stored("kristoff").await.is_none()
    })
    .await;
}

/// Waits until a client asks for `lock` at a server's time of `after` or later.
async fn asked_again(monitor: &mut Monitor, lock: &str, after: f64) {
    let asked = async {
        loop {
            let seen = monitor.next().await.unwrap();
            let (time, _) = seen.line().split_once(' ').unwrap();
            let late = time.parse::<f64>().unwrap() >= after;
            if late && !seen.from_script() && seen.args().iter().any(|arg| arg == lock) {
                return;
            }
        }
    };
    timeout(HANG, asked).await.expect("a hang");
}

/// Waits until a client has subscribed to `channel`, and then one has asked for `lock`.
async fn listened_and_looked(monitor: &mut Monitor, channel: &str, lock: &str) {
    let looked = async {
        let mut listens = false;
        loop {
            let seen = monitor.next().await.unwrap();
            let names = |name: &str| seen.args().iter().any(|arg| arg == name);
            match listens {
                false => listens = seen.name() == "SUBSCRIBE" && names(channel),
                true if !seen.from_script() && names(lock) => return,
                true => {}
            }
        }
    };
    timeout(HANG, looked).await.expect("a hang");
}
