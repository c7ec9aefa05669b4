//! What a cell of the matrix is: phase, what becomes of the key meanwhile, who is dropped.

use memolock::core::Operation;

use Phase::*;

/// Where the flight is when it is struck.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Phase {
    Probing,
    Acquiring,
    Subscribing,
    Rechecking,
    Waiting,
    /// Between tries, in an outage.
    Pausing,
    /// For a place among the computes without a lease.
    Queueing,
    Computing,
    Fulfilling,
    Releasing,
    Triggering,
    Attending,
    Verifying,
}

pub(crate) const PHASES: [Phase; 13] = [
    Probing,
    Acquiring,
    Subscribing,
    Rechecking,
    Waiting,
    Pausing,
    Queueing,
    Computing,
    Fulfilling,
    Releasing,
    Triggering,
    Attending,
    Verifying,
];

/// What becomes of the key just before, so that what is under way ends differently.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Meanwhile {
    Nothing,
    Put,
    Invalidated,
}

/// Who is dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Dropped {
    Leader,
    LeaderOfJoiner,
    Joiner,
    Both,
    /// The caller of a detached call, whose work goes on.
    Detached,
    /// Nobody: the memolock is closed.
    Closed,
}

pub(crate) const DROPPED: [Dropped; 6] = [
    Dropped::Leader,
    Dropped::LeaderOfJoiner,
    Dropped::Joiner,
    Dropped::Both,
    Dropped::Detached,
    Dropped::Closed,
];

impl Phase {
    /// The command that is under way.
    pub(crate) fn command(self) -> Option<Operation> {
        Some(match self {
            Probing => Operation::Get,
            Acquiring | Rechecking | Verifying => Operation::Acquire,
            Subscribing => Operation::Subscribe,
            Fulfilling => Operation::Fulfil,
            Releasing => Operation::Release,
            _ => return None,
        })
    }

    pub(crate) fn has_rival(self) -> bool {
        matches!(self, Subscribing | Rechecking | Waiting | Pausing)
    }

    pub(crate) fn is_external(self) -> bool {
        matches!(self, Triggering | Attending | Verifying)
    }
}
