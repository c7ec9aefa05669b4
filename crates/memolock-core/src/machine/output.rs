//! Outputs: what a flight wants done, and how it ended.

use std::time::Duration;

use bytes::Bytes;

use crate::{BackendError, Notice, Timestamp, Token};

/// The one thing to do now. It is a function of the machine's state, so a driver that was dropped
/// half-way is replaced by one that asks again and gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Output {
    /// Ask whether there is a value: `get`.
    Probe,
    /// Try for the lease: `acquire`.
    Acquire {
        /// The token to take it with.
        token: Token,
        /// How long it shall last.
        lease: Duration,
    },
    /// Listen to the key and wait for the confirmation.
    Subscribe,
    /// Wait for what the subscription hears, until the deadline.
    Listen,
    /// Wait until the deadline.
    Pause,
    /// Run the caller's compute. Without a lease the store is failing, and nothing will be stored.
    Compute {
        /// The lease under which it runs.
        lease: Option<Held>,
    },
    /// Run the caller's trigger. What is heard meanwhile is for [`Output::Listen`]: the subscription
    /// must be left unread.
    Trigger,
    /// Store the value: `fulfil`.
    Fulfil {
        /// The token of the lease.
        token: Token,
        /// The encoded value.
        value: Bytes,
        /// How long to keep it.
        ttl: Duration,
    },
    /// Give the lease back: `release`.
    Release {
        /// The token of the lease.
        token: Token,
        /// What to tell listeners.
        notice: Option<Notice>,
    },
    /// Nothing: the flight is over.
    Rest,
}

/// A lease that is believed ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Held {
    /// Its token.
    pub token: Token,
    /// When it was asked for: it cannot have begun earlier.
    pub since: Timestamp,
    /// When it was first asked for, if it was taken again under the same token: from then on `max_lease` counts.
    pub began: Timestamp,
    /// For how long it is kept at most, counted from `began`: as the caller wanted that took it.
    pub max: Duration,
}

/// When the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Deadline {
    /// While listening: when to try for the lease, because the rival's has expired, because it was
    /// given back and the jitter has passed, or because the last try failed.
    Takeover(Timestamp),
    /// While pausing: when to try again because the store failed.
    Retry(Timestamp),
    /// While listening under a lease of our own: when the program that the trigger has started has had its
    /// time. The lease is left to expire then.
    Trigger(Timestamp),
}

impl Deadline {
    /// The moment.
    #[must_use]
    pub const fn at(self) -> Timestamp {
        match self {
            Self::Takeover(at) | Self::Retry(at) | Self::Trigger(at) => at,
        }
    }
}

/// How a flight ended, for every caller that shares it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The value, as stored.
    Value {
        /// Its bytes.
        value: Bytes,
        /// Where it was found.
        origin: Origin,
    },
    /// The driver holds the value that was computed here.
    Computed {
        /// What became of storing it.
        storage: Storage,
    },
    /// Nothing is stored ([`Mode::Read`](super::Mode::Read) only).
    Absent,
    /// The driver holds the error of the compute or the trigger.
    Failed,
    /// The compute panicked.
    Panicked,
    /// A holder elsewhere failed, and failures are shared; its message.
    Remote(String),
    /// The backend failed in a way that there is no working around.
    Backend(BackendError),
    /// No caller was left.
    Abandoned,
}

/// Where a value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// It was stored when the flight began.
    Hit,
    /// Another holder made it while we tried or waited.
    Awaited,
}

/// What became of storing a computed value. In every case the caller has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Storage {
    /// It is stored, and waiters were told.
    Stored,
    /// The lease was lost before: somebody else invalidated, put, or took over. Not stored.
    LeaseLost,
    /// A reply was lost, and the second try found the lease gone: most likely the first one stored it.
    Uncertain,
    /// The compute did not want it stored, or it could not be encoded.
    Declined,
    /// There was no lease because the store was failing.
    Degraded(BackendError),
    /// Storing failed.
    Failed(BackendError),
}

/// What a caller was waiting for when its time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The store's answer whether there is a value.
    Probing,
    /// The store's answer to a try for the lease.
    Acquiring,
    /// The confirmation of the subscription.
    Subscribing,
    /// The holder's value.
    Waiting,
    /// A place among the computes that run without a lease, of which only so many may run at once.
    Queueing,
    /// The caller's own compute or trigger. Not bounded by the wait time-out.
    Working,
    /// The store's confirmation that a value is stored or a lease released.
    Finishing,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Probing => "probing",
            Self::Acquiring => "acquiring",
            Self::Subscribing => "subscribing",
            Self::Waiting => "waiting for the holder",
            Self::Queueing => "waiting for a place among local computes",
            Self::Working => "computing",
            Self::Finishing => "finishing",
        })
    }
}
