//! Two releases side by side over the same keys: what the other one stored is a miss, never an error.
#![cfg(feature = "json")]
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use common::{Fault, SECOND, Spy, builder, never, settle, value};
use memolock::codec::{CodecErrorKind, Json, Versioned};
use memolock::core::{
    Acquired, Backend, BackendError, BackendStats, Capabilities, ErrorKind, Fulfilled, Inspection,
    Key, Notice, Operation, PutMode, Renewal, Subscription, Token, async_trait,
};
use memolock::{Error, Memolock, Source};

type Likes = Memolock<String, Versioned<Json>>;

/// A process of a release.
async fn release(spy: &Spy, version: u32) -> Likes {
    let codec = Versioned::new(Json, version);
    builder(spy).codec(codec).build().await.unwrap()
}

async fn slow(text: &str) -> Result<String, String> {
    tokio::time::sleep(SECOND).await;
    value(text).await
}

#[tokio::test(start_paused = true)]
async fn another_versions_value_is_a_miss_to_get() {
    let spy = Spy::new();
    let (old, new) = (release(&spy, 1).await, release(&spy, 2).await);
    old.put("kristoff", &"one".into()).await.unwrap();
    assert!(new.get("kristoff").await.unwrap().is_none());
    assert_eq!(**old.get("kristoff").await.unwrap().unwrap(), *"one");
    assert_eq!((new.stats().stale, new.stats().misses), (1, 1));
    assert_eq!((old.stats().stale, old.stats().hits), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn another_versions_value_is_computed_anew_and_replaced() {
    let spy = Spy::new();
    let (old, new) = (release(&spy, 1).await, release(&spy, 2).await);
    old.put("kristoff", &"one".into()).await.unwrap();
    let computed = new.entry("kristoff").or_compute(|_| value("two")).await;
    let computed = computed.unwrap();
    assert_eq!(
        (computed.as_str(), computed.source()),
        ("two", Source::Computed)
    );
    let hit = new.entry("kristoff").or_compute(|_| never()).await.unwrap();
    assert_eq!((hit.as_str(), hit.source()), ("two", Source::Hit));
    // And the other way round, without an end of it and without an error.
    let computed = old.entry("kristoff").or_compute(|_| value("one")).await;
    assert_eq!(computed.unwrap().source(), Source::Computed);
    assert!(new.get("kristoff").await.unwrap().is_none());
    // A put, two probes, acquires and fulfils, a hit, a get.
    assert_eq!(spy.total(), 1 + 3 + 1 + 3 + 1);
}

#[tokio::test(start_paused = true)]
async fn the_other_version_reads_its_value_until_ours_is_there() {
    let spy = Spy::new();
    let (old, new) = (release(&spy, 1).await, release(&spy, 2).await);
    old.put("kristoff", &"one".into()).await.unwrap();
    let computing = tokio::spawn({
        let new = new.clone();
        async move { new.get_or_compute("kristoff", |_| slow("two")).await }
    });
    spy.called(Operation::Acquire, 1).await;
    assert_eq!(**old.get("kristoff").await.unwrap().unwrap(), *"one");
    assert_eq!(*computing.await.unwrap().unwrap(), "two");
    assert!(old.get("kristoff").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_compute_that_fails_leaves_the_other_version_its_value() {
    let spy = Spy::new();
    let (old, new) = (release(&spy, 1).await, release(&spy, 2).await);
    old.put("kristoff", &"one".into()).await.unwrap();
    let failed = new
        .get_or_compute("kristoff", |_| async { Err::<String, _>("no") })
        .await;
    assert!(matches!(failed, Err(Error::Compute(_))));
    assert_eq!(**old.get("kristoff").await.unwrap().unwrap(), *"one");
}

#[tokio::test(start_paused = true)]
async fn processes_of_one_version_compute_once_over_a_value_of_another() {
    let spy = Spy::new();
    let old = release(&spy, 1).await;
    old.put("kristoff", &"one".into()).await.unwrap();
    let computes = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let new = release(&spy, 2).await;
        for _ in 0..10 {
            let (new, computes) = (new.clone(), Arc::clone(&computes));
            tasks.push(tokio::spawn(async move {
                let compute = |_| async {
                    computes.fetch_add(1, SeqCst);
                    slow("two").await
                };
                new.get_or_compute("kristoff", compute).await.unwrap()
            }));
        }
    }
    for task in tasks {
        assert_eq!(*task.await.unwrap(), "two");
    }
    assert_eq!(computes.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_holder_of_another_version_computes_next() {
    let spy = Spy::new();
    let (old, new) = (release(&spy, 1).await, release(&spy, 2).await);
    let computing =
        tokio::spawn(async move { new.get_or_compute("kristoff", |_| slow("two")).await });
    spy.called(Operation::Acquire, 1).await;
    let begun = tokio::time::Instant::now();
    let ours = old
        .entry("kristoff")
        .or_compute(|_| slow("one"))
        .await
        .unwrap();
    assert_eq!((ours.as_str(), ours.source()), ("one", Source::Computed));
    assert_eq!(*computing.await.unwrap().unwrap(), "two");
    // Both computes, one after the other, and the jitter after a release.
    let took = begun.elapsed();
    assert!(
        took >= 2 * SECOND && took < 2 * SECOND + Duration::from_millis(10),
        "{took:?}"
    );
    assert_eq!(old.stats().stale, 1);
}

/// A rolling deployment at its worst: both versions want one key all the time, in many processes.
#[tokio::test(start_paused = true)]
async fn a_herd_of_two_versions_comes_to_an_end_with_one_compute_at_a_time() {
    let spy = Spy::new();
    let at_work = Arc::new(AtomicUsize::new(0));
    let computes = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for process in 0..12_u32 {
        let version = 1 + process % 2;
        let likes = release(&spy, version).await;
        for call in 0..20_u64 {
            let (likes, at_work) = (likes.clone(), Arc::clone(&at_work));
            let computes = Arc::clone(&computes);
            tasks.push(tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(call * 7)).await;
                let text = format!("of version {version}");
                let compute = |_| async {
                    assert_eq!(at_work.fetch_add(1, SeqCst), 0, "two at a time");
                    computes.fetch_add(1, SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    at_work.fetch_sub(1, SeqCst);
                    value(&text).await
                };
                let got = likes.get_or_compute("kristoff", compute).await.unwrap();
                assert_eq!(*got, text);
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    // One compute takes 20 ms, and calls come for 133: more than this would be a fight.
    let computes = computes.load(SeqCst);
    assert!((2..=24).contains(&computes), "{computes} computes");
    settle("no subscription left", || spy.stats().subscriptions == 0).await;
}

#[tokio::test(start_paused = true)]
async fn invalidate_reaches_the_value_of_any_version() {
    let spy = Spy::new();
    let (old, new) = (release(&spy, 1).await, release(&spy, 2).await);
    new.put("kristoff", &"two".into()).await.unwrap();
    old.invalidate("kristoff").await.unwrap();
    assert!(new.get("kristoff").await.unwrap().is_none());
    assert_eq!(new.stats().stale, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_over_a_stale_value_is_our_own_lease() {
    let spy = Spy::new();
    let (old, new) = (release(&spy, 1).await, release(&spy, 2).await);
    old.put("kristoff", &"one".into()).await.unwrap();
    spy.tamper(Operation::Acquire, Fault::LosesReply(ErrorKind::Timeout));
    let got = new.get_or_compute("kristoff", |_| value("two")).await;
    assert_eq!(*got.unwrap(), "two");
    assert_eq!(**new.get("kristoff").await.unwrap().unwrap(), *"two");
}

#[tokio::test(start_paused = true)]
async fn an_external_program_is_triggered_over_a_stale_value() {
    let spy = Spy::new();
    let (old, new) = (release(&spy, 1).await, release(&spy, 2).await);
    old.put("kristoff", &"one".into()).await.unwrap();
    let trigger = || async {
        // First one that has not been deployed anew, then one that has.
        for (likes, text) in [(&old, "one again"), (&new, "two")] {
            let likes = likes.clone();
            tokio::spawn(async move {
                let entry = likes.entry("kristoff");
                entry.resolve(&text.to_owned()).await
            });
        }
        Ok::<_, String>(())
    };
    let got = new.entry("kristoff").or_external(trigger).await.unwrap();
    assert_eq!((got.as_str(), got.source()), ("two", Source::Awaited));
}

/// A backend from before there was `acquire_over`.
#[derive(Debug)]
struct Plain(Spy);

#[async_trait]
impl Backend for Plain {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    async fn get(&self, key: &Key) -> Result<Option<Bytes>, BackendError> {
        self.0.get(key).await
    }
    async fn acquire(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
    ) -> Result<Acquired, BackendError> {
        self.0.acquire(key, token, lease).await
    }
    async fn fulfil(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, BackendError> {
        self.0.fulfil(key, token, value, ttl).await
    }
    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<bool>, BackendError> {
        self.0.renew(renewals).await
    }
    async fn release(
        &self,
        key: &Key,
        token: Token,
        notice: Option<Notice>,
    ) -> Result<bool, BackendError> {
        self.0.release(key, token, notice).await
    }
    async fn put(
        &self,
        key: &Key,
        value: Bytes,
        ttl: Duration,
        mode: PutMode,
    ) -> Result<(), BackendError> {
        self.0.put(key, value, ttl, mode).await
    }
    async fn invalidate(&self, key: &Key) -> Result<(), BackendError> {
        self.0.invalidate(key).await
    }
    async fn inspect(&self, key: &Key) -> Result<Inspection, BackendError> {
        self.0.inspect(key).await
    }
    async fn subscribe(&self, key: &Key) -> Result<Subscription, BackendError> {
        self.0.subscribe(key).await
    }
    fn stats(&self) -> BackendStats {
        self.0.stats()
    }
    async fn close(&self) {
        self.0.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_cannot_acquire_over_a_value_gives_an_error_and_no_loop() {
    let spy = Spy::new();
    release(&spy, 1)
        .await
        .put("kristoff", &"one".into())
        .await
        .unwrap();
    let before = spy.total();
    let new: Likes = Memolock::builder("likes", Plain(spy.clone()))
        .codec(Versioned::new(Json, 2))
        .build()
        .await
        .unwrap();
    assert!(new.get("kristoff").await.unwrap().is_none());
    match new.get_or_compute("kristoff", |_| never()).await {
        Err(Error::Codec { error, .. }) => assert_eq!(error.kind(), CodecErrorKind::Stale),
        other => panic!("{other:?}"),
    }
    // Two probes and one try.
    assert_eq!(spy.total() - before, 3);
}
