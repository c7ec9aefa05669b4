//! The backend of a simulated process: what an adapter is to a real one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use memolock::core::{
    Acquired, Attempt, Backend, BackendError, BackendStats, Capabilities, ErrorKind, Fulfilled,
    Fulfilment, Inspection, Key, Keyspace, Notice, Operation, PutMode, Renewal, Subscription,
    Switchboard, Timed, Token, Tracking, TrackingBoard, async_trait,
};
use tokio::time::{sleep, timeout};

use crate::history::{ProcessId, What};
use crate::store::{Answer, Op};
use crate::world::{Life, Outcome, Sent, World};

/// Two connections to the world's store, and the core's own switchboard.
pub struct SimBackend {
    world: Arc<World>,
    process: ProcessId,
    board: Arc<Switchboard>,
    trackers: Arc<TrackingBoard>,
    /// How long a command may take.
    bound: Duration,
    /// After how long notices are repeated.
    repeat: Option<Duration>,
    /// Keys whose notice is to be repeated, each with the last time it was stored, by number.
    pending: Arc<Mutex<BTreeMap<Key, u64>>>,
}

impl SimBackend {
    /// A process's backend. Its task that listens runs until the world ends.
    #[must_use]
    pub fn new(world: &Arc<World>, bound: Duration) -> (ProcessId, Self) {
        let (process, board, trackers) = world.join();
        let boards = (Arc::clone(&board), Arc::clone(&trackers));
        tokio::spawn(listen(Arc::clone(world), process, boards));
        let backend = Self {
            world: Arc::clone(world),
            process,
            board,
            trackers,
            bound,
            repeat: None,
            pending: Arc::default(),
        };
        (process, backend)
    }

    async fn acquired(&self, key: &Key, op: Op) -> Result<Acquired, BackendError> {
        match self.ask(Operation::Acquire, op).await? {
            Answer::Acquired(acquired) => Ok(acquired),
            _ => Err(senseless(Operation::Acquire, key)),
        }
    }

    /// Repeats notices after this time.
    #[must_use]
    pub fn repeating(mut self, after: Duration) -> Self {
        self.repeat = Some(after);
        self
    }

    /// A value is being stored: its notice is repeated after a while, once for several stores. It is dropped if the
    /// connection is not there then.
    fn stores(&self, key: &Key) {
        let Some(after) = self.repeat else {
            return;
        };
        let (world, process, nth) = (Arc::clone(&self.world), self.process, self.world.number());
        let (pending, key) = (Arc::clone(&self.pending), key.clone());
        locked(&pending).insert(key.clone(), nth);
        tokio::spawn(async move {
            sleep(after).await;
            let is_last = locked(&pending).get(&key) == Some(&nth);
            if is_last {
                locked(&pending).remove(&key);
                world.raw(process, Op::Repeat(key)).await;
            }
        });
    }

    async fn ask(&self, operation: Operation, op: Op) -> Result<Answer, BackendError> {
        self.ask_silently(operation, op).await.told(self)
    }

    /// Asks, and leaves it to the caller to tell the memolock.
    async fn ask_silently(&self, operation: Operation, op: Op) -> Asked {
        let key = op.keys().next().cloned();
        let ask = self.world.number();
        self.runs().await;
        self.world.note(What::Asked {
            ask,
            process: self.process,
            op: Box::new(op.clone()),
        });
        let outcome = match timeout(self.bound, self.answer(op)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ErrorKind::Timeout),
        };
        self.runs().await;
        Asked {
            ask,
            operation,
            key,
            outcome,
        }
    }

    /// Asks many things together. The memolock is told all answers at once: the answers that came before the
    /// last one are lost with it, if the call is dropped.
    async fn ask_many(
        &self,
        operation: Operation,
        ops: impl Iterator<Item = Op>,
    ) -> impl Iterator<Item = Result<Answer, BackendError>> {
        let asked = join_all(ops.map(|op| self.ask_silently(operation, op))).await;
        asked.into_iter().map(|asked| asked.told(self))
    }

    /// A process that is stopped does nothing, and time-outs are seen when it goes on. One that runs
    /// has other tasks to run, now and then.
    async fn runs(&self) {
        if self.world.life(self.process) != Life::Runs {
            self.world.running(self.process).await;
        }
        if self.world.draw(4) == 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn answer(&self, op: Op) -> Result<Answer, ErrorKind> {
        loop {
            match self.world.send(self.process, op.clone()) {
                Sent::Yes(answer) => return answer.await.unwrap_or(Err(ErrorKind::Unavailable)),
                Sent::Down => {
                    tokio::task::yield_now().await;
                    return Err(ErrorKind::Unavailable);
                }
                Sent::Connecting(up) => {
                    up.until(true).await;
                    self.runs().await;
                }
            }
        }
    }
}

fn locked(pending: &Mutex<BTreeMap<Key, u64>>) -> MutexGuard<'_, BTreeMap<Key, u64>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An answer that the memolock has not been told.
struct Asked {
    ask: u64,
    operation: Operation,
    key: Option<Key>,
    outcome: Outcome,
}

impl Asked {
    /// Tells the memolock.
    fn told(self, backend: &SimBackend) -> Result<Answer, BackendError> {
        backend.world.note(What::Answered {
            ask: self.ask,
            process: backend.process,
            outcome: self.outcome.clone(),
        });
        self.outcome.map_err(|kind| {
            let error = BackendError::new(kind, self.operation, "simulated");
            match &self.key {
                Some(key) => error.on(key),
                None => error,
            }
        })
    }
}

/// The task that owns the subscription connection.
async fn listen(
    world: Arc<World>,
    process: ProcessId,
    (board, trackers): (Arc<Switchboard>, Arc<TrackingBoard>),
) {
    let up = world.subscription_up(process);
    loop {
        up.until(true).await;
        let changes = tokio::select! {
            biased;
            () = up.until(false) => continue,
            changes = board.changes() => changes,
            wish = trackers.wishes() => {
                world.running(process).await;
                world.wish(process, wish);
                continue;
            }
        };
        world.running(process).await;
        // If it broke meanwhile, this reaches nobody, and the keys come out again.
        world.ask(process, changes);
    }
}

/// An answer of another kind than the question cannot come from the model store.
fn senseless(operation: Operation, key: &Key) -> BackendError {
    BackendError::new(ErrorKind::Protocol, operation, "another kind of answer").on(key)
}

#[async_trait]
impl Backend for SimBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("simulated")
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>, BackendError> {
        match self.ask(Operation::Get, Op::Get(key.clone())).await? {
            Answer::Value(value) => Ok(value),
            _ => Err(senseless(Operation::Get, key)),
        }
    }

    // What travels together is still taken by the store one after another, and each answer may be lost alone.
    async fn get_many(&self, keys: &[Key]) -> Vec<Result<Option<Bytes>, BackendError>> {
        let ops = keys.iter().map(|key| Op::Get(key.clone()));
        let answers = self.ask_many(Operation::Get, ops).await;
        let answers = answers.zip(keys).map(|(answer, key)| match answer? {
            Answer::Value(value) => Ok(value),
            _ => Err(senseless(Operation::Get, key)),
        });
        answers.collect()
    }

    async fn acquire_many(&self, tries: &[Attempt]) -> Vec<Result<Acquired, BackendError>> {
        let ops = tries.iter();
        let ops = ops.map(|t| Op::Acquire(t.key.clone(), t.token, t.lease, None));
        let answers = self.ask_many(Operation::Acquire, ops).await;
        let answers = answers.zip(tries).map(|(answer, t)| match answer? {
            Answer::Acquired(acquired) => Ok(acquired),
            _ => Err(senseless(Operation::Acquire, &t.key)),
        });
        answers.collect()
    }

    async fn fulfil_many(&self, values: &[Fulfilment]) -> Vec<Result<Fulfilled, BackendError>> {
        values.iter().for_each(|v| self.stores(&v.key));
        let ops = values.iter();
        let ops = ops.map(|v| Op::Fulfil(v.key.clone(), v.token, v.value.clone(), v.ttl));
        let answers = self.ask_many(Operation::Fulfil, ops).await;
        let answers = answers.zip(values).map(|(answer, v)| match answer? {
            Answer::Fulfilled(fulfilled) => Ok(fulfilled),
            _ => Err(senseless(Operation::Fulfil, &v.key)),
        });
        answers.collect()
    }

    async fn get_timed(&self, keys: &[Key]) -> Result<Vec<Option<Timed>>, BackendError> {
        match self.ask(Operation::Get, Op::Timed(keys.to_vec())).await? {
            Answer::Timed(timed) => Ok(timed),
            _ => Err(BackendError::new(ErrorKind::Protocol, Operation::Get, "")),
        }
    }

    fn track(&self, space: &Keyspace) -> Option<Tracking> {
        Some(Box::pin(self.trackers.track(space)))
    }

    async fn acquire(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
    ) -> Result<Acquired, BackendError> {
        self.acquired(key, Op::Acquire(key.clone(), token, lease, None))
            .await
    }

    async fn acquire_over(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        stale: &Bytes,
    ) -> Result<Acquired, BackendError> {
        let op = Op::Acquire(key.clone(), token, lease, Some(stale.clone()));
        self.acquired(key, op).await
    }

    async fn fulfil(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, BackendError> {
        self.stores(key);
        let op = Op::Fulfil(key.clone(), token, value, ttl);
        match self.ask(Operation::Fulfil, op).await? {
            Answer::Fulfilled(fulfilled) => Ok(fulfilled),
            _ => Err(senseless(Operation::Fulfil, key)),
        }
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<bool>, BackendError> {
        match self
            .ask(Operation::Renew, Op::Renew(renewals.to_vec()))
            .await?
        {
            Answer::Renewed(renewed) => Ok(renewed),
            _ => Err(BackendError::new(ErrorKind::Protocol, Operation::Renew, "")),
        }
    }

    async fn release(
        &self,
        key: &Key,
        token: Token,
        notice: Option<Notice>,
    ) -> Result<bool, BackendError> {
        let op = Op::Release(key.clone(), token, notice);
        match self.ask(Operation::Release, op).await? {
            Answer::Flag(ours) => Ok(ours),
            _ => Err(senseless(Operation::Release, key)),
        }
    }

    async fn put(
        &self,
        key: &Key,
        value: Bytes,
        ttl: Duration,
        mode: PutMode,
    ) -> Result<(), BackendError> {
        self.stores(key);
        let op = Op::Put(key.clone(), value, ttl, mode);
        self.ask(Operation::Put, op).await.map(drop)
    }

    async fn invalidate(&self, key: &Key) -> Result<(), BackendError> {
        let op = Op::Invalidate(key.clone());
        self.ask(Operation::Invalidate, op).await.map(drop)
    }

    async fn inspect(&self, _key: &Key) -> Result<Inspection, BackendError> {
        Ok(Inspection::default())
    }

    async fn subscribe(&self, key: &Key) -> Result<Subscription, BackendError> {
        let failed = |kind| BackendError::new(kind, Operation::Subscribe, "simulated").on(key);
        self.runs().await;
        let mut listener = self.board.listen(key);
        let confirmed = timeout(self.bound, listener.confirmed()).await;
        self.runs().await;
        match confirmed {
            Ok(Ok(())) => Ok(Box::pin(listener)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(failed(ErrorKind::Timeout)),
        }
    }

    fn stats(&self) -> BackendStats {
        let mut stats = BackendStats::default();
        stats.subscriptions = self.board.len() as u64;
        stats
    }

    async fn close(&self) {
        locked(&self.pending).clear();
        self.board.close();
        self.trackers.close();
    }
}

impl fmt::Debug for SimBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimBackend(p{})", self.process)
    }
}
