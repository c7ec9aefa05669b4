//! The store as flights see it: the backend behind its circuit breaker. No trait, and so no second
//! allocation for each command.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memolock_core::{
    Acquired, Backend, BackendError, BackendStats, ErrorKind, Fulfilled, Inspection, Key, Keyspace,
    Notice, Operation, PutMode, Renewal, Subscription, Timed, Token, Tracking,
};

use crate::breaker::{Breaker, CircuitBreaker};
use crate::stats::Counter;

mod many;

/// The backend, and whether it is worth asking.
pub(crate) struct Store {
    backend: Arc<dyn Backend>,
    breaker: Breaker,
    /// Within which time the backend ends every command, if it says so.
    bound: Option<Duration>,
    /// A value with more bytes is large.
    large: usize,
    /// Commands that were not sent.
    spared: Counter,
}

impl Store {
    pub(crate) fn new(backend: Arc<dyn Backend>, breaker: CircuitBreaker, large: usize) -> Self {
        Self {
            bound: backend.capabilities().bound,
            backend,
            breaker: Breaker::new(breaker),
            large,
            spared: Counter::default(),
        }
    }

    /// The backend itself. Not by way of its `Arc`, which is a backend too, and would box each command again.
    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    pub(crate) fn stats(&self) -> BackendStats {
        self.backend().stats()
    }

    /// Whether a value is large: it may take longer than any command should.
    pub(crate) fn is_large(&self, value: &Bytes) -> bool {
        value.len() > self.large
    }

    /// Whether a command ends within this time by itself.
    pub(crate) fn ends_within(&self, patience: Duration) -> bool {
        self.bound.is_some_and(|bound| bound <= patience)
    }

    /// Whether commands are refused because the store did not answer.
    pub(crate) fn circuit_open(&self) -> bool {
        self.breaker.is_open()
    }

    /// How many commands were refused so.
    pub(crate) fn spared(&self) -> u64 {
        self.spared.get()
    }

    /// Finds out when a store that did not answer does so again, for ever.
    pub(crate) async fn watch(&self) {
        self.breaker.probe(&*self.backend).await;
    }

    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Bytes>, BackendError> {
        self.guard(Operation::Get, key, self.backend().get(key))
            .await
    }

    /// The value and how long it stays.
    pub(crate) async fn get_timed(&self, key: &Key) -> Result<Option<Timed>, BackendError> {
        let call = self.backend().get_timed(std::slice::from_ref(key));
        let found = self.guard(Operation::Get, key, call).await?;
        let [found] = <[_; 1]>::try_from(found).map_err(|all| miscounted(all.len(), 1).on(key))?;
        Ok(found)
    }

    /// The same of many, behind the callers' backs.
    pub(crate) async fn read_back(&self, keys: &[Key]) -> Result<Vec<Option<Timed>>, BackendError> {
        let Some(first) = keys.first() else {
            return Ok(Vec::new());
        };
        if !self.breaker.admits(self.backend(), first) {
            self.spared.add();
            return Err(Breaker::refusal(Operation::Get, first));
        }
        let found = self.backend().get_timed(keys).await;
        match &found {
            // Any of them may be the cause.
            Err(error) if error.kind() == ErrorKind::Unrecognized => {
                let ended = keys.iter().map(|key| (key, Some(error)));
                self.breaker.note_all(self.backend(), ended);
            }
            found => self
                .breaker
                .note(self.backend(), first, found.as_ref().err()),
        }
        let found = found?;
        match found.len() == keys.len() {
            true => Ok(found),
            false => Err(miscounted(found.len(), keys.len())),
        }
    }

    /// The changes of a keyspace, if the backend tells them.
    pub(crate) fn track(&self, space: &Keyspace) -> Option<Tracking> {
        self.backend().track(space)
    }

    pub(crate) async fn acquire(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
    ) -> Result<Acquired, BackendError> {
        let call = self.backend().acquire(key, token, lease);
        self.guard(Operation::Acquire, key, call).await
    }

    pub(crate) async fn acquire_over(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        stale: &Bytes,
    ) -> Result<Acquired, BackendError> {
        let call = self.backend().acquire_over(key, token, lease, stale);
        self.guard(Operation::Acquire, key, call).await
    }

    pub(crate) async fn fulfil(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, BackendError> {
        let call = self.backend().fulfil(key, token, value, ttl);
        self.guard(Operation::Fulfil, key, call).await
    }

    /// Sent whether or not the store answers: nobody waits for it, and leases are lost without it.
    pub(crate) async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<bool>, BackendError> {
        let call = self.backend().renew(renewals);
        match renewals.first() {
            Some(first) => self.send_behind(Operation::Renew, &first.key, call).await,
            None => call.await,
        }
    }

    /// As [`renew`](Self::renew), each with its own answer.
    pub(crate) async fn renew_each(&self, renewals: &[Renewal]) -> Vec<Result<bool, BackendError>> {
        let held_back = |r: &Renewal| self.breaker.holds_back(self.backend(), &r.key);
        if renewals.iter().any(held_back) {
            return self.renew_rest(renewals, held_back).await;
        }
        let answers = self.backend().renew_each(renewals).await;
        let ended = renewals.iter().zip(&answers);
        let ended = ended.map(|(renewal, answer)| (&renewal.key, answer.as_ref().err()));
        self.breaker.note_all(self.backend(), ended);
        answers
    }

    /// Renews those that are not held back.
    async fn renew_rest(
        &self,
        renewals: &[Renewal],
        held_back: impl Fn(&Renewal) -> bool,
    ) -> Vec<Result<bool, BackendError>> {
        let held: Vec<bool> = renewals.iter().map(held_back).collect();
        let sent = renewals.iter().zip(&held).filter(|(_, held)| !**held);
        let sent: Vec<Renewal> = sent.map(|(renewal, _)| renewal.clone()).collect();
        self.spared.add();
        let mut answers = match sent.is_empty() {
            true => Vec::new(),
            // In a box: it is this very future again.
            false => Box::pin(self.renew_each(&sent)).await,
        }
        .into_iter();
        let answer = |(renewal, held): (&Renewal, &bool)| {
            match held {
                true => None,
                false => answers.next(),
            }
            .unwrap_or_else(|| Err(Breaker::refusal(Operation::Renew, &renewal.key)))
        };
        renewals.iter().zip(&held).map(answer).collect()
    }

    /// [`fulfil`](Self::fulfil) behind the callers' backs, sent whether or not the store answers.
    pub(crate) async fn fulfil_behind(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, BackendError> {
        let call = self.backend().fulfil(key, token, value, ttl);
        self.send_behind(Operation::Fulfil, key, call).await
    }

    /// [`fulfil`](Self::fulfil) of a large value, sent whether or not the store answers.
    pub(crate) async fn fulfil_large(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, BackendError> {
        if self.breaker.holds_back(self.backend(), key) {
            self.spared.add();
            return Err(Self::refusal(Operation::Fulfil, key).unsent(true));
        }
        let call = self.backend().fulfil(key, token, value, ttl);
        self.send_large(key, call).await
    }

    /// Whether a command for `key` would be sent now. If not, it counts as one that was not.
    pub(crate) fn admits(&self, key: &Key) -> bool {
        let admits = self.breaker.admits(self.backend(), key);
        if !admits {
            self.spared.add();
        }
        admits
    }

    /// [`release`](Self::release) behind the callers' backs, sent whether or not the store answers: a store
    /// that hangs takes it in after the try for the lease that may still be waiting there. Else that lease
    /// would stand for its whole time, and nobody be at it.
    pub(crate) async fn release_behind(
        &self,
        key: &Key,
        token: Token,
        notice: Option<Notice>,
    ) -> Result<bool, BackendError> {
        let call = self.backend().release(key, token, notice);
        self.send_behind(Operation::Release, key, call).await
    }

    pub(crate) async fn release(
        &self,
        key: &Key,
        token: Token,
        notice: Option<Notice>,
    ) -> Result<bool, BackendError> {
        let call = self.backend().release(key, token, notice);
        self.guard(Operation::Release, key, call).await
    }

    pub(crate) async fn put(
        &self,
        key: &Key,
        value: Bytes,
        ttl: Duration,
        mode: PutMode,
    ) -> Result<(), BackendError> {
        let large = self.is_large(&value);
        let call = self.backend().put(key, value, ttl, mode);
        if !large {
            return self.guard(Operation::Put, key, call).await;
        }
        if !self.admits(key) {
            return Err(Self::refusal(Operation::Put, key));
        }
        self.send_large(key, call).await
    }

    pub(crate) async fn invalidate(&self, key: &Key) -> Result<(), BackendError> {
        let call = self.backend().invalidate(key);
        self.guard(Operation::Invalidate, key, call).await
    }

    pub(crate) async fn inspect(&self, key: &Key) -> Result<Inspection, BackendError> {
        let call = self.backend().inspect(key);
        self.guard(Operation::Inspect, key, call).await
    }

    pub(crate) async fn subscribe(&self, key: &Key) -> Result<Subscription, BackendError> {
        let call = self.backend().subscribe(key);
        self.guard(Operation::Subscribe, key, call).await
    }

    /// What a command gets that is not sent.
    pub(crate) fn refusal(operation: Operation, key: &Key) -> BackendError {
        Breaker::refusal(operation, key)
    }

    /// Sends a command, unless the breaker is open.
    async fn guard<R>(
        &self,
        operation: Operation,
        key: &Key,
        call: impl Future<Output = Result<R, BackendError>>,
    ) -> Result<R, BackendError> {
        if !self.admits(key) {
            return Err(Self::refusal(operation, key));
        }
        self.send(key, call).await
    }

    /// Sends a command whether or not the store answers, unless it answers with errors that are not known.
    async fn send_behind<R>(
        &self,
        operation: Operation,
        key: &Key,
        call: impl Future<Output = Result<R, BackendError>>,
    ) -> Result<R, BackendError> {
        if self.breaker.holds_back(self.backend(), key) {
            self.spared.add();
            return Err(Breaker::refusal(operation, key));
        }
        self.send(key, call).await
    }

    /// Sends a command, and tells the breaker how it ended.
    async fn send<R>(
        &self,
        key: &Key,
        call: impl Future<Output = Result<R, BackendError>>,
    ) -> Result<R, BackendError> {
        let reply = call.await;
        self.breaker.note(self.backend(), key, reply.as_ref().err());
        reply
    }

    /// The same with a large value. An error says something of the value, and not of the store: it does not count.
    async fn send_large<R>(
        &self,
        key: &Key,
        call: impl Future<Output = Result<R, BackendError>>,
    ) -> Result<R, BackendError> {
        let reply = call.await;
        if reply.is_ok() {
            self.breaker.note(self.backend(), key, None);
        }
        reply
    }
}

fn miscounted(answers: usize, keys: usize) -> BackendError {
    let detail = format!("{answers} answers for {keys} keys");
    BackendError::new(ErrorKind::Protocol, Operation::Get, detail)
}
