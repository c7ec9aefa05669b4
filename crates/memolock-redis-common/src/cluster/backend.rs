//! The cluster as a backend: which command goes to which slot.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use memolock_core::redis::cluster::key_slot;
use memolock_core::redis::{Address, Call, Fault, Reply, calls, reply};
use memolock_core::{
    Acquired, Attempt, Backend, BackendError, BackendStats, Capabilities, ErrorKind, Fulfilled,
    Fulfilment, Inspection, Key, Keyspace, Layout, Notice, Operation, PutMode, Renewal,
    Subscription, Tag, Timed, Token, Tracking, async_trait,
};
use tokio::task::AbortHandle;

use super::atlas::Post;
use super::batches::{by_slot, chunked, in_order, pick};
use super::ear::Ear;
use super::keeper::Keeper;
use super::many::{missing, together_or_alone};
use super::node::{Node, Opener, Request};
use super::shared::{Shared, State};
use super::spread;
use super::union::Union;
use crate::paused::RealTime;
use crate::repeats::{Repeats, Storing};
use crate::transfers::LONGEST_HIT;

/// A cluster as a [`Backend`]. Cheap to clone; with the last clone the nodes and the task end.
pub struct Cluster<O: Opener>(Arc<Owned<O>>);

impl<O: Opener> Clone for Cluster<O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

pub(super) struct Owned<O: Opener> {
    pub(super) shared: Arc<Shared<O>>,
    keeper: AbortHandle,
    repeats: Option<Repeats>,
}

impl<O: Opener> Drop for Owned<O> {
    fn drop(&mut self) {
        // First: a keeper that ends without it says that its runtime is gone.
        self.shared.close();
        self.keeper.abort();
    }
}

impl<O: Opener> Cluster<O> {
    /// Asks the nodes of the address for the map, in the background and for ever; a command has `bound`, with all of
    /// its redirections and pauses. Within a tokio runtime.
    pub fn open(opener: O, address: &Address, bound: Duration) -> Self {
        let shared = Arc::new(Shared::new(opener, address, bound));
        let keeper = tokio::spawn(Keeper::new(Arc::clone(&shared)).run());
        let keeper = keeper.abort_handle();
        Self(Arc::new_cyclic(|this| {
            let after = shared.opener.repeat_notice();
            let repeats = after.map(|after| Repeats::start(after, Weak::clone(this)));
            Owned {
                shared,
                keeper,
                repeats,
            }
        }))
    }

    /// The pending notices, where notices are repeated.
    pub(crate) fn repeats(&self) -> Option<&Repeats> {
        self.0.repeats.as_ref()
    }

    /// Waits until somebody has told the map, or nobody would, and asks a master whether it runs scripts.
    ///
    /// # Errors
    /// Why nobody would; [`Unsupported`](memolock_core::ErrorKind::Unsupported) without scripts.
    pub async fn ready(&self) -> Result<(), BackendError> {
        let _real = RealTime::hold(4 * self.shared().bound);
        let mut news = self.shared().news();
        // It only ends early with the sender, which we hold ourselves.
        let _ = news
            .wait_for(|news| !matches!(news.state, State::Connecting))
            .await;
        match self.shared().state() {
            State::Down(fault) => return Err(fault.outward(Operation::Connect)),
            State::Closed => return Err(Fault::closed().outward(Operation::Connect)),
            State::Mapped | State::Connecting => {}
        }
        // Nodes of a cluster are set up alike: one of them speaks for all.
        let one = {
            let atlas = self.shared().atlas();
            let masters = atlas.masters().map(Arc::clone);
            masters.min_by_key(|post| post.node.condition() != "up")
        };
        match one {
            Some(post) => {
                let known = post.node.knows_scripts().await;
                known.map_err(|fault| fault.outward(Operation::Connect))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<O>> {
        &self.0.shared
    }

    /// A script on a key all of whose names are in one slot.
    async fn run(&self, key: &Key, call: &Call) -> Result<Reply, Fault> {
        self.shared()
            .carry(key_slot(key), Request::Call(call))
            .await
    }
}

#[async_trait]
impl<O: Opener> Backend for Cluster<O> {
    fn capabilities(&self) -> Capabilities {
        // For the map, for a node's answer, and for those to which that leads; and for large values that pass before it.
        let bound = self.shared().bound.saturating_mul(8);
        let bound = bound.saturating_add(LONGEST_HIT);
        Capabilities::new(O::NAME)
            .layout(Layout::HashTagged)
            .bound(bound)
    }

    async fn check(&self, space: &Keyspace) -> Result<(), BackendError> {
        if !space.notifications().is_sharded() {
            return Ok(());
        }
        if space.layout() != Layout::HashTagged {
            let detail = "sharded notifications on a cluster need Layout::HashTagged";
            return Err(Fault::new(ErrorKind::Config, detail).outward(Operation::Connect));
        }
        let words = ["PUBSUB", "SHARDNUMSUB"].map(Bytes::from);
        match self.shared().carry(0, Request::Words(&words)).await {
            Err(fault) if fault.kind() == ErrorKind::Unsupported => {
                Err(fault.outward(Operation::Connect))
            }
            _ => Ok(()),
        }
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>, BackendError> {
        let words = [Bytes::from_static(b"GET"), key.value_name().into()];
        let answer = self
            .shared()
            .carry(key_slot(key), Request::Words(&words))
            .await;
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
        let outcome = match spread::is_together(key) {
            true => {
                let answer = self.run(key, &calls::acquire(key, token, lease)).await;
                answer.and_then(reply::acquired)
            }
            false => spread::acquire(self.shared(), key, token, lease, None).await,
        };
        outcome.map_err(|fault| fault.on(Operation::Acquire, key))
    }

    async fn acquire_over(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        stale: &Bytes,
    ) -> Result<Acquired, BackendError> {
        let outcome = match spread::is_together(key) {
            true => {
                let call = calls::acquire_over(key, token, lease, stale);
                self.run(key, &call).await.and_then(reply::acquired)
            }
            false => spread::acquire(self.shared(), key, token, lease, Some(stale)).await,
        };
        outcome.map_err(|fault| fault.on(Operation::Acquire, key))
    }

    async fn get_many(&self, keys: &[Key]) -> Vec<Result<Option<Bytes>, BackendError>> {
        let asked = chunked(by_slot(keys, key_slot));
        let asked = asked.map(|(slot, at)| async move {
            let answers = self.get_some(slot, &pick(keys, &at)).await;
            (at, answers)
        });
        let groups = join_all(asked).await;
        in_order(keys.len(), groups, |at| missing(Operation::Get, &keys[at]))
    }

    async fn acquire_many(&self, tries: &[Attempt]) -> Vec<Result<Acquired, BackendError>> {
        let asked = chunked(together_or_alone(tries, |t| &t.key));
        let asked = asked.map(|(slot, at)| async move {
            let answers = self.acquire_some(slot, &pick(tries, &at)).await;
            (at, answers)
        });
        let groups = join_all(asked).await;
        in_order(tries.len(), groups, |at| {
            missing(Operation::Acquire, &tries[at].key)
        })
    }

    async fn fulfil_many(&self, values: &[Fulfilment]) -> Vec<Result<Fulfilled, BackendError>> {
        let groups = together_or_alone(values, |v| &v.key).into_iter();
        let asked = groups.map(|(slot, at)| async move {
            let answers = self.fulfil_some(slot, &pick(values, &at)).await;
            (at, answers)
        });
        let groups = join_all(asked).await;
        in_order(values.len(), groups, |at| {
            missing(Operation::Fulfil, &values[at].key)
        })
    }

    async fn get_timed(&self, keys: &[Key]) -> Result<Vec<Option<Timed>>, BackendError> {
        let asked = chunked(by_slot(keys, key_slot));
        let asked = asked.map(|(slot, at)| async move {
            let answers = self.timed_some(slot, &pick(keys, &at)).await?;
            Ok::<_, BackendError>((at, answers))
        });
        let groups: Result<Vec<_>, _> = join_all(asked).await.into_iter().collect();
        Ok(in_order(keys.len(), groups?, |_| None))
    }

    fn track(&self, space: &Keyspace) -> Option<Tracking> {
        Some(Box::pin(Union::new(self.shared(), space).changes()))
    }

    async fn fulfil(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, BackendError> {
        let storing = Storing::of(self.repeats(), key);
        let outcome = match spread::is_together(key) {
            true => {
                let answer = self.run(key, &calls::fulfil(key, token, value, ttl)).await;
                answer.and_then(reply::fulfilled)
            }
            false => spread::fulfil(self.shared(), key, token, value, ttl).await,
        };
        let outcome = outcome.map_err(|fault| fault.on(Operation::Fulfil, key));
        storing.fulfilled(&outcome);
        outcome
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<bool>, BackendError> {
        let answers = self.renew_each(renewals).await;
        answers.into_iter().collect()
    }

    async fn renew_each(&self, renewals: &[Renewal]) -> Vec<Result<bool, BackendError>> {
        let asked = chunked(by_slot(renewals, |r| spread::lock_slot(&r.key)));
        let asked = asked.map(|(slot, at)| async move {
            let answers = self.renew_some(slot, &pick(renewals, &at)).await;
            (at, answers)
        });
        let groups = join_all(asked).await;
        in_order(renewals.len(), groups, |_| Ok(false))
    }

    async fn release(
        &self,
        key: &Key,
        token: Token,
        notice: Option<Notice>,
    ) -> Result<bool, BackendError> {
        let notice = notice.as_ref();
        let outcome = match spread::is_together(key) {
            true => {
                let answer = self.run(key, &calls::release(key, token, notice)).await;
                answer.and_then(reply::flag)
            }
            false => spread::release(self.shared(), key, token, notice).await,
        };
        outcome.map_err(|fault| fault.on(Operation::Release, key))
    }

    async fn put(
        &self,
        key: &Key,
        value: Bytes,
        ttl: Duration,
        mode: PutMode,
    ) -> Result<(), BackendError> {
        let storing = Storing::of(self.repeats(), key);
        let outcome = match spread::is_together(key) {
            true => self
                .run(key, &calls::put(key, value, ttl, mode))
                .await
                .map(drop),
            false => spread::put(self.shared(), key, value, ttl, mode).await,
        };
        let outcome = outcome.map_err(|fault| fault.on(Operation::Put, key));
        storing.put(&outcome);
        outcome
    }

    async fn invalidate(&self, key: &Key) -> Result<(), BackendError> {
        let outcome = match spread::is_together(key) {
            true => self.run(key, &calls::invalidate(key)).await.map(drop),
            false => spread::invalidate(self.shared(), key).await,
        };
        outcome.map_err(|fault| fault.on(Operation::Invalidate, key))
    }

    async fn inspect(&self, key: &Key) -> Result<Inspection, BackendError> {
        let outcome = match spread::is_together(key) {
            true => {
                let answer = self.run(key, &calls::inspect(key)).await;
                answer.and_then(reply::inspection)
            }
            false => spread::inspect(self.shared(), key).await,
        };
        outcome.map_err(|fault| fault.on(Operation::Inspect, key))
    }

    async fn subscribe(&self, key: &Key) -> Result<Subscription, BackendError> {
        let ear = Ear::open(self.shared(), key).await?;
        Ok(Box::pin(ear.events()))
    }

    /// A master fails by itself. Classic layouts put a key's names on up to three of them: that of its value counts.
    fn failure_domain(&self, key: &Key) -> u64 {
        self.shared().part(key)
    }

    fn introduce(&self, tag: &Tag) {
        self.shared().opener.introduce(tag);
    }

    fn stats(&self) -> BackendStats {
        let mut stats = self.shared().opener.stats();
        let atlas = self.shared().atlas();
        stats.subscriptions = atlas.posts().map(|p| p.node.subscriptions() as u64).sum();
        drop(atlas);
        if let Some(repeats) = self.repeats() {
            repeats.count(&mut stats);
        }
        stats
    }

    async fn close(&self) {
        if let Some(repeats) = self.repeats() {
            repeats.close();
        }
        let posts = self.shared().close();
        self.0.keeper.abort();
        self.shared().home.close();
        let ended = posts
            .iter()
            .map(|post: &Arc<Post<O::Node>>| post.node.ended());
        join_all(ended).await;
    }
}

/// The nodes and their state; never user or password.
impl<O: Opener> fmt::Debug for Cluster<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let atlas = self.shared().atlas();
        let posts: Vec<_> = atlas.posts().map(Arc::clone).collect();
        drop(atlas);
        let mut map = f.debug_map();
        for post in &posts {
            map.entry(
                &format_args!("{}", post.place),
                &format_args!("{}", post.node.condition()),
            );
        }
        map.finish()
    }
}
