//! What the tests of the front door share: a backend that is watched and tampered with, and
//! memolocks over it that play different processes.
// Each test file uses its own part.
#![allow(dead_code, unused_imports, unreachable_pub, clippy::unwrap_used)]

mod gaps;
mod left;
mod log;
mod part;
mod poison;
mod tracked;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gaps::with_gaps;
pub use left::{locked, nothing_left};
pub use log::Log;
use memolock::core::{
    Acquired, Attempt, BackendError, BackendStats, Capabilities, ErrorKind, Fulfilled, Fulfilment,
    Inspection, Key, Keyspace, Notice, Operation, PutMode, Renewal, Subscription, Timed, Timestamp,
    Token, Tracking, async_trait,
};
use memolock::memory::MemoryBackend;
use memolock::{Backend, Builder, Memolock};
pub use part::Part;
pub use poison::Poison;
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;
pub use tracked::Wire;

pub const SECOND: Duration = Duration::from_secs(1);

/// How a call is tampered with.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It fails without an effect.
    Fails(ErrorKind),
    /// It takes effect, and the reply is lost.
    LosesReply(ErrorKind),
    /// It never takes effect and never answers.
    HangsBefore,
    /// It takes effect and never answers.
    HangsAfter,
    /// It panics, as no backend should.
    Panics,
    /// It takes effect, and the reply takes its time.
    Late(Duration),
    Slow(Duration), // It takes effect, and the reply comes, after this time.
    /// It takes effect or not, and fails when a second has passed.
    TimesOut {
        /// Whether it takes effect.
        effect: bool,
    },
}

/// A memory backend that logs every call and fails those it is told to. Clones share everything.
#[derive(Debug, Clone)]
pub struct Spy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: MemoryBackend,
    log: Mutex<Vec<Operation>>,
    faults: Mutex<VecDeque<(Operation, Fault)>>,
    broken: Mutex<Option<ErrorKind>>,
    called: Notify,
    /// Ends of connections, as every subscription hears them: true for a gap.
    gaps: broadcast::Sender<bool>,
    wire: Wire,
    part: Part,
    poison: Poison,
}

impl Spy {
    /// Its clock is tokio's, so that paused time holds for the store too.
    pub fn new() -> Self {
        let origin = Instant::now();
        let clock = move || Timestamp::from_origin(origin.elapsed());
        Self(Arc::new(Inner {
            store: MemoryBackend::builder().clock(clock).build(),
            log: Mutex::default(),
            faults: Mutex::default(),
            broken: Mutex::default(),
            called: Notify::new(),
            gaps: broadcast::channel(16).0,
            wire: Wire::default(),
            part: Part::default(),
            poison: Poison::default(),
        }))
    }

    /// The next call of `operation` is tampered with; several are taken in order.
    pub fn tamper(&self, operation: Operation, fault: Fault) {
        self.0.faults.lock().unwrap().push_back((operation, fault));
    }

    /// From now on every call fails, or (with none) works again.
    pub fn break_with(&self, kind: Option<ErrorKind>) {
        *self.0.broken.lock().unwrap() = kind;
    }

    /// Cuts (true) or mends (false) the connection of every subscription: what is published between is
    /// lost.
    pub fn cut(&self, cut: bool) {
        self.0.gaps.send(cut).unwrap();
    }

    /// How changes travel.
    pub fn wire(&self) -> &Wire {
        &self.0.wire
    }

    /// A part of the store that may fail by itself.
    pub fn part(&self) -> &Part {
        &self.0.part
    }

    /// Ids that spoil every command that names one.
    pub fn poison(&self) -> &Poison {
        &self.0.poison
    }

    /// The store behind, untampered.
    pub fn store(&self) -> &MemoryBackend {
        &self.0.store
    }

    /// How often `operation` was called.
    pub fn count(&self, operation: Operation) -> usize {
        let log = self.0.log.lock().unwrap();
        log.iter().filter(|o| **o == operation).count()
    }

    /// How often anything was called.
    pub fn total(&self) -> usize {
        self.0.log.lock().unwrap().len()
    }

    /// Waits until `operation` has been called `times` times.
    pub async fn called(&self, operation: Operation, times: usize) {
        loop {
            let notified = self.0.called.notified();
            if self.count(operation) >= times {
                return;
            }
            notified.await;
        }
    }

    async fn around<R>(
        &self,
        operation: Operation,
        key: Option<&Key>,
        call: impl Future<Output = Result<R, BackendError>>,
    ) -> Result<R, BackendError> {
        self.0.log.lock().unwrap().push(operation);
        self.0.called.notify_waiters();
        let error = |kind| {
            let error = BackendError::new(kind, operation, "as the test wants it");
            Err(key.map_or(error.clone(), |k| error.on(k)))
        };
        let broken = *self.0.broken.lock().unwrap();
        if let Some(kind) = broken {
            return error(kind);
        }
        if let Some(error) = key.and_then(|key| self.part().refuses(operation, key)) {
            return Err(error);
        }
        if let Some(error) = self.poison().among(operation, key.into_iter()) {
            return Err(key.map_or(error.clone(), |key| error.on(key)));
        }
        let fault = {
            let mut faults = self.0.faults.lock().unwrap();
            let at = faults.iter().position(|(o, _)| *o == operation);
            at.and_then(|i| faults.remove(i)).map(|(_, fault)| fault)
        };
        match fault {
            None => call.await,
            Some(Fault::Fails(kind)) => error(kind),
            Some(Fault::LosesReply(kind)) => call.await.and(error(kind)),
            Some(Fault::HangsBefore) => std::future::pending().await,
            Some(Fault::HangsAfter) => {
                let _ = call.await;
                std::future::pending().await
            }
            Some(Fault::Panics) => panic!("a backend that panics"),
            Some(Fault::TimesOut { effect }) => {
                if effect {
                    let _ = call.await;
                }
                tokio::time::sleep(SECOND).await;
                error(ErrorKind::Timeout)
            }
            Some(Fault::Slow(delay)) => {
                tokio::time::sleep(delay).await;
                call.await
            }
            Some(Fault::Late(delay)) => {
                let reply = call.await;
                tokio::time::sleep(delay).await;
                reply
            }
        }
    }
}

impl Spy {
    /// One call for many keys: logged once, and tampered with as a whole.
    async fn around_many<'a, R>(
        &self,
        operation: Operation,
        keys: impl Iterator<Item = &'a Key> + Clone,
        call: impl Future<Output = Vec<Result<R, BackendError>>>,
    ) -> Vec<Result<R, BackendError>> {
        let poison = self.poison().among(operation, keys.clone());
        let call = async {
            match poison {
                Some(error) => Err(error),
                None => Ok(call.await),
            }
        };
        match self.around(operation, None, call).await {
            Ok(answers) => keys
                .zip(answers)
                .map(|(key, answer)| match self.part().refuses(operation, key) {
                    Some(error) => Err(error),
                    None => answer,
                })
                .collect(),
            Err(error) => keys.map(|key| Err(error.clone().on(key))).collect(),
        }
    }
}

#[async_trait]
impl Backend for Spy {
    fn capabilities(&self) -> Capabilities {
        self.store().capabilities()
    }
    fn failure_domain(&self, key: &Key) -> u64 {
        self.part().of(key)
    }
    async fn get(&self, key: &Key) -> Result<Option<Bytes>, BackendError> {
        self.around(Operation::Get, Some(key), self.store().get(key))
            .await
    }
    async fn get_timed(&self, keys: &[Key]) -> Result<Vec<Option<Timed>>, BackendError> {
        self.around(Operation::Get, keys.first(), self.store().get_timed(keys))
            .await
    }
    fn track(&self, space: &Keyspace) -> Option<Tracking> {
        self.wire().through(self.store().track(space)?)
    }
    async fn acquire(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
    ) -> Result<Acquired, BackendError> {
        let call = self.store().acquire(key, token, lease);
        self.around(Operation::Acquire, Some(key), call).await
    }
    async fn acquire_over(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        stale: &Bytes,
    ) -> Result<Acquired, BackendError> {
        let call = self.store().acquire_over(key, token, lease, stale);
        self.around(Operation::Acquire, Some(key), call).await
    }
    async fn get_many(&self, keys: &[Key]) -> Vec<Result<Option<Bytes>, BackendError>> {
        let call = self.store().get_many(keys);
        self.around_many(Operation::Get, keys.iter(), call).await
    }
    async fn acquire_many(&self, tries: &[Attempt]) -> Vec<Result<Acquired, BackendError>> {
        let call = self.store().acquire_many(tries);
        let keys = tries.iter().map(|t| &t.key);
        self.around_many(Operation::Acquire, keys, call).await
    }
    async fn fulfil_many(&self, values: &[Fulfilment]) -> Vec<Result<Fulfilled, BackendError>> {
        let call = self.store().fulfil_many(values);
        let keys = values.iter().map(|v| &v.key);
        self.around_many(Operation::Fulfil, keys, call).await
    }
    async fn fulfil(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, BackendError> {
        let call = self.store().fulfil(key, token, value, ttl);
        self.around(Operation::Fulfil, Some(key), call).await
    }
    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<bool>, BackendError> {
        let poison = self
            .poison()
            .among(Operation::Renew, renewals.iter().map(|r| &r.key));
        let call = async {
            match poison {
                Some(error) => Err(error),
                None => self.store().renew(renewals).await,
            }
        };
        self.around(Operation::Renew, None, call).await
    }
    async fn release(
        &self,
        key: &Key,
        token: Token,
        notice: Option<Notice>,
    ) -> Result<bool, BackendError> {
        let call = self.store().release(key, token, notice);
        self.around(Operation::Release, Some(key), call).await
    }
    async fn put(
        &self,
        key: &Key,
        value: Bytes,
        ttl: Duration,
        mode: PutMode,
    ) -> Result<(), BackendError> {
        let call = self.store().put(key, value, ttl, mode);
        self.around(Operation::Put, Some(key), call).await
    }
    async fn invalidate(&self, key: &Key) -> Result<(), BackendError> {
        self.around(
            Operation::Invalidate,
            Some(key),
            self.store().invalidate(key),
        )
        .await
    }
    async fn inspect(&self, key: &Key) -> Result<Inspection, BackendError> {
        self.around(Operation::Inspect, Some(key), self.store().inspect(key))
            .await
    }
    async fn subscribe(&self, key: &Key) -> Result<Subscription, BackendError> {
        let gaps = self.0.gaps.subscribe();
        let call = self.store().subscribe(key);
        let heard = self.around(Operation::Subscribe, Some(key), call).await?;
        Ok(with_gaps(heard, gaps))
    }
    fn stats(&self) -> BackendStats {
        self.store().stats()
    }
    async fn close(&self) {
        self.store().close().await;
    }
}

/// A builder over the spy with the tests' defaults.
pub fn builder(spy: &Spy) -> Builder<String> {
    Memolock::builder("likes", spy.clone()).ttl(60 * SECOND)
}

/// One "process": its own memolock over the shared store.
pub async fn process(spy: &Spy) -> Memolock<String> {
    builder(spy).build().await.unwrap()
}

/// The key of `id` in those memolocks.
pub fn key(memolock: &Memolock<String>, id: &str) -> Key {
    memolock.keyspace().key(id).unwrap()
}

/// A compute that works.
pub async fn value(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// A compute that must not run.
pub async fn never() -> Result<String, String> {
    panic!("this compute must not run")
}

/// Lets everything that can run do so, until `done`; fails after many turns rather than hang.
pub async fn settle(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never came: {what}");
}
