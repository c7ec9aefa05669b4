//! The states of a flight, each with the data that only it needs.

use std::time::Duration;

use bytes::Bytes;

use super::{Held, Outcome};
use crate::{BackendError, Notice, Timestamp, Token};

/// Where a flight stands. `sent` counts how often the state's command was sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// GET is under way.
    Probing { sent: u8 },
    /// The first try for the lease, before there is a subscription.
    Acquiring { attempt: Try, rival: Rival },
    /// The store failed while a rival is known to be at it: try again a little later.
    Pausing {
        until: Timestamp,
        rival: Rival,
        doubt: Option<Token>,
    },
    /// The subscription is under way: to wait for a rival, or (with `ours`) before a trigger is run.
    Subscribing {
        ours: Option<Held>,
        rival: Rival,
        sent: u8,
    },
    /// A try for the lease with the subscription in place, so that nothing said after it is missed.
    Rechecking { attempt: Try, rival: Rival },
    /// Listening. `takeover` is when to try for the lease again; none if the rival's never expires.
    /// `doubt` is a token of ours that may have taken the lease all the same.
    Waiting {
        takeover: Option<Timestamp>,
        rival: Rival,
        doubt: Option<Token>,
    },
    /// The caller's compute runs; without a lease only if `cause` is an outage.
    Computing(Lease),
    /// The caller's trigger runs under our lease.
    Triggering { held: Held },
    /// The lease is ours, the trigger has run, another program is to store the value by `until`.
    Attending { held: Held, until: Timestamp },
    /// The same, after a gap or the loss of the lease: look whether the value came meanwhile, and hold
    /// the lease again if nobody else does, with the same token and without a second trigger.
    Verifying {
        held: Held,
        until: Timestamp,
        sent: u8,
    },
    /// The value is being stored.
    Fulfilling {
        sent: u8,
        held: Held,
        value: Bytes,
        ttl: Duration,
    },
    /// The lease is being given back; then callers get `then`.
    Releasing {
        token: Token,
        notice: Option<Notice>,
        then: Outcome,
    },
    /// Callers have their outcome; a store or a release goes on in the background.
    Cleaning(Cleaning),
    /// Nothing is left to do.
    Settled(Outcome),
}

/// A try for the lease. The same token is sent again when the reply is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Try {
    pub(super) token: Token,
    pub(super) sent: u8,
    /// A reply to this token was lost before: it may have taken the lease.
    pub(super) doubted: bool,
    pub(super) since: Timestamp,
}

/// Until when somebody else is known to hold the lease; none if that is not known.
///
/// While it lasts, an outage is no reason to compute here: the holder is at it, and its value comes by
/// push, or the lease runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Rival(pub(super) Option<Timestamp>);

impl Rival {
    pub(super) fn is_alive(self, now: Timestamp) -> bool {
        self.0.is_some_and(|until| now < until)
    }
}

/// A program that did not answer in time, and the lock that it was started under: left to expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Unanswered {
    pub(super) token: Token,
    /// When the lock has expired, as far as is known.
    pub(super) until: Timestamp,
}

/// What a compute runs under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Lease {
    Held(Held),
    /// The store is failing. `doubt` is a token that may have taken a lease all the same.
    None {
        cause: BackendError,
        doubt: Option<Token>,
    },
}

/// Clean-up, tried again until the lease has run out by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Cleaning {
    pub(super) task: Cleanup,
    pub(super) outcome: Outcome,
    /// When it is given up; none before the first failure.
    pub(super) until: Option<Timestamp>,
    /// When to try again, while pausing.
    pub(super) pause: Option<Timestamp>,
    /// How often it was put off: each time the pause doubles, up to a limit.
    pub(super) failures: u8,
    /// The last try was refused by a store that answers.
    pub(super) refused: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Cleanup {
    /// The reply to a fulfil was lost: the value is at hand, and the lease may still be ours.
    Fulfil {
        token: Token,
        value: Bytes,
        ttl: Duration,
    },
    Release {
        token: Token,
        notice: Option<Notice>,
    },
}

impl Cleanup {
    /// Gives back a lease without a word that anybody would act on for its own sake.
    pub(super) fn release(token: Token) -> Self {
        Self::Release {
            token,
            notice: Some(Notice::Released),
        }
    }
}
