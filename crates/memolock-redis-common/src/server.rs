//! One server: which command carries out which operation.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use memolock_core::redis::{Fault, KEYS_PER_COMMAND, calls, reply};
use memolock_core::{
    Acquired, Attempt, Backend, BackendError, BackendStats, Capabilities, ErrorKind, Fulfilled,
    Fulfilment, Inspection, Key, Keyspace, Notice, Operation, PutMode, Renewal, Subscription, Tag,
    Timed, Token, Tracking, async_trait,
};

use crate::client::Purpose;
use crate::cluster::Request;
use crate::counters::Counters;
use crate::gate::Gate;
use crate::large::SideConnection;
use crate::link::Doubt;
use crate::paused::RealTime;
use crate::repeats::{Repeats, Storing};
use crate::road::Road;
use crate::site::Site;
use crate::subscriptions::Subscriptions;
use crate::transfers::LONGEST_HIT;

mod repeat;
mod running;

/// A Redis or Valkey server as a [`Backend`], or as a node of a cluster. Dropping it ends two connections and
/// their tasks.
pub(crate) struct Server<R: Road> {
    pub(crate) road: R,
    pub(crate) subscriptions: Subscriptions,
    large: SideConnection<R::Client>,
    notices: SideConnection<R::Client>,
    counters: Arc<Counters>,
    site: Arc<Site<R::Client>>,
    repeats: Option<Repeats>,
    gate: Gate,
}

impl<R: Road> Server<R> {
    /// Opens the subscription link, and paves the road for commands. Within a tokio runtime only.
    pub(crate) fn open(
        site: Site<R::Client>,
        counters: Arc<Counters>,
        pave: impl FnOnce(&Arc<Site<R::Client>>, &Arc<Counters>, Doubt) -> R,
    ) -> Self {
        let site = Arc::new(site);
        let doubt = Doubt::default();
        let road = pave(&site, &counters, doubt.clone());
        let subscriptions = Subscriptions::open(&site, &counters, doubt);
        let [large, notices] = [Purpose::Large, Purpose::Notices]
            .map(|purpose| SideConnection::new(&site, &counters, purpose));
        Self {
            road,
            subscriptions,
            large,
            notices,
            counters,
            site,
            repeats: None,
            gate: Gate::default(),
        }
    }

    /// Repeats notices, if it is to: not as a node of a cluster, which repeats them itself.
    pub(crate) fn repeating(mut self, this: &Weak<Self>) -> Self {
        let after = self.site.options.repeat_notice;
        self.repeats = after.map(|after| Repeats::start(after, Weak::clone(this)));
        self
    }

    /// The pending notices, where notices are repeated.
    pub(crate) fn repeats(&self) -> Option<&Repeats> {
        self.repeats.as_ref()
    }

    /// Waits until the first attempt to connect has ended, which is bounded by itself, and sees whether the server
    /// is of use.
    pub(crate) async fn ready(&self) -> Result<(), BackendError> {
        let options = &self.site.options;
        let _real = RealTime::hold(options.connect_timeout + options.command_timeout);
        if let Some(trunk) = self.road.trunk() {
            let first = trunk.link().first_attempt().await;
            first.map_err(|fault| fault.outward(Operation::Connect))?;
        }
        let usable = self.road.is_of_use().await;
        usable.map_err(|fault| fault.outward(Operation::Connect))
    }

    /// Ends connections, tasks and subscriptions, without waiting for them.
    pub(crate) fn shut(&self) {
        if let Some(repeats) = &self.repeats {
            repeats.close();
        }
        self.road.close();
        self.large.close();
        self.notices.close();
        self.subscriptions.close();
        self.site.close();
    }

    /// Waits until tasks have ended, after [`shut`](Self::shut).
    pub(crate) async fn over(&self) {
        self.road.ended().await;
        self.large.ended().await;
        self.notices.ended().await;
        self.subscriptions.link().ended().await;
        self.site.ended().await;
    }

    /// A word for `Debug`.
    pub(crate) fn condition(&self) -> &'static str {
        self.road
            .trunk()
            .map_or("pooled", |trunk| trunk.link().condition())
    }

    /// Renewals that travel together.
    async fn renew_some(&self, renewals: &[Renewal]) -> Result<Vec<bool>, Fault> {
        let answer = self.road.run(&[], &calls::renew(renewals)).await?;
        reply::renewed(answer, renewals.len())
    }

    async fn get_some(&self, keys: &[Key]) -> Vec<Result<Option<Bytes>, BackendError>> {
        let keys: Vec<&Key> = keys.iter().collect();
        let answer = self.road.get_many(&keys).await;
        let answers = answer.and_then(|answer| reply::values(answer, keys.len()));
        reply::on_each(answers, Operation::Get, &keys)
    }

    async fn acquire_some(&self, tries: &[Attempt]) -> Vec<Result<Acquired, BackendError>> {
        let keys: Vec<&Key> = tries.iter().map(|t| &t.key).collect();
        let answer = self.road.run(&keys, &calls::acquire_many(tries)).await;
        let answers = answer.and_then(|answer| reply::acquired_many(answer, keys.len()));
        reply::on_each(answers, Operation::Acquire, &keys)
    }

    async fn fulfil_some(&self, values: &[Fulfilment]) -> Vec<Result<Fulfilled, BackendError>> {
        let keys: Vec<&Key> = values.iter().map(|v| &v.key).collect();
        let storing = Storing::each(self.repeats(), &keys);
        let answer = self.run_some(&keys, calls::fulfil_many(values)).await;
        let answers = answer.and_then(|answer| reply::fulfilled_many(answer, keys.len()));
        let answers = reply::on_each(answers, Operation::Fulfil, &keys);
        Storing::all_ended(storing, &answers);
        answers
    }

    /// Values and their times that travel together.
    async fn some_timed(&self, keys: &[Key]) -> Result<Vec<Option<Timed>>, Fault> {
        let answer = self
            .road
            .run(&keys.iter().collect::<Vec<_>>(), &calls::timed(keys))
            .await?;
        reply::timed(answer, keys.len())
    }
}

#[async_trait]
impl<R: Road> Backend for Server<R> {
    fn capabilities(&self) -> Capabilities {
        // A script that the server has forgotten is sent twice, and a dead connection takes a moment to be noticed.
        // Large values may pass before it.
        let bound = self.site.options.command_timeout.saturating_mul(4);
        Capabilities::new(self.road.name()).bound(bound.saturating_add(LONGEST_HIT))
    }

    async fn check(&self, space: &Keyspace) -> Result<(), BackendError> {
        if !space.notifications().is_sharded() {
            return Ok(());
        }
        let words = ["PUBSUB", "SHARDNUMSUB"].map(Bytes::from);
        match self.road.ask(Request::Words(&words), false).await {
            Err(fault) if fault.kind() == ErrorKind::Unsupported => {
                Err(fault.outward(Operation::Connect))
            }
            _ => Ok(()),
        }
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>, BackendError> {
        let answer = self.road.get(key).await;
        answer
            .and_then(reply::value)
            .map_err(|fault| fault.on(Operation::Get, key))
    }

    async fn acquire(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
    ) -> Result<Acquired, BackendError> {
        let answer = self.attempt(key, calls::acquire(key, token, lease)).await;
        answer.map_err(|fault| fault.on(Operation::Acquire, key))
    }

    async fn acquire_over(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        stale: &Bytes,
    ) -> Result<Acquired, BackendError> {
        let call = calls::acquire_over(key, token, lease, stale);
        let answer = self.attempt(key, call).await;
        answer.map_err(|fault| fault.on(Operation::Acquire, key))
    }

    async fn fulfil(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, BackendError> {
        let storing = Storing::of(self.repeats(), key);
        let call = calls::fulfil(key, token, value, ttl);
        let answer = self.queued(key, call).await;
        let answer = answer
            .and_then(reply::fulfilled)
            .map_err(|fault| fault.on(Operation::Fulfil, key));
        storing.fulfilled(&answer);
        answer
    }

    async fn get_many(&self, keys: &[Key]) -> Vec<Result<Option<Bytes>, BackendError>> {
        let parts = keys.chunks(calls::LOCKS_PER_CALL);
        join_all(parts.map(|some| self.get_some(some)))
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    async fn acquire_many(&self, tries: &[Attempt]) -> Vec<Result<Acquired, BackendError>> {
        let parts = tries.chunks(calls::LOCKS_PER_CALL);
        join_all(parts.map(|some| self.acquire_some(some)))
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    async fn fulfil_many(&self, values: &[Fulfilment]) -> Vec<Result<Fulfilled, BackendError>> {
        let parts = calls::parcels(values);
        join_all(parts.map(|some| self.fulfil_some(some)))
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    async fn get_timed(&self, keys: &[Key]) -> Result<Vec<Option<Timed>>, BackendError> {
        let mut found = Vec::with_capacity(keys.len());
        for some in keys.chunks(KEYS_PER_COMMAND) {
            match (self.some_timed(some).await, keys) {
                (Ok(some), _) => found.extend(some),
                (Err(fault), [key]) => return Err(fault.on(Operation::Get, key)),
                (Err(fault), _) => return Err(fault.outward(Operation::Get)),
            }
        }
        Ok(found)
    }

    fn track(&self, space: &Keyspace) -> Option<Tracking> {
        Some(Box::pin(self.subscriptions.track(space)))
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<bool>, BackendError> {
        self.renew_each(renewals).await.into_iter().collect()
    }

    // All on their way at once, and each call by itself: one that fails takes no other with it.
    async fn renew_each(&self, renewals: &[Renewal]) -> Vec<Result<bool, BackendError>> {
        let calls = renewals.chunks(calls::LOCKS_PER_CALL);
        let answers = join_all(calls.map(|some| async move {
            match self.renew_some(some).await {
                Ok(answers) => answers.into_iter().map(Ok).collect(),
                Err(fault) => vec![Err(fault.outward(Operation::Renew)); some.len()],
            }
        }));
        answers.await.concat()
    }

    async fn release(
        &self,
        key: &Key,
        token: Token,
        notice: Option<Notice>,
    ) -> Result<bool, BackendError> {
        let answer = self
            .run(key, calls::release(key, token, notice.as_ref()))
            .await;
        answer
            .and_then(reply::flag)
            .map_err(|fault| fault.on(Operation::Release, key))
    }

    async fn put(
        &self,
        key: &Key,
        value: Bytes,
        ttl: Duration,
        mode: PutMode,
    ) -> Result<(), BackendError> {
        let storing = Storing::of(self.repeats(), key);
        let answer = self.run(key, calls::put(key, value, ttl, mode)).await;
        let answer = answer
            .map(drop)
            .map_err(|fault| fault.on(Operation::Put, key));
        storing.put(&answer);
        answer
    }

    async fn invalidate(&self, key: &Key) -> Result<(), BackendError> {
        let answer = self.run(key, calls::invalidate(key)).await;
        answer
            .map(drop)
            .map_err(|fault| fault.on(Operation::Invalidate, key))
    }

    async fn inspect(&self, key: &Key) -> Result<Inspection, BackendError> {
        let answer = self.run(key, calls::inspect(key)).await;
        answer
            .and_then(reply::inspection)
            .map_err(|fault| fault.on(Operation::Inspect, key))
    }

    async fn subscribe(&self, key: &Key) -> Result<Subscription, BackendError> {
        let listener = self.subscriptions.subscribe(key).await?;
        Ok(Box::pin(listener))
    }

    fn introduce(&self, tag: &Tag) {
        self.site.way.names.introduce(tag);
    }

    fn stats(&self) -> BackendStats {
        let mut stats = self.counters.stats();
        stats.subscriptions = self.subscriptions.keys() as u64;
        if let Some(repeats) = &self.repeats {
            repeats.count(&mut stats);
        }
        stats
    }

    async fn close(&self) {
        // First all that needs no waiting, so that a dropped close has closed too.
        self.shut();
        self.over().await;
    }
}

/// The address and the state of the links; never user or password.
impl<R: Road> fmt::Debug for Server<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(R::BACKEND)
            .field("address", &format_args!("{}", self.site.address))
            .field("commands", &self.condition())
            .field("subscriptions", &self.subscriptions.link().condition())
            .finish_non_exhaustive()
    }
}
