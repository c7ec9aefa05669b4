//! The end: close, drop, and what is counted until then.

mod common;

use bytes::Bytes;
use common::{LEASE, OURS, TTL, backend, bytes, key, now, ok, take, value_event};
use futures_util::{FutureExt, StreamExt};
use memolock_core::{Backend, BackendError, ErrorKind, Operation, PutMode};

#[test]
fn r10_after_close_every_call_says_closed() {
    let (backend, _) = backend();
    let key = key("k");
    take(&backend, &key, OURS);
    let other = backend.clone();
    now(backend.close());
    now(backend.close());
    let errors: Vec<BackendError> = vec![
        now(other.get(&key)).unwrap_err(),
        now(other.acquire(&key, OURS, LEASE)).unwrap_err(),
        now(other.fulfil(&key, OURS, Bytes::new(), TTL)).unwrap_err(),
        now(other.renew(&[])).unwrap_err(),
        now(other.release(&key, OURS, None)).unwrap_err(),
        now(other.put(&key, Bytes::new(), TTL, PutMode::Override)).unwrap_err(),
        now(other.invalidate(&key)).unwrap_err(),
        now(other.inspect(&key)).unwrap_err(),
        now(other.subscribe(&key)).err().expect("it is closed"),
    ];
    let operations = [
        Operation::Get,
        Operation::Acquire,
        Operation::Fulfil,
        Operation::Renew,
        Operation::Release,
        Operation::Put,
        Operation::Invalidate,
        Operation::Inspect,
        Operation::Subscribe,
    ];
    for (error, operation) in errors.iter().zip(operations) {
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        assert_eq!(error.operation(), operation);
        let on_key = (operation != Operation::Renew).then_some(&key);
        assert_eq!(error.key(), on_key);
    }
    assert_eq!(backend.usage(), Default::default());
    assert_eq!(backend.stats().commands, 1, "none of them was sent");
}

#[test]
fn close_ends_subscriptions_after_what_they_have_heard() {
    let (backend, _) = backend();
    let mut subscription = ok(backend.subscribe(&key("k")));
    ok(backend.put(&key("k"), bytes("v"), TTL, PutMode::Override));
    now(backend.close());
    assert_eq!(now(subscription.next()), Some(value_event("v")));
    assert_eq!(now(subscription.next()), None);
    assert_eq!(backend.stats().subscriptions, 0);
}

#[test]
fn dropping_the_last_clone_closes() {
    let (backend, _) = backend();
    let mut subscription = ok(backend.subscribe(&key("k")));
    let other = backend.clone();
    drop(backend);
    assert!(subscription.next().now_or_never().is_none(), "still open");
    drop(other);
    assert_eq!(now(subscription.next()), None);
}

#[test]
fn commands_are_those_that_a_client_would_have_sent() {
    let (backend, _) = backend();
    let key = key("k");
    let subscription = ok(backend.subscribe(&key));
    take(&backend, &key, OURS);
    ok(backend.renew(&[]));
    ok(backend.fulfil(&key, OURS, bytes("v"), TTL));
    ok(backend.get(&key));
    ok(backend.inspect(&key));
    ok(backend.put(&key, bytes("v"), TTL, PutMode::Override));
    ok(backend.invalidate(&key));
    ok(backend.release(&key, OURS, None));
    drop(backend.get(&key)); // Never polled, never sent.
    drop(subscription);
    let stats = backend.stats();
    assert_eq!(
        (stats.commands, stats.reconnects, stats.subscriptions),
        (9, 0, 0)
    );
}

#[test]
fn it_says_what_it_is() {
    let (backend, _) = backend();
    let capabilities = backend.capabilities();
    assert_eq!(capabilities.name, "memory");
    assert!(!capabilities.shared);
    assert!(format!("{backend:?}").contains("MemoryBackend"));
}
