//! What the tests share: keys, tokens, and a backend whose clock they turn by hand.
#![allow(dead_code)] // Each test file is a crate of its own and uses a part of this.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use memolock_core::{
    Acquired, Backend, Event, Key, Keyspace, Layout, Message, Notice, Remaining, Subscription, Tag,
    Token,
};
use memolock_memory::{ManualClock, MemoryBackend};

pub(crate) const LEASE: Duration = Duration::from_secs(5);
pub(crate) const TTL: Duration = Duration::from_secs(60);
pub(crate) const OURS: Token = Token::from_bits(1);
pub(crate) const THEIRS: Token = Token::from_bits(2);

/// The result of a future of this backend, which is there at once or the test fails.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    future
        .now_or_never()
        .expect("the embedded backend waits for nothing")
}

/// The same, of a call that succeeds.
pub(crate) fn ok<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    now(future).expect("the call succeeds")
}

pub(crate) fn key(id: &str) -> Key {
    let tag = Tag::new("likes").expect("a fine tag");
    let space = Keyspace::new(tag, Layout::Classic).expect("a fine tag for it");
    space.key(id).expect("a fine id")
}

pub(crate) fn backend() -> (MemoryBackend, ManualClock) {
    let clock = ManualClock::new();
    let backend = MemoryBackend::builder().clock(clock.clone()).build();
    (backend, clock)
}

pub(crate) fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

pub(crate) fn held(left: Duration) -> Acquired {
    Acquired::Held(Remaining::Expires(left))
}

/// Takes the lease of a key that is free.
pub(crate) fn take(backend: &impl Backend, key: &Key, token: Token) {
    assert_eq!(ok(backend.acquire(key, token, LEASE)), Acquired::Granted);
}

/// What the subscription has heard and not yet told. It must not have ended.
pub(crate) fn heard(subscription: &mut Subscription) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(next) = subscription.next().now_or_never() {
        events.push(next.expect("a subscription of an open backend goes on"));
    }
    events
}

pub(crate) fn value_event(text: &'static str) -> Event {
    Message::Value(bytes(text)).into()
}

pub(crate) fn notice_event(notice: Notice) -> Event {
    Message::Notice(notice).into()
}
