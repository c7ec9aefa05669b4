//! The one trait that a store implements.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;

use crate::{BackendError, Event, Key, Layout, Notice, Token};

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
    /// another version of the type and means nothing to the caller. It stays until a fulfil replaces
    /// it, so that those who can read it go on reading it. *Atomic*.
    ///
    /// The default acquires plainly, for backends that cannot do this: where a value of another version
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

    /// Counters since the backend was made.
    fn stats(&self) -> BackendStats;

    /// Ends connections, tasks and subscriptions. Later calls fail with
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed); a second close does nothing. Dropping the
    /// backend ends them too.
    async fn close(&self);
}

/// What a backend is and can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// A short name for reports: `memory`, `redis-rs`.
    pub name: &'static str,
    /// Whether other processes share what is stored here. Default: true.
    pub shared: bool,
    /// The layout in which its operations are atomic. Default: [`Layout::Classic`].
    pub layout: Layout,
}

impl Capabilities {
    /// Capabilities with their defaults.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            shared: true,
            layout: Layout::Classic,
        }
    }

    /// Nobody outside this process sees what is stored.
    #[must_use]
    pub const fn private(mut self) -> Self {
        self.shared = false;
        self
    }

    /// The layout in which its operations are atomic.
    #[must_use]
    pub const fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }
}

/// The answer to [`Backend::acquire`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Acquired {
    /// There is a value; no lease was taken.
    Value(Bytes),
    /// The lease is ours.
    Granted,
    /// Somebody else holds it, for at most this long.
    Held(Remaining),
}

/// How long something stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remaining {
    /// It expires this far from now.
    Expires(Duration),
    /// It never expires. memolock never stores so; a stranger did.
    Forever,
}

/// The answer to [`Backend::fulfil`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fulfilled {
    /// Stored, unlocked, told.
    Stored,
    /// The lock was not ours any more: nothing was changed.
    Lost,
}

/// One lease to renew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The key whose lock it is.
    pub key: Key,
    /// The token that proves it.
    pub token: Token,
    /// How long the lease shall last from now.
    pub lease: Duration,
}

/// What [`Backend::put`] does with a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PutMode {
    /// Deletes it: whatever compute is under way cannot store its value any more.
    #[default]
    Override,
    /// Leaves it to its holder, as an external program does that only stores and publishes.
    Resolve,
}

/// What [`Backend::inspect`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The value, if there is one.
    pub value: Option<ValueInfo>,
    /// The lock, if there is one.
    pub lock: Option<LockInfo>,
    /// What is odd about them, a sentence each, such as a lock that never expires.
    pub oddities: Vec<String>,
}

/// A stored value, seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueInfo {
    /// Its length in bytes.
    pub bytes: u64,
    /// How long it stays.
    pub remaining: Remaining,
}

/// A lock, seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockInfo {
    /// What is stored in it: the holder's token, or whatever a stranger put there.
    pub holder: Bytes,
    /// How long it stays.
    pub remaining: Remaining,
}

/// Counters of a backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendStats {
    /// Commands sent, connection set-up aside; a script counts as one.
    pub commands: u64,
    /// Times a connection was made anew after it broke.
    pub reconnects: u64,
    /// Subscriptions open now.
    pub subscriptions: u64,
}

macro_rules! forward {
    ($pointer:ty) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<B: Backend + ?Sized> Backend for $pointer {
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
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
