//! The states of a flight, each with the data that only it needs.

use std::time::Duration;

use bytes::Bytes;

use super::{Held, Outcome};
use crate::{BackendError, Notice, Timestamp, Token};

/// Where a flight stands. `sent` counts how often the state's command was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// GET is under way.
    Probing { sent: u8 },
    /// The first try for the lease, before there is a subscription.
    Acquiring(Try),
    /// The subscription is under way: to wait for a rival, or (with `ours`) before a trigger is run.
    Subscribing { ours: Option<Held> },
    /// A try for the lease with the subscription in place, so that nothing said after it is missed.
    Rechecking(Try),
    /// Listening. `takeover` is when the rival's lease will have expired; none if it never does.
    Waiting { takeover: Option<Timestamp> },
    /// The caller's compute runs; without a lease only if `cause` is an outage.
    Computing(Lease),
    /// The caller's trigger runs under our lease.
    Triggering { held: Held },
    /// The lease is ours, the trigger has run, another program is to store the value.
    Attending { held: Held },
    /// The same, after a gap: look whether the value came meanwhile, with the token we hold.
    Verifying { held: Held, sent: u8 },
    /// The value is being stored.
    Fulfilling {
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
    /// Callers have their outcome; a store or a release is tried once more in the background.
    Cleaning { task: Cleanup, outcome: Outcome },
    /// Nothing is left to do.
    Settled(Outcome),
}

/// A try for the lease. The same token is sent again when the reply is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Try {
    pub(super) token: Token,
    pub(super) sent: u8,
    pub(super) since: Timestamp,
}

/// What a compute runs under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lease {
    Held(Held),
    /// The store is failing. `doubt` is a token that may have taken a lease all the same.
    None {
        cause: BackendError,
        doubt: Option<Token>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cleanup {
    /// The reply to a fulfil was lost: once more, then release.
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
