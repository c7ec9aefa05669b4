//! Listeners: who hears what, and when.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use common::{
    LEASE, OURS, THEIRS, TTL, backend, bytes, heard, key, notice_event, now, ok, take, value_event,
};
use futures_util::StreamExt;
use memolock_core::{Backend, Event, Notice, PutMode};

#[test]
fn a_listener_hears_values_and_notices_of_its_key_in_order() {
    let (backend, _) = backend();
    let key = key("k");
    let mut subscription = ok(backend.subscribe(&key));
    take(&backend, &key, OURS);
    ok(backend.fulfil(&key, OURS, bytes("first"), TTL));
    ok(backend.put(&key, bytes(""), TTL, PutMode::Override));
    ok(backend.put(&key, bytes("third"), TTL, PutMode::Resolve));
    ok(backend.invalidate(&key));
    take(&backend, &key, OURS);
    ok(backend.release(&key, OURS, Some(Notice::failed("no"))));
    let expected = [
        value_event("first"),
        value_event(""),
        value_event("third"),
        notice_event(Notice::Invalidated),
        notice_event(Notice::failed("no")),
    ];
    assert_eq!(heard(&mut subscription), expected);
}

#[test]
fn a_listener_hears_only_its_key_and_nothing_from_before() {
    let (backend, _) = backend();
    ok(backend.put(&key("a"), bytes("early"), TTL, PutMode::Override));
    let mut subscription = ok(backend.subscribe(&key("a")));
    ok(backend.put(&key("b"), bytes("other"), TTL, PutMode::Override));
    ok(backend.invalidate(&key("ab")));
    assert_eq!(heard(&mut subscription), []);
}

#[test]
fn every_listener_hears_and_one_that_left_does_not_matter() {
    let (backend, _) = backend();
    let mut stay = ok(backend.subscribe(&key("k")));
    let leave = ok(backend.subscribe(&key("k")));
    let mut clone = ok(backend.clone().subscribe(&key("k")));
    drop(leave);
    ok(backend.put(&key("k"), bytes("v"), TTL, PutMode::Override));
    assert_eq!(heard(&mut stay), [value_event("v")]);
    assert_eq!(heard(&mut clone), [value_event("v")]);
}

#[test]
fn what_had_no_effect_tells_nobody() {
    let (backend, _) = backend();
    let key = key("k");
    take(&backend, &key, OURS);
    let mut subscription = ok(backend.subscribe(&key));
    ok(backend.fulfil(&key, THEIRS, bytes("v"), TTL));
    ok(backend.release(&key, THEIRS, Some(Notice::Released)));
    ok(backend.acquire(&key, THEIRS, LEASE));
    ok(backend.get(&key));
    ok(backend.inspect(&key));
    assert_eq!(heard(&mut subscription), []);
    assert!(ok(backend.release(&key, OURS, None)));
    assert_eq!(heard(&mut subscription), [], "released without a word");
}

#[test]
fn invalidate_tells_even_where_there_was_nothing() {
    let (backend, _) = backend();
    let mut subscription = ok(backend.subscribe(&key("k")));
    ok(backend.invalidate(&key("k")));
    assert_eq!(
        heard(&mut subscription),
        [notice_event(Notice::Invalidated)]
    );
}

#[test]
fn who_hears_a_value_finds_it() {
    let (backend, _) = backend();
    let key = key("k");
    let mut subscription = ok(backend.subscribe(&key));
    take(&backend, &key, OURS);
    ok(backend.fulfil(&key, OURS, bytes("v"), TTL));
    assert_eq!(now(subscription.next()), Some(value_event("v")));
    assert_eq!(ok(backend.get(&key)), Some(bytes("v")));
    assert_eq!(ok(backend.inspect(&key)).lock, None);
}

#[test]
fn a_waiting_listener_is_woken() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (backend, _) = backend();
    let mut subscription = ok(backend.subscribe(&key("k")));
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    assert!(subscription.poll_next_unpin(&mut cx).is_pending());
    ok(backend.put(&key("other"), bytes("v"), TTL, PutMode::Override));
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    ok(backend.put(&key("k"), bytes("v"), TTL, PutMode::Override));
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert!(subscription.poll_next_unpin(&mut cx).is_ready());
}

#[test]
fn a_listener_that_falls_behind_is_told_to_look_again() {
    let (backend, _) = backend();
    let mut subscription = ok(backend.subscribe(&key("k")));
    for _ in 0..10_000 {
        ok(backend.invalidate(&key("k")));
    }
    let events = heard(&mut subscription);
    assert!(events.len() < 100, "a mailbox is bounded");
    assert_eq!(events[..2], [Event::Gap, Event::Resumed]);
}

#[test]
fn r9_a_dropped_subscription_leaves_nothing() {
    let (backend, _) = backend();
    let subscriptions: Vec<_> = (0..100)
        .map(|n| ok(backend.subscribe(&key(&n.to_string()))))
        .collect();
    assert_eq!(backend.stats().subscriptions, 100);
    drop(subscriptions);
    assert_eq!(backend.stats().subscriptions, 0);
}
