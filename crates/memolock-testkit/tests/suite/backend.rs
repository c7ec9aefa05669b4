//! A client that does what the trait says, but for one thing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, future, stream};
use memolock_core::{
    Acquired, Attempt, Backend, BackendError, BackendStats, Capabilities, ErrorKind, Event,
    Fulfilled, Fulfilment, Inspection, Key, Keyspace, Message, Notice, Operation, PutMode,
    Remaining, Renewal, Subscription, Tag, Timed, Token, Tracking, async_trait,
};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::clients::Ears;
use crate::faults::Fault;
use crate::store::{State, Store, now};
use crate::tracking;

/// One client of a store.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) store: Arc<Store>,
    pub(crate) ears: Arc<Ears>,
    closed: Arc<AtomicBool>,
    line: watch::Receiver<State>,
}

pub(crate) type Answer<T> = Result<T, BackendError>;

pub(crate) const MOMENT: Duration = Duration::from_millis(1);

impl Broken {
    pub(crate) fn new(store: &Arc<Store>) -> (Self, Arc<Ears>) {
        let ears = Arc::new(Ears::default());
        let line = ears.line.subscribe();
        store.join(&ears.board, line.clone());
        let client = Self {
            store: Arc::clone(store),
            ears: Arc::clone(&ears),
            closed: Arc::default(),
            line,
        };
        (client, ears)
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.store.fault == fault
    }

    pub(crate) fn error<T>(&self, kind: ErrorKind, operation: Operation, key: &Key) -> Answer<T> {
        let operation = match self.has(Fault::ErrorsNameAnotherOperation) {
            true => Operation::Get,
            false => operation,
        };
        let error = BackendError::new(kind, operation, "on purpose");
        Err(match self.has(Fault::ErrorsNameNoKey) {
            true => error,
            false => error.on(key),
        })
    }

    /// What comes before every call.
    async fn enter(&self, operation: Operation, key: &Key) -> Answer<Key> {
        if self.closed.load(Ordering::SeqCst) {
            return self.error(ErrorKind::Closed, operation, key);
        }
        let state = *self.line.borrow();
        match state {
            State::Fine => {}
            State::Cut if self.has(Fault::SaysNothingHappened) => {
                return self.error(ErrorKind::Protocol, operation, key);
            }
            State::Cut => return self.error(ErrorKind::Unavailable, operation, key),
            State::Stalled if self.has(Fault::HangsWhenStalled) => future::pending().await,
            State::Stalled => {
                sleep(MOMENT * 20).await;
                return self.error(ErrorKind::Timeout, operation, key);
            }
        }
        match self.store.fault {
            Fault::PanicsOnGlobs if key.id().contains('*') => panic!("a glob in {key}"),
            Fault::HangsOnLongIds if key.id().len() > 60_000 => future::pending().await,
            Fault::DroppedCallsLeak => {
                let taken = self.store.pool.acquire().await.unwrap();
                taken.forget();
                sleep(Duration::ZERO).await;
                self.store.pool.add_permits(1);
            }
            _ => {}
        }
        let list = self.store.lists.lock().unwrap().contains(key);
        match operation {
            Operation::Get | Operation::Acquire if list && !self.has(Fault::DamageIsAMiss) => {
                self.error(ErrorKind::WrongType, operation, key)
            }
            _ => Ok(self.store.name(key)),
        }
    }

    /// The token, or the holder's where a fault has it so.
    pub(crate) fn proof(&self, key: &Key, token: Token, fault: Fault) -> Token {
        let holder = self.has(fault).then(|| self.store.holder(key));
        holder.flatten().unwrap_or(token)
    }

    fn tell_value(&self, key: &Key, value: Bytes) {
        self.store.tell(key, &Message::Value(value));
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Broken {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("broken").private()
    }

    async fn check(&self, space: &Keyspace) -> Answer<()> {
        self.store.memory.check(space).await
    }

    async fn get(&self, key: &Key) -> Answer<Option<Bytes>> {
        let key = self.enter(Operation::Get, key).await?;
        let value = now(self.store.memory.get(&key))?;
        match self.store.fault {
            Fault::EmptyIsAMiss => Ok(value.filter(|value| !value.is_empty())),
            Fault::AnswersGoToTheNext => {
                self.store.answers.lock().unwrap().push_back(value);
                tokio::task::yield_now().await;
                Ok(self.store.answers.lock().unwrap().pop_front().flatten())
            }
            _ => Ok(value),
        }
    }

    async fn get_many(&self, keys: &[Key]) -> Vec<Answer<Option<Bytes>>> {
        self.values_of(keys).await
    }

    async fn acquire_many(&self, tries: &[Attempt]) -> Vec<Answer<Acquired>> {
        self.try_all(tries).await
    }

    async fn fulfil_many(&self, values: &[Fulfilment]) -> Vec<Answer<Fulfilled>> {
        self.store_all(values).await
    }

    async fn get_timed(&self, keys: &[Key]) -> Answer<Vec<Option<Timed>>> {
        let mut names = Vec::new();
        for key in keys {
            names.push(self.enter(Operation::Get, key).await?);
        }
        tracking::timed(&self.store, &names)
    }

    fn track(&self, space: &Keyspace) -> Option<Tracking> {
        tracking::of(&self.store, &self.closed, self.line.clone(), space)
    }

    async fn acquire_over(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        stale: &Bytes,
    ) -> Answer<Acquired> {
        let key = &self.enter(Operation::Acquire, key).await?;
        let _gate = self.store.gate.lock().unwrap();
        self.store.acquire_over(key, token, lease, stale)
    }

    async fn acquire(&self, key: &Key, token: Token, lease: Duration) -> Answer<Acquired> {
        let key = &self.enter(Operation::Acquire, key).await?;
        let memory = &self.store.memory;
        if self.has(Fault::AcquireInTwoSteps) {
            match now(memory.acquire(key, token, lease))? {
                Acquired::Held(_) => {}
                other => return Ok(other),
            }
            sleep(MOMENT).await;
            // The value is looked for before, the lock after: between them both can change.
            return Ok(match self.store.holder(key) {
                None => Acquired::Granted,
                Some(_) => Acquired::Held(Remaining::Expires(lease)),
            });
        }
        let _gate = self.store.gate.lock().unwrap();
        let ours = self.store.holder(key) == Some(token);
        match self.store.fault {
            Fault::LeasesNeverExpire => now(memory.acquire(key, token, Duration::MAX)),
            Fault::OwnTokenIsRefused if ours => Ok(Acquired::Held(Remaining::Expires(lease))),
            Fault::OwnLeaseGoesOn if ours => Ok(Acquired::Granted),
            Fault::EmptyIsAMissToAcquire if now(memory.get(key))? == Some(Bytes::new()) => {
                Ok(Acquired::Granted)
            }
            Fault::LockBeforeValue => {
                let value = now(memory.get(key))?;
                now(memory.invalidate(key))?;
                let acquired = now(memory.acquire(key, token, lease))?;
                if let Some(value) = value {
                    now(memory.put(key, value, lease, PutMode::Resolve))?;
                }
                Ok(acquired)
            }
            _ => now(memory.acquire(key, token, lease)),
        }
    }

    async fn fulfil(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Answer<Fulfilled> {
        let key = &self.enter(Operation::Fulfil, key).await?;
        let ttl = self.ttl(ttl, Operation::Fulfil, key)?;
        let value = self.bytes(value);
        let memory = &self.store.memory;
        if self.has(Fault::FulfilInTwoSteps) && self.store.holder(key) == Some(token) {
            sleep(MOMENT).await;
            now(memory.put(key, value.clone(), ttl, PutMode::Override))?;
            self.tell_value(key, value);
            return Ok(Fulfilled::Stored);
        }
        let _gate = self.store.gate.lock().unwrap();
        let proof = self.proof(key, token, Fault::FulfilsWithAForeignToken);
        let fulfilled = match self.store.fault {
            Fault::FulfilLeavesTheLock if self.store.holder(key) == Some(token) => {
                now(memory.put(key, value.clone(), ttl, PutMode::Resolve))?;
                Fulfilled::Stored
            }
            _ => now(memory.fulfil(key, proof, value.clone(), ttl))?,
        };
        if fulfilled == Fulfilled::Stored && !self.has(Fault::FulfilTellsNobody) {
            self.tell_value(key, value);
        }
        Ok(fulfilled)
    }

    async fn renew(&self, renewals: &[Renewal]) -> Answer<Vec<bool>> {
        let Some(first) = renewals.first() else {
            return Ok(Vec::new());
        };
        self.enter(Operation::Renew, &first.key).await?;
        let _gate = self.store.gate.lock().unwrap();
        let mut answers = Vec::new();
        for (n, renewal) in renewals.iter().enumerate() {
            let mut renewal = renewal.clone();
            renewal.key = self.store.name(&renewal.key);
            renewal.token = self.proof(&renewal.key, renewal.token, Fault::RenewIgnoresTokens);
            let renewed = match self.store.fault {
                Fault::RenewStopsAt500 if n >= 500 => vec![true],
                Fault::RenewBringsLocksBack => {
                    let Renewal { key, token, lease } = &renewal;
                    let acquired = now(self.store.memory.acquire(key, *token, *lease))?;
                    vec![acquired == Acquired::Granted]
                }
                _ => now(self.store.memory.renew(&[renewal]))?,
            };
            answers.extend(renewed);
        }
        if self.has(Fault::RenewAnswersBackwards) {
            answers.reverse();
        }
        Ok(answers)
    }

    async fn renew_each(&self, renewals: &[Renewal]) -> Vec<Answer<bool>> {
        match self.renew(renewals).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error); renewals.len()],
        }
    }

    async fn release(&self, key: &Key, token: Token, notice: Option<Notice>) -> Answer<bool> {
        let key = &self.enter(Operation::Release, key).await?;
        let _gate = self.store.gate.lock().unwrap();
        let proof = self.proof(key, token, Fault::ReleasesForeignLeases);
        let ours = now(self.store.memory.release(key, proof, None))?;
        match self.store.fault.tells(notice) {
            Some(notice) if ours || self.has(Fault::ForeignReleaseIsTold) => {
                self.store.tell(key, &Message::Notice(notice));
            }
            _ => {}
        }
        Ok(ours)
    }

    async fn put(&self, key: &Key, value: Bytes, ttl: Duration, mode: PutMode) -> Answer<()> {
        let key = &self.enter(Operation::Put, key).await?;
        let ttl = self.ttl(ttl, Operation::Put, key)?;
        let value = self.bytes(value);
        let mode = match self.store.fault {
            Fault::OverrideLeavesTheLock => PutMode::Resolve,
            Fault::ResolveDeletesTheLock => PutMode::Override,
            _ => mode,
        };
        if self.has(Fault::TellsBeforeStoring) {
            self.tell_value(key, value.clone());
            sleep(MOMENT).await;
            return now(self.store.memory.put(key, value, ttl, mode));
        }
        let _gate = self.store.gate.lock().unwrap();
        self.store.lists.lock().unwrap().remove(key);
        now(self.store.memory.put(key, value.clone(), ttl, mode))?;
        if !self.has(Fault::PutTellsNobody) {
            self.tell_value(key, value);
        }
        Ok(())
    }

    async fn invalidate(&self, key: &Key) -> Answer<()> {
        let key = &self.enter(Operation::Invalidate, key).await?;
        let _gate = self.store.gate.lock().unwrap();
        let memory = &self.store.memory;
        let seen = now(memory.inspect(key))?;
        let holder = self.store.holder(key);
        self.store.lists.lock().unwrap().remove(key);
        now(memory.invalidate(key))?;
        if let (Fault::InvalidateLeavesTheLock, Some(token)) = (self.store.fault, holder) {
            now(memory.acquire(key, token, Duration::from_secs(60)))?;
        }
        let something = seen.value.is_some() || seen.lock.is_some();
        if something || !self.has(Fault::InvalidateOfNothingTellsNobody) {
            self.store.tell(key, &Message::Notice(Notice::Invalidated));
        }
        Ok(())
    }

    async fn inspect(&self, key: &Key) -> Answer<Inspection> {
        let list = self.store.lists.lock().unwrap().contains(key);
        let key = self.enter(Operation::Inspect, key).await?;
        let mut seen = now(self.store.memory.inspect(&key))?;
        if list {
            seen.oddities.push("the value is a list".to_owned());
        }
        Ok(seen)
    }

    async fn subscribe(&self, key: &Key) -> Answer<Subscription> {
        let key = self.enter(Operation::Subscribe, key).await?;
        self.store.listened_to(&key);
        let board = Arc::clone(&self.ears.board);
        let last = self.store.last.lock().unwrap().get(&key).cloned();
        match self.store.fault {
            Fault::HearsOnlyWhenAsked => {
                let late = async move { board.attach(&key) };
                return Ok(Box::pin(stream::once(late).flatten()));
            }
            Fault::DropDoesNotUnsubscribe => {
                let mut forgotten = self.ears.forgotten.lock().unwrap();
                forgotten.push(board.attach(&key));
            }
            _ => {}
        }
        let listener = board.attach(&key);
        let fault = self.store.fault;
        let past = stream::iter(last.map(Event::from));
        let all = past.chain(listener);
        Ok(Box::pin(
            all.filter(move |event| future::ready(fault.hears(event))),
        ))
    }

    fn failure_domain(&self, key: &Key) -> u64 {
        self.store.memory.failure_domain(key)
    }

    fn introduce(&self, _tag: &Tag) {}

    fn stats(&self) -> BackendStats {
        self.ears.confirm();
        let mut stats = BackendStats::default();
        stats.subscriptions = self.ears.board.len() as u64;
        stats.reconnects = self.ears.reconnects.load(Ordering::SeqCst);
        stats
    }

    async fn close(&self) {
        if self.has(Fault::CloseDoesNothing) {
            return;
        }
        let again = self.closed.swap(true, Ordering::SeqCst);
        assert!(
            !again || !self.has(Fault::SecondClosePanics),
            "closed again"
        );
        if !self.has(Fault::CloseLeavesListeners) {
            self.ears.board.close();
        }
        // Trackers look up.
        self.ears.line.send_modify(|_| {});
    }
}
