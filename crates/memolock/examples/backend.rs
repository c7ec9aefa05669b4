//! A backend of your own: here one that wraps another and logs what passes, by
//! `cargo run -p memolock --example backend`.
//!
//! A store of your own implements the same methods; `docs/backends.md` says what each must promise, and the
//! conformance suite of `memolock-testkit` checks it. A wrapper forwards *every* method, those with a
//! default too: the lint sees to it.

use std::time::Duration;

use memolock::core::{
    Acquired, Attempt, BackendError, BackendStats, Capabilities, Fulfilled, Fulfilment, Inspection,
    Key, Keyspace, Notice, PutMode, Renewal, Subscription, Tag, Timed, Token, Tracking,
    async_trait,
};
use memolock::memory::MemoryBackend;
use memolock::{Backend, Memolock};

#[derive(Debug)]
struct Logged<B>(B);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> Backend for Logged<B> {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    async fn check(&self, space: &Keyspace) -> Result<(), BackendError> {
        self.0.check(space).await
    }
    async fn get(&self, key: &Key) -> Result<Option<bytes::Bytes>, BackendError> {
        let value = self.0.get(key).await;
        println!("get {key}: {value:?}");
        value
    }
    async fn get_timed(&self, keys: &[Key]) -> Result<Vec<Option<Timed>>, BackendError> {
        self.0.get_timed(keys).await
    }
    fn track(&self, space: &Keyspace) -> Option<Tracking> {
        self.0.track(space)
    }
    async fn acquire(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
    ) -> Result<Acquired, BackendError> {
        let acquired = self.0.acquire(key, token, lease).await;
        println!("acquire {key}: {acquired:?}");
        acquired
    }
    async fn acquire_over(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        stale: &bytes::Bytes,
    ) -> Result<Acquired, BackendError> {
        self.0.acquire_over(key, token, lease, stale).await
    }
    async fn get_many(&self, keys: &[Key]) -> Vec<Result<Option<bytes::Bytes>, BackendError>> {
        println!("get {} at once", keys.len());
        self.0.get_many(keys).await
    }
    async fn acquire_many(&self, tries: &[Attempt]) -> Vec<Result<Acquired, BackendError>> {
        self.0.acquire_many(tries).await
    }
    async fn fulfil_many(&self, values: &[Fulfilment]) -> Vec<Result<Fulfilled, BackendError>> {
        self.0.fulfil_many(values).await
    }
    async fn fulfil(
        &self,
        key: &Key,
        token: Token,
        value: bytes::Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, BackendError> {
        let fulfilled = self.0.fulfil(key, token, value, ttl).await;
        println!("fulfil {key}: {fulfilled:?}");
        fulfilled
    }
    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<bool>, BackendError> {
        self.0.renew(renewals).await
    }
    async fn renew_each(&self, renewals: &[Renewal]) -> Vec<Result<bool, BackendError>> {
        self.0.renew_each(renewals).await
    }
    async fn release(
        &self,
        key: &Key,
        token: Token,
        notice: Option<Notice>,
    ) -> Result<bool, BackendError> {
        println!("release {key}: {notice:?}");
        self.0.release(key, token, notice).await
    }
    async fn put(
        &self,
        key: &Key,
        value: bytes::Bytes,
        ttl: Duration,
        mode: PutMode,
    ) -> Result<(), BackendError> {
        self.0.put(key, value, ttl, mode).await
    }
    async fn invalidate(&self, key: &Key) -> Result<(), BackendError> {
        println!("invalidate {key}");
        self.0.invalidate(key).await
    }
    async fn inspect(&self, key: &Key) -> Result<Inspection, BackendError> {
        self.0.inspect(key).await
    }
    async fn subscribe(&self, key: &Key) -> Result<Subscription, BackendError> {
        println!("subscribe {key}");
        self.0.subscribe(key).await
    }
    fn failure_domain(&self, key: &Key) -> u64 {
        self.0.failure_domain(key)
    }
    fn introduce(&self, tag: &Tag) {
        self.0.introduce(tag);
    }
    fn stats(&self) -> BackendStats {
        self.0.stats()
    }
    async fn close(&self) {
        self.0.close().await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let likes: Memolock<u64> = Memolock::builder("likes", Logged(MemoryBackend::new()))
        .build()
        .await?;
    let count = |_| async { Ok::<_, std::io::Error>(42) };
    println!("=> {}", likes.get_or_compute("kristoff", count).await?);
    println!("=> {}", likes.get_or_compute("kristoff", count).await?);
    likes.invalidate("kristoff").await?;
    let fails = |_| async { Err::<u64, _>("the database is down") };
    if let Err(error) = likes.get_or_compute("kristoff", fails).await {
        println!("=> {error}");
    }
    likes.close().await;
    Ok(())
}
