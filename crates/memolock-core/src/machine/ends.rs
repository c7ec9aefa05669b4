//! How flights end: what becomes of the work, of the lease, and what callers get.

use super::state::{Cleaning, Cleanup, Lease, State};
use super::{Completion, Origin, Outcome, Storage};
use crate::{Fulfilled, Notice, Token};

pub(super) fn computed(lease: Lease, completion: Completion) -> State {
    let (notice, outcome) = match completion {
        Completion::Value { value, ttl } => match lease {
            Lease::Held(held) => {
                return State::Fulfilling {
                    held,
                    value,
                    ttl,
                    sent: 1,
                };
            }
            Lease::None { cause, doubt } => {
                let outcome = computed_outcome(Storage::Degraded(cause));
                return ended(outcome, doubt);
            }
        },
        Completion::Unstored => (Notice::Released, computed_outcome(Storage::Declined)),
        Completion::Failed(message) => (Notice::failed(&message), Outcome::Failed),
        Completion::Panicked => (Notice::failed("panicked"), Outcome::Panicked),
    };
    match lease {
        Lease::Held(held) => releasing(held.token, Some(notice), outcome),
        Lease::None {
            doubt: Some(token), ..
        } => cleaning(token, outcome),
        Lease::None { doubt: None, .. } => State::Settled(outcome),
    }
}

pub(super) fn stored(fulfilled: Fulfilled) -> Storage {
    match fulfilled {
        Fulfilled::Stored => Storage::Stored,
        Fulfilled::Lost => Storage::LeaseLost,
    }
}

pub(super) fn computed_outcome(storage: Storage) -> Outcome {
    Outcome::Computed { storage }
}

pub(super) fn value_outcome(value: bytes::Bytes, origin: Origin) -> Outcome {
    Outcome::Value { value, origin }
}

/// A value that was made elsewhere.
pub(super) fn found(value: bytes::Bytes, doubt: Option<Token>) -> State {
    ended(value_outcome(value, Origin::Awaited), doubt)
}

pub(super) fn releasing(token: Token, notice: Option<Notice>, then: Outcome) -> State {
    State::Releasing {
        token,
        notice,
        then,
    }
}

/// The end, with a token that may still hold the lease given back behind the callers' backs.
pub(super) fn ended(outcome: Outcome, doubt: Option<Token>) -> State {
    match doubt {
        Some(token) => cleaning(token, outcome),
        None => State::Settled(outcome),
    }
}

pub(super) fn cleaning(token: Token, outcome: Outcome) -> State {
    clean(Cleanup::release(token), outcome)
}

/// Callers have their outcome; the rest goes on behind their backs.
pub(super) fn clean(task: Cleanup, outcome: Outcome) -> State {
    State::Cleaning(Cleaning::new(task, outcome))
}
