//! A waiter that passed over the bytes of another version hears exactly those again. They may be an old notice that was
//! repeated, or a new value that happens to be equal: only the store knows.
#![cfg(feature = "json")]
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{SECOND, Spy, builder, settle, value};
use memolock::codec::{Codec, Json, Versioned};
use memolock::core::{Acquired, Backend, Fulfilled, Key, Operation, PutMode, Token};
use memolock::{Memo, Memolock, Source};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

type Likes = Memolock<String, Versioned<Json>>;

const TTL: Duration = Duration::from_secs(1000);
const HOLDER: Token = Token::from_bits(7);

async fn release(spy: &Spy, version: u32) -> Likes {
    let codec = Versioned::new(Json, version);
    let builder = builder(spy).wait_timeout(TTL).codec(codec);
    builder.build().await.unwrap()
}

fn bytes(version: u32, text: &str) -> Bytes {
    Versioned::new(Json, version)
        .encode(&text.to_owned())
        .unwrap()
}

/// A value of version 1 is stored, somebody holds the lock over it for long, and a caller of version 2 waits.
struct Scene {
    spy: Spy,
    key: Key,
    waits: Likes,
    call: JoinHandle<Memo<String>>,
    old: Bytes,
}

impl Scene {
    async fn new() -> Self {
        let spy = Spy::new();
        let waits = release(&spy, 2).await;
        let key = waits.keyspace().key("kristoff").unwrap();
        let old = bytes(1, "one");
        let store = spy.store();
        let put = store.put(&key, old.clone(), TTL, PutMode::Override);
        put.await.unwrap();
        let held = store.acquire_over(&key, HOLDER, TTL, &old).await;
        assert!(matches!(held, Ok(Acquired::Granted)), "{held:?}");
        let likes = waits.clone();
        let call = tokio::spawn(async move {
            let compute = |_| value("two");
            likes.entry("kristoff").or_compute(compute).await.unwrap()
        });
        settle("it waits", || spy.stats().subscriptions == 1).await;
        sleep(SECOND).await;
        Self {
            spy,
            key,
            waits,
            call,
            old,
        }
    }

    /// How often the store was asked for the value or the lease.
    fn asked(&self) -> usize {
        self.spy.count(Operation::Get) + self.spy.count(Operation::Acquire)
    }

    /// The bytes are published again; the lock is left to its holder.
    async fn repeat(&self, bytes: &Bytes) {
        let store = self.spy.store();
        let put = store.put(&self.key, bytes.clone(), TTL, PutMode::Resolve);
        put.await.unwrap();
    }

    /// The holder stores a value and gives the lock back.
    async fn fulfil(&self, value: Bytes) {
        let fulfilled = self.spy.store().fulfil(&self.key, HOLDER, value, TTL);
        assert_eq!(fulfilled.await.unwrap(), Fulfilled::Stored);
    }

    /// What the waiter has got, and after how long.
    async fn ended(self) -> (String, Source, Duration) {
        let began = Instant::now();
        let memo = self.call.await.unwrap();
        let took = began.elapsed();
        settle("nothing left", || {
            let left = self.waits.in_flight();
            left.flights == 0 && left.leases == 0 && self.spy.stats().subscriptions == 0
        })
        .await;
        (memo.to_string(), memo.source(), took)
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_heard_again_make_the_waiter_ask_the_store_again() {
    let scene = Scene::new().await;
    for _ in 0..5 {
        let asked = scene.asked();
        scene.repeat(&scene.old).await;
        sleep(SECOND).await;
        assert_eq!(scene.asked(), asked + 1, "once for each notice");
        assert!(!scene.call.is_finished(), "they are not its value");
        assert_eq!(scene.waits.stats().computes, 0, "beside a holder");
    }
    scene.fulfil(bytes(2, "theirs")).await;
    let (text, source, took) = scene.ended().await;
    assert_eq!((text.as_str(), source), ("theirs", Source::Awaited));
    assert!(took < SECOND, "{took:?}");
}

/// The lock that the holder gave back would stand for 1000 s to a waiter that ignored the message.
#[tokio::test(start_paused = true)]
async fn a_new_value_with_equal_bytes_is_not_ignored() {
    for repeats in [0, 3] {
        let scene = Scene::new().await;
        for _ in 0..repeats {
            scene.repeat(&scene.old).await;
            sleep(SECOND).await;
        }
        scene.fulfil(scene.old.clone()).await;
        let (text, source, took) = scene.ended().await;
        assert_eq!((text.as_str(), source), ("two", Source::Computed));
        assert!(took < SECOND, "{took:?}");
    }
}

/// Bytes of yet another version, and then the first ones.
#[tokio::test(start_paused = true)]
async fn bytes_of_two_other_versions_by_turns_are_neither_returned_nor_ignored() {
    let scene = Scene::new().await;
    let third = bytes(3, "three");
    for turn in 0..6 {
        let heard = if turn % 2 == 0 { &third } else { &scene.old };
        let asked = scene.asked();
        scene.repeat(heard).await;
        sleep(SECOND).await;
        assert_eq!(scene.asked(), asked + 1, "once for each notice");
        assert!(!scene.call.is_finished());
        assert_eq!(scene.waits.stats().computes, 0, "beside a holder");
    }
    let released = scene.spy.store().release(&scene.key, HOLDER, None).await;
    assert!(released.unwrap());
    // A release without a notice: what is heard next tells of it.
    scene.repeat(&scene.old).await;
    let (text, source, took) = scene.ended().await;
    assert_eq!((text.as_str(), source), ("two", Source::Computed));
    assert!(took < SECOND, "{took:?}");
}
