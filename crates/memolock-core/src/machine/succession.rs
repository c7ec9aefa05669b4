//! What becomes of a flight when its callers change: another takes over, or none is left.

use super::ends::{cleaning, ended};
use super::external::subscribing;
use super::state::{Lease, State, Try};
use super::{Held, Mode, Outcome};

/// Another caller takes over: work that is bound to a caller begins anew under the same lease.
pub(super) fn adopted(state: State, mode: Mode) -> State {
    match (state, mode) {
        (State::Computing(Lease::Held(held)), Mode::External) => subscribing(Some(held)),
        // Not yet triggered or half-way: there is no trigger any more.
        (
            State::Subscribing {
                ours: Some(held), ..
            }
            | State::Triggering { held },
            Mode::Compute,
        ) => State::Computing(Lease::Held(held)),
        (State::Computing(Lease::None { cause, doubt }), Mode::External | Mode::Read) => {
            ended(Outcome::Backend(cause), doubt)
        }
        // The first one's command may have been carried out.
        (
            State::Fulfilling {
                held,
                value,
                ttl,
                sent,
            },
            _,
        ) => State::Fulfilling {
            held,
            value,
            ttl,
            sent: sent.saturating_add(1),
        },
        // A reader has no work to bring, and after the probe it has its answer.
        (state, Mode::Read) if !matches!(state, State::Probing { .. }) => {
            vacated(state, Outcome::Absent)
        }
        // The same: what it is told now need not be what the first one was, which may have been a grant.
        (State::Acquiring { attempt, rival }, _) => State::Acquiring {
            attempt: doubted(attempt),
            rival,
        },
        (State::Rechecking { attempt, rival }, _) => State::Rechecking {
            attempt: doubted(attempt),
            rival,
        },
        (state, _) => state,
    }
}

/// A try whose reply was read by nobody.
fn doubted(attempt: Try) -> Try {
    Try {
        doubted: true,
        ..attempt
    }
}

/// Nobody is left who wants the flight to go on; it ends with `outcome`, unless it has one.
pub(super) fn vacated(state: State, outcome: Outcome) -> State {
    match state {
        // The command may have been sent, and its reply will not be read.
        State::Acquiring {
            attempt: Try { token, .. },
            ..
        }
        | State::Rechecking {
            attempt: Try { token, .. },
            ..
        }
        | State::Pausing {
            doubt: Some(token), ..
        }
        | State::Waiting {
            doubt: Some(token), ..
        }
        | State::Computing(Lease::Held(Held { token, .. }))
        | State::Computing(Lease::None {
            doubt: Some(token), ..
        })
        | State::Subscribing {
            ours: Some(Held { token, .. }),
            ..
        }
        | State::Triggering {
            held: Held { token, .. },
        } => cleaning(token, outcome),
        // The program that was triggered is still at it: the lock is left to expire, so that a second
        // one is not started over a slow first one.
        State::Attending { .. } | State::Verifying { .. } => State::Settled(outcome),
        // The work is done: finish what was begun.
        state @ (State::Fulfilling { .. }
        | State::Releasing { .. }
        | State::Cleaning(_)
        | State::Settled(_)) => state,
        State::Probing { .. }
        | State::Subscribing { ours: None, .. }
        | State::Pausing { doubt: None, .. }
        | State::Waiting { doubt: None, .. }
        | State::Computing(Lease::None { doubt: None, .. }) => State::Settled(outcome),
    }
}
