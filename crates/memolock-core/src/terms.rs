//! What a backend is asked and answers, besides keys and bytes.

use std::time::Duration;

use bytes::Bytes;

use crate::{Key, Layout, Token};

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
    /// Within which time every command ends, by an error if need be, the time that it waits for a connection included.
    /// Callers whose patience is longer need no timer of their own for it. Default: nothing is promised.
    pub bound: Option<Duration>,
}

impl Capabilities {
    /// Capabilities with their defaults.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            shared: true,
            layout: Layout::Classic,
            bound: None,
        }
    }

    /// Nobody outside this process sees what is stored.
    #[must_use]
    pub const fn private(mut self) -> Self {
        self.shared = false;
        self
    }

    /// Every command ends within this time.
    #[must_use]
    pub const fn bound(mut self, bound: Duration) -> Self {
        self.bound = Some(bound);
        self
    }

    /// The layout in which its operations are atomic.
    #[must_use]
    pub const fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }
}

/// The answer to [`Backend::acquire`](crate::Backend::acquire).
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

/// A lock that stands for longer than this is odd: no peer of memolock takes one, whose leases are renewed.
const ABSURD_LEASE: Duration = Duration::from_secs(24 * 60 * 60);

impl Remaining {
    /// What is odd about a lock that stands for so long, as a sentence: it never expires, or not for more than a day. A
    /// client of 2019 that renews its lock by nanoseconds in place of seconds leaves one of centuries.
    #[must_use]
    pub fn odd_for_a_lock(self) -> Option<String> {
        match self {
            Self::Forever => Some(
                "the lock never expires: nobody computes until it is released or deleted"
                    .to_owned(),
            ),
            Self::Expires(left) if left > ABSURD_LEASE => {
                let hours = left.as_secs() / 3600;
                Some(format!(
                    "the lock expires only in {hours} hours: if its holder is gone, delete it"
                ))
            }
            Self::Expires(_) => None,
        }
    }
}

/// The answer to [`Backend::fulfil`](crate::Backend::fulfil).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fulfilled {
    /// Stored, unlocked, told.
    Stored,
    /// The lock was not ours any more: nothing was changed.
    Lost,
}

/// A value, and how long it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// The value.
    pub value: Bytes,
    /// How long it stays.
    pub remaining: Remaining,
}

/// One try for a lease, among many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The key whose lease it is.
    pub key: Key,
    /// The token that will prove it.
    pub token: Token,
    /// How long the lease shall last.
    pub lease: Duration,
}

/// One value to store under a lease, among many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fulfilment {
    /// The key.
    pub key: Key,
    /// The token that proves the lease.
    pub token: Token,
    /// The value.
    pub value: Bytes,
    /// How long it shall stay.
    pub ttl: Duration,
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

/// What [`Backend::put`](crate::Backend::put) does with a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PutMode {
    /// Deletes it: whatever compute is under way cannot store its value any more.
    #[default]
    Override,
    /// Leaves it to its holder, as an external program does that only stores and publishes.
    Resolve,
}

/// What [`Backend::inspect`](crate::Backend::inspect) found.
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
    /// Values that were published once more, where a backend is told to do so (`repeat_notice`).
    pub repeated_notices: u64,
    /// Notices that were to be repeated and were not: too many were pending, or the store failed.
    pub dropped_notices: u64,
}
