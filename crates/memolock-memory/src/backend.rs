//! The backend: the store behind a lock, with time, errors and notification.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use memolock_core::{
    Acquired, Attempt, Backend, BackendError, BackendStats, Capabilities, ErrorKind, Fulfilled,
    Fulfilment, Inspection, Key, Keyspace, Message, Notice, Operation, PutMode, Renewal,
    Subscription, Switchboard, Tag, Timed, Timestamp, Token, Tracking, TrackingBoard, async_trait,
};

use crate::store::{Full, Store, Usage};
use crate::{Clock, MemoryBuilder, TokioClock};

/// A store of values and leases in this process's memory. Cheap to clone; clones share the store.
///
/// It holds a bounded number of bytes (256 MiB unless told
/// [otherwise](MemoryBuilder::capacity_bytes)). A value that was handed in as a slice of a larger
/// buffer keeps that whole buffer alive: copy such a value first.
///
/// Keys are the same if tag, id and layout are. Dropping the last clone closes it.
#[derive(Clone)]
pub struct MemoryBackend {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None` once closed.
    store: Mutex<Option<Store>>,
    /// Taken while the store is locked, never the other way round.
    board: Arc<Switchboard>,
    /// As the board.
    trackers: Arc<TrackingBoard>,
    clock: Arc<dyn Clock>,
    capacity: usize,
    commands: AtomicU64,
}

impl MemoryBackend {
    /// An empty store with the defaults of its [`builder`](MemoryBackend::builder).
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets up a store: its capacity and its clock.
    pub fn builder() -> MemoryBuilder {
        MemoryBuilder::new()
    }

    pub(crate) fn of(builder: MemoryBuilder) -> Self {
        let capacity = builder.capacity_bytes;
        Self {
            inner: Arc::new(Inner {
                store: Mutex::new(Some(Store::new(capacity))),
                board: Arc::new(Switchboard::new()),
                trackers: Arc::new(TrackingBoard::new()),
                clock: builder.clock.unwrap_or_else(|| Arc::new(TokioClock::new())),
                capacity,
                commands: AtomicU64::new(0),
            }),
        }
    }

    /// What is held now; nothing once closed.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let store = self.inner.lock();
        store.as_ref().map(Store::usage).unwrap_or_default()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Option<Store>> {
        // An operation has changed the store wholly or not at all where it can panic: when it asks
        // the clock and when it wakes a listener.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out one operation. What it tells listeners through the switchboard is told with the
    /// store still locked, so that messages come in the order of their effects, and none that was
    /// sent before a subscription is heard by it. So wakers must not call back: none of an async
    /// runtime does, they put a task in a queue.
    fn run<R>(
        &self,
        operation: Operation,
        work: impl FnOnce(&mut Store, Timestamp, &Arc<Switchboard>) -> Result<R, Full>,
    ) -> Result<R, BackendError> {
        let mut guard = self.lock();
        let Some(store) = guard.as_mut() else {
            return Err(BackendError::new(ErrorKind::Closed, operation, ""));
        };
        self.commands.fetch_add(1, Ordering::Relaxed);
        // Asked under the lock: operations see times in the order in which they take effect.
        let now = self.clock.now();
        store.purge(now);
        let done = work(store, now, &self.board);
        for gone in store.take_gone() {
            self.trackers.changed(&gone);
        }
        done.map_err(|Full| self.full(operation))
    }

    /// Carries out one operation on many, as one command that no other comes between.
    fn run_each<Q, R>(
        &self,
        operation: Operation,
        asked: &[Q],
        key: impl Fn(&Q) -> &Key,
        mut work: impl FnMut(&mut Store, Timestamp, &Arc<Switchboard>, &Q) -> Result<R, Full>,
    ) -> Vec<Result<R, BackendError>> {
        let each = self.run(operation, |store, now, board| {
            let each = asked.iter().map(|one| {
                let done = work(store, now, board, one);
                done.map_err(|Full| self.full(operation).on(key(one)))
            });
            Ok(each.collect())
        });
        each.unwrap_or_else(|closed| {
            let closed = |one| Err(closed.clone().on(key(one)));
            asked.iter().map(closed).collect()
        })
    }

    fn fulfil(
        &self,
        store: &mut Store,
        now: Timestamp,
        board: &Arc<Switchboard>,
        asked: &Fulfilment,
    ) -> Result<Fulfilled, Full> {
        let Fulfilment {
            key,
            token,
            value,
            ttl,
        } = asked;
        let fulfilled = store.fulfil(now, key, *token, value.clone(), *ttl)?;
        if fulfilled == Fulfilled::Stored {
            self.trackers.changed(key);
            board.deliver(key, &Message::Value(value.clone()));
        }
        Ok(fulfilled)
    }

    fn full(&self, operation: Operation) -> BackendError {
        let detail = format!("no room within {} bytes", self.capacity);
        BackendError::new(ErrorKind::OutOfMemory, operation, detail)
    }

    fn run_on<R>(
        &self,
        operation: Operation,
        key: &Key,
        work: impl FnOnce(&mut Store, Timestamp, &Arc<Switchboard>) -> Result<R, Full>,
    ) -> Result<R, BackendError> {
        self.run(operation, work).map_err(|e| e.on(key))
    }

    fn close(&self) {
        // What was stored is freed after the lock is let go.
        let store = self.lock().take();
        self.board.close();
        self.trackers.close();
        drop(store);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for MemoryBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("memory").private()
    }

    /// There is one way of being told within a process.
    async fn check(&self, _space: &Keyspace) -> Result<(), BackendError> {
        Ok(())
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>, BackendError> {
        let work = |store: &mut Store, now, _: &Arc<Switchboard>| Ok(store.get(now, key));
        self.inner.run_on(Operation::Get, key, work)
    }

    async fn acquire(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
    ) -> Result<Acquired, BackendError> {
        self.inner.run_on(Operation::Acquire, key, |store, now, _| {
            store.acquire(now, key, token, lease, None)
        })
    }

    async fn acquire_over(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        stale: &Bytes,
    ) -> Result<Acquired, BackendError> {
        self.inner.run_on(Operation::Acquire, key, |store, now, _| {
            store.acquire(now, key, token, lease, Some(stale))
        })
    }

    async fn get_many(&self, keys: &[Key]) -> Vec<Result<Option<Bytes>, BackendError>> {
        let work =
            |store: &mut Store, now, _: &Arc<Switchboard>, key: &Key| Ok(store.get(now, key));
        self.inner.run_each(Operation::Get, keys, |key| key, work)
    }

    async fn acquire_many(&self, tries: &[Attempt]) -> Vec<Result<Acquired, BackendError>> {
        let work = |store: &mut Store, now, _: &Arc<Switchboard>, t: &Attempt| {
            store.acquire(now, &t.key, t.token, t.lease, None)
        };
        self.inner
            .run_each(Operation::Acquire, tries, |t| &t.key, work)
    }

    async fn fulfil_many(&self, values: &[Fulfilment]) -> Vec<Result<Fulfilled, BackendError>> {
        let inner = &*self.inner;
        let work = |store: &mut Store, now, board: &Arc<Switchboard>, asked: &Fulfilment| {
            inner.fulfil(store, now, board, asked)
        };
        inner.run_each(Operation::Fulfil, values, |v| &v.key, work)
    }

    async fn fulfil(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, BackendError> {
        let asked = Fulfilment {
            key: key.clone(),
            token,
            value,
            ttl,
        };
        self.inner
            .run_on(Operation::Fulfil, key, |store, now, board| {
                self.inner.fulfil(store, now, board, &asked)
            })
    }

    async fn get_timed(&self, keys: &[Key]) -> Result<Vec<Option<Timed>>, BackendError> {
        self.inner.run(Operation::Get, |store, now, _| {
            Ok(keys.iter().map(|key| store.get_timed(now, key)).collect())
        })
    }

    fn track(&self, space: &Keyspace) -> Option<Tracking> {
        // There is nobody to ask, so the tracker is live at once. Nothing changes while the store is locked.
        let _store = self.inner.lock();
        Some(Box::pin(self.inner.trackers.attach(space)))
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<bool>, BackendError> {
        self.inner.run(Operation::Renew, |store, now, _| {
            let one = |r: &Renewal| store.renew(now, &r.key, r.token, r.lease);
            Ok(renewals.iter().map(one).collect())
        })
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
        self.inner
            .run_on(Operation::Release, key, |store, now, board| {
                let ours = store.release(now, key, token);
                if let (true, Some(notice)) = (ours, notice) {
                    board.deliver(key, &Message::Notice(notice));
                }
                Ok(ours)
            })
    }

    async fn put(
        &self,
        key: &Key,
        value: Bytes,
        ttl: Duration,
        mode: PutMode,
    ) -> Result<(), BackendError> {
        self.inner.run_on(Operation::Put, key, |store, now, board| {
            store.put(now, key, value.clone(), ttl, mode)?;
            self.inner.trackers.changed(key);
            board.deliver(key, &Message::Value(value));
            Ok(())
        })
    }

    async fn invalidate(&self, key: &Key) -> Result<(), BackendError> {
        self.inner
            .run_on(Operation::Invalidate, key, |store, _, board| {
                store.invalidate(key);
                self.inner.trackers.changed(key);
                board.deliver(key, &Message::Notice(Notice::Invalidated));
                Ok(())
            })
    }

    async fn inspect(&self, key: &Key) -> Result<Inspection, BackendError> {
        let work = |store: &mut Store, now, _: &Arc<Switchboard>| Ok(store.inspect(now, key));
        self.inner.run_on(Operation::Inspect, key, work)
    }

    async fn subscribe(&self, key: &Key) -> Result<Subscription, BackendError> {
        // There is nobody to ask, so the listener is live at once.
        self.inner
            .run_on(Operation::Subscribe, key, |_, _, board| {
                Ok(board.attach(key))
            })
            .map(|listener| Box::pin(listener) as Subscription)
    }

    /// It fails as a whole, or rather never.
    fn failure_domain(&self, _key: &Key) -> u64 {
        0
    }

    /// There is no list of connections.
    fn introduce(&self, _tag: &Tag) {}

    /// `commands` counts each call that would have been a command to a remote store, unsubscribing
    /// aside; `subscriptions` counts keys that are listened to.
    fn stats(&self) -> BackendStats {
        let mut stats = BackendStats::default();
        stats.commands = self.inner.commands.load(Ordering::Relaxed);
        stats.subscriptions = self.inner.board.len() as u64;
        stats
    }

    async fn close(&self) {
        self.inner.close();
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend")
            .field("capacity_bytes", &self.inner.capacity)
            .finish_non_exhaustive()
    }
}
