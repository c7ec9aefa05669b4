//! The spy of `common`, with delays around its commands and subscriptions that are never silent.
// Each test file uses its own part.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use memolock::core::{
    Acquired, Attempt, BackendError, BackendStats, Capabilities, Event, Fulfilled, Fulfilment,
    Inspection, Key, Keyspace, Message, Notice, PutMode, Renewal, Subscription, Tag, Timed, Token,
    Tracking, async_trait,
};
use memolock::{Backend, Memolock};
use tokio::time::sleep;

use crate::common::{SECOND, Spy};

/// A spy that takes its time. Clones share the store.
#[derive(Debug, Clone)]
pub struct Slow {
    spy: Spy,
    /// Between the effect of a look and its reply.
    pub get: Duration,
    /// Between the effect of a renewal and its reply.
    pub renew: Duration,
    /// Before the effect of a put or an invalidation.
    pub write: Duration,
    /// Every subscription always has one more notice, until the wall clock says that this is too long.
    pub flood: Option<Duration>,
}

impl Slow {
    /// As fast as the spy itself, until told otherwise.
    pub fn new(spy: &Spy) -> Self {
        Self {
            spy: spy.clone(),
            get: Duration::ZERO,
            renew: Duration::ZERO,
            write: Duration::ZERO,
            flood: None,
        }
    }

    /// One "process" over it, as `common::process` is over the spy.
    pub async fn process(self) -> Memolock<String> {
        let builder = Memolock::builder("likes", self).ttl(60 * SECOND);
        builder.build().await.unwrap()
    }
}

/// Sleeps, but not at all for nothing: even that would yield.
async fn take(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Slow {
    fn capabilities(&self) -> Capabilities {
        self.spy.capabilities()
    }
    async fn check(&self, space: &Keyspace) -> Result<(), BackendError> {
        self.spy.check(space).await
    }
    async fn get(&self, key: &Key) -> Result<Option<Bytes>, BackendError> {
        let reply = self.spy.get(key).await;
        take(self.get).await;
        reply
    }
    async fn get_timed(&self, keys: &[Key]) -> Result<Vec<Option<Timed>>, BackendError> {
        let found = self.spy.get_timed(keys).await;
        take(self.get).await;
        found
    }
    fn track(&self, space: &Keyspace) -> Option<Tracking> {
        self.spy.track(space)
    }
    async fn acquire(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
    ) -> Result<Acquired, BackendError> {
        self.spy.acquire(key, token, lease).await
    }
    async fn acquire_over(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        stale: &Bytes,
    ) -> Result<Acquired, BackendError> {
        self.spy.acquire_over(key, token, lease, stale).await
    }
    async fn get_many(&self, keys: &[Key]) -> Vec<Result<Option<Bytes>, BackendError>> {
        let found = self.spy.get_many(keys).await;
        take(self.get).await;
        found
    }
    async fn acquire_many(&self, tries: &[Attempt]) -> Vec<Result<Acquired, BackendError>> {
        self.spy.acquire_many(tries).await
    }
    async fn fulfil_many(&self, values: &[Fulfilment]) -> Vec<Result<Fulfilled, BackendError>> {
        self.spy.fulfil_many(values).await
    }
    async fn fulfil(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, BackendError> {
        self.spy.fulfil(key, token, value, ttl).await
    }
    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<bool>, BackendError> {
        let reply = self.spy.renew(renewals).await;
        take(self.renew).await;
        reply
    }
    async fn renew_each(&self, renewals: &[Renewal]) -> Vec<Result<bool, BackendError>> {
        match self.renew(renewals).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error); renewals.len()],
        }
    }
    async fn release(
        &self,
        key: &Key,
        token: Token,
        notice: Option<Notice>,
    ) -> Result<bool, BackendError> {
        self.spy.release(key, token, notice).await
    }
    async fn put(
        &self,
        key: &Key,
        value: Bytes,
        ttl: Duration,
        mode: PutMode,
    ) -> Result<(), BackendError> {
        take(self.write).await;
        self.spy.put(key, value, ttl, mode).await
    }
    async fn invalidate(&self, key: &Key) -> Result<(), BackendError> {
        take(self.write).await;
        self.spy.invalidate(key).await
    }
    async fn inspect(&self, key: &Key) -> Result<Inspection, BackendError> {
        self.spy.inspect(key).await
    }
    async fn subscribe(&self, key: &Key) -> Result<Subscription, BackendError> {
        let heard = self.spy.subscribe(key).await?;
        Ok(match self.flood {
            Some(too_long) => flood(too_long),
            None => heard,
        })
    }
    fn failure_domain(&self, key: &Key) -> u64 {
        self.spy.failure_domain(key)
    }
    fn introduce(&self, tag: &Tag) {
        self.spy.introduce(tag);
    }
    fn stats(&self) -> BackendStats {
        self.spy.stats()
    }
    async fn close(&self) {
        self.spy.close().await;
    }
}

fn flood(too_long: Duration) -> Subscription {
    let began = std::time::Instant::now();
    Box::pin(stream::poll_fn(move |_| {
        // Whoever polls nothing else would never get to a watchdog outside.
        let heard = began.elapsed();
        assert!(heard < too_long, "nothing but notices for {heard:?}");
        Poll::Ready(Some(Event::Message(Message::Notice(Notice::Released))))
    }))
}
