//! The one trait that a store implements.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;

use crate::terms::{
    Acquired, Attempt, BackendStats, Capabilities, Fulfilled, Fulfilment, Inspection, PutMode,
    Renewal, Timed,
};
use crate::{BackendError, Event, Key, Keyspace, Notice, Tag, Token, Tracking};

/// What a listener hears of one key. Dropping it unsubscribes. It ends (`None`) only when the
/// backend is closed.
pub type Subscription = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// A store of values and leases with notifications.
///
/// Semantics, not commands: how an operation is carried out is the backend's affair, but each method
/// marked *atomic* takes effect as a whole or not at all, as seen by every other client. The
/// conformance suite of `memolock-testkit` checks every sentence of this page; `docs/backends.md` in
/// the repository is the guide for authors.
///
/// * **Time**: a backend bounds every call in time (a few seconds at most) and fails it with
///   [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) rather than hang. Durations are sent as
///   [`millis`](crate::millis).
/// * **Cancellation**: any returned future may be dropped at any moment. The operation may or may
///   not take effect then, as after a lost reply; nothing may leak.
/// * **Order**: operations of one process on one key take effect in the order in which they were
///   first polled, where the store allows it.
/// * **Errors**: typed; [`is_ambiguous`](BackendError::is_ambiguous) where the effect is unknown. No
///   data in the store and no message may cause a panic.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// What this backend is and can do. Constant over its life.
    fn capabilities(&self) -> Capabilities;

    /// Whether this keyspace can be served as it asks to be: its layout, its notifications. Asked once, before
    /// anything else, of a keyspace that asks for something other than the default; an outage is no reason to say no.
    ///
    /// The default says yes.
    async fn check(&self, space: &Keyspace) -> Result<(), BackendError> {
        let _ = space;
        Ok(())
    }

    /// The value, if there is one. The empty string is a value.
    async fn get(&self, key: &Key) -> Result<Option<Bytes>, BackendError>;

    /// Takes the lease unless there is a value. *Atomic*, in this order: a value is returned; a free
    /// lock is taken for `lease`; a lock that already holds `token` is ours (an earlier reply was
    /// lost) and its lease begins anew; else the holder's remaining time is told.
    async fn acquire(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
    ) -> Result<Acquired, BackendError>;

    /// As [`acquire`](Backend::acquire), but a value that is exactly `stale` counts as none: it is of
    /// another version of the type, or cannot be decoded, and means nothing to the caller. It stays until a fulfil replaces
    /// it, so that those who can read it go on reading it. *Atomic*.
    ///
    /// The default acquires plainly, for backends that cannot do this: where such a value
    /// is stored, their callers get an error instead of computing.
    async fn acquire_over(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        stale: &Bytes,
    ) -> Result<Acquired, BackendError> {
        let _ = stale;
        self.acquire(key, token, lease).await
    }

    /// The values of many keys, one answer a key, in order: as so many [`get`](Backend::get)s, together.
    /// What is not a value but something else may count as none here, for the others' sake.
    ///
    /// The default gets them one after another, which is right and slow.
    async fn get_many(&self, keys: &[Key]) -> Vec<Result<Option<Bytes>, BackendError>> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(self.get(key).await);
        }
        values
    }

    /// As [`get_many`](Backend::get_many), with the time that each value still has, for those who keep
    /// copies. A time may be that of a value that was stored over the one that is answered, if that
    /// happened meanwhile; never that of an older one.
    ///
    /// The default asks one after another, for the value and then for its time.
    async fn get_timed(&self, keys: &[Key]) -> Result<Vec<Option<Timed>>, BackendError> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(value) = self.get(key).await? else {
                values.push(None);
                continue;
            };
            let info = self.inspect(key).await?.value;
            let remaining = info.map(|info| info.remaining);
            values.push(remaining.map(|remaining| Timed { value, remaining }));
        }
        Ok(values)
    }

    /// Tries for many leases, one answer a try, in order: as so many [`acquire`](Backend::acquire)s, each
    /// *atomic* by itself, together. One that fails does not fail the others. No key comes twice.
    ///
    /// The default tries one after another.
    async fn acquire_many(&self, tries: &[Attempt]) -> Vec<Result<Acquired, BackendError>> {
        let mut answers = Vec::with_capacity(tries.len());
        for Attempt { key, token, lease } in tries {
            answers.push(self.acquire(key, *token, *lease).await);
        }
        answers
    }

    /// Stores many values, one answer a value, in order: as so many [`fulfil`](Backend::fulfil)s, each
    /// *atomic* by itself, together. One that fails does not fail the others. No key comes twice.
    ///
    /// The default stores them one after another.
    async fn fulfil_many(&self, values: &[Fulfilment]) -> Vec<Result<Fulfilled, BackendError>> {
        let mut answers = Vec::with_capacity(values.len());
        for Fulfilment {
            key,
            token,
            value,
            ttl,
        } in values
        {
            answers.push(self.fulfil(key, *token, value.clone(), *ttl).await);
        }
        answers
    }

    /// Listens to changes of every value of a keyspace, by whomever, for those who keep copies. It returns
    /// at once; the stream begins deaf, as after a [`Change::Gap`](crate::Change::Gap). Dropping it ends it.
    ///
    /// The default is `None`: this backend cannot, and copies are good for as long as their age allows.
    fn track(&self, space: &Keyspace) -> Option<Tracking> {
        let _ = space;
        None
    }

    /// Stores the value, deletes the lock and tells listeners the value, if the lock holds `token`;
    /// else changes nothing. *Atomic*: a listener that is told finds the value stored.
    async fn fulfil(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, BackendError>;

    /// Sets the remaining time of each lease that is still held by its token; one answer per
    /// renewal, in order, `false` where the lease is lost. Many travel together. Each is *atomic*.
    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<bool>, BackendError>;

    /// As [`renew`](Backend::renew), with an answer for each renewal even where others fail: for backends of which a
    /// part can fail by itself. What has no answer is neither renewed for certain nor lost.
    ///
    /// The default fails them together.
    async fn renew_each(&self, renewals: &[Renewal]) -> Vec<Result<bool, BackendError>> {
        match self.renew(renewals).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error); renewals.len()],
        }
    }

    /// Deletes the lock if it holds `token`, and then tells listeners the notice, if there is one.
    /// Says whether the lock was ours; a foreign lock is untouched and nothing is told. *Atomic*.
    async fn release(
        &self,
        key: &Key,
        token: Token,
        notice: Option<Notice>,
    ) -> Result<bool, BackendError>;

    /// Stores a value unconditionally and tells listeners; `mode` says what becomes of a lock. *Atomic*.
    async fn put(
        &self,
        key: &Key,
        value: Bytes,
        ttl: Duration,
        mode: PutMode,
    ) -> Result<(), BackendError>;

    /// Deletes value and lock and tells listeners [`Notice::Invalidated`], whether or not there was
    /// anything. *Atomic*.
    async fn invalidate(&self, key: &Key) -> Result<(), BackendError>;

    /// Looks at value and lock without changing them.
    async fn inspect(&self, key: &Key) -> Result<Inspection, BackendError>;

    /// Listens to this key, and only to it. Returns once the store has confirmed: every message
    /// published after that is heard, unless [`Event::Gap`] says otherwise, and none that was
    /// published before this call. After a gap, [`Event::Resumed`] comes once messages flow again.
    async fn subscribe(&self, key: &Key) -> Result<Subscription, BackendError>;

    /// The part of the store that answers for this key, as far as parts can fail by themselves: a number that keys of one
    /// part share now. Whoever finds that a part does not answer spares that part, and goes on asking the others. It
    /// may be another number after a failover. Asked in trouble alone.
    ///
    /// The default says that the store fails as a whole.
    fn failure_domain(&self, key: &Key) -> u64 {
        let _ = key;
        0
    }

    /// Somebody who memoizes calls of this tag uses the backend from now on: for those who look at the store's
    /// list of connections. It returns at once, costs nothing if the store will not be told, and nothing
    /// depends on it.
    ///
    /// The default tells nobody.
    fn introduce(&self, tag: &Tag) {
        let _ = tag;
    }

    /// Counters since the backend was made.
    fn stats(&self) -> BackendStats;

    /// Ends connections, tasks and subscriptions. Later calls fail with
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed); a second close does nothing. Dropping the
    /// backend ends them too.
    async fn close(&self);
}

macro_rules! forward {
    ($pointer:ty) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<B: Backend + ?Sized> Backend for $pointer {
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }
            fn failure_domain(&self, key: &Key) -> u64 {
                (**self).failure_domain(key)
            }
            async fn check(&self, space: &Keyspace) -> Result<(), BackendError> {
                (**self).check(space).await
            }
            async fn get(&self, key: &Key) -> Result<Option<Bytes>, BackendError> {
                (**self).get(key).await
            }
            async fn acquire(
                &self,
                key: &Key,
                token: Token,
                lease: Duration,
            ) -> Result<Acquired, BackendError> {
                (**self).acquire(key, token, lease).await
            }
            async fn acquire_over(
                &self,
                key: &Key,
                token: Token,
                lease: Duration,
                stale: &Bytes,
            ) -> Result<Acquired, BackendError> {
                (**self).acquire_over(key, token, lease, stale).await
            }
            async fn get_many(&self, keys: &[Key]) -> Vec<Result<Option<Bytes>, BackendError>> {
                (**self).get_many(keys).await
            }
            async fn get_timed(&self, keys: &[Key]) -> Result<Vec<Option<Timed>>, BackendError> {
                (**self).get_timed(keys).await
            }
            async fn acquire_many(&self, tries: &[Attempt]) -> Vec<Result<Acquired, BackendError>> {
                (**self).acquire_many(tries).await
            }
            async fn fulfil_many(
                &self,
                values: &[Fulfilment],
            ) -> Vec<Result<Fulfilled, BackendError>> {
                (**self).fulfil_many(values).await
            }
            fn track(&self, space: &Keyspace) -> Option<Tracking> {
                (**self).track(space)
            }
            async fn fulfil(
                &self,
                key: &Key,
                token: Token,
                value: Bytes,
                ttl: Duration,
            ) -> Result<Fulfilled, BackendError> {
                (**self).fulfil(key, token, value, ttl).await
            }
            async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<bool>, BackendError> {
                (**self).renew(renewals).await
            }
            async fn renew_each(&self, renewals: &[Renewal]) -> Vec<Result<bool, BackendError>> {
                (**self).renew_each(renewals).await
            }
            async fn release(
                &self,
                key: &Key,
                token: Token,
                notice: Option<Notice>,
            ) -> Result<bool, BackendError> {
                (**self).release(key, token, notice).await
            }
            async fn put(
                &self,
                key: &Key,
                value: Bytes,
                ttl: Duration,
                mode: PutMode,
            ) -> Result<(), BackendError> {
                (**self).put(key, value, ttl, mode).await
            }
            async fn invalidate(&self, key: &Key) -> Result<(), BackendError> {
                (**self).invalidate(key).await
            }
            async fn inspect(&self, key: &Key) -> Result<Inspection, BackendError> {
                (**self).inspect(key).await
            }
            async fn subscribe(&self, key: &Key) -> Result<Subscription, BackendError> {
                (**self).subscribe(key).await
            }
            fn introduce(&self, tag: &Tag) {
                (**self).introduce(tag);
            }
            fn stats(&self) -> BackendStats {
                (**self).stats()
            }
            async fn close(&self) {
                (**self).close().await;
            }
        }
    };
}

forward!(Arc<B>);
forward!(Box<B>);
