//! The protocol of one flight: one try, by one process, to get one value.
//!
//! A driver asks for [`Machine::output`], does what it says, and feeds what came of it to
//! [`Machine::handle`], until the output is [`Output::Rest`]. As soon as [`Machine::outcome`] is there,
//! callers can go; what is output after that is clean-up and may run in the background.
//!
//! ```text
//! Probing --hit--> Settled
//!   | miss
//! Acquiring --granted--> Computing --value--> Fulfilling --> Settled
//!   | held                    '--error, panic, no store, abandoned--> Releasing --> Settled
//! Subscribing -> Rechecking -> Waiting --value--> Settled
//!                    ^____________'  released, failed, invalidated, expired, resumed after a gap
//!
//! Fulfilling or Releasing, refused or lost --> callers have their outcome, and Cleaning tries again in the background
//!
//! the store fails: while a rival's lease is known to last -> Pausing or Waiting, and try again;
//!                  else -> Computing without a lease, or Settled with the error
//!
//! external: granted -> Subscribing -> Rechecking -> Triggering -> Attending --value--> Releasing -> Settled
//!                                                                  ^ '-resumed, lease lost-> Verifying
//!                                                                  '____________________________'
//!           Attending --no value within the trigger time-out--> Rechecking, then Waiting: our lock is
//!           neither renewed nor released. The next holder of the lease triggers again, or computes
//! ```
//!
//! A driver may be dropped at any moment. The machine does not notice: whoever takes it over asks for
//! the output again and gets the same command with the same token.

mod cleaning;
mod ends;
mod external;
mod input;
mod output;
mod policy;
mod state;
mod step;
mod succession;
#[cfg(test)]
mod tests;
mod tries;

use std::time::Duration;

use crate::{BackendError, Timestamp, Token};

pub use input::{Completion, Input};
pub use output::{Deadline, Held, Origin, Outcome, Output, Phase, Storage};
pub use policy::{FailurePolicy, LeaseLimits, Mode, OutagePolicy, Policy};
use state::{Cleaning, Cleanup, Lease, State, Unanswered};

/// Where random bits come from: the operating system in production, a seed in simulation.
pub trait Entropy {
    /// 128 bits, unguessable where tokens must be.
    fn bits(&mut self) -> u128;
}

/// The state machine of one flight. See the [module](self).
///
/// Two that are equal will do the same for the same inputs: it has no other memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine {
    policy: Policy,
    mode: Mode,
    state: State,
    /// The last program that was started in this flight, if it did not answer in time.
    unanswered: Option<Unanswered>,
}

impl Machine {
    /// A flight that is about to probe.
    #[must_use]
    pub fn new(policy: Policy, mode: Mode) -> Self {
        let state = State::Probing { sent: 1 };
        Self {
            policy,
            mode,
            state,
            unanswered: None,
        }
    }

    /// Another caller is about to take over, and these are its limits.
    pub fn set_limits(&mut self, limits: LeaseLimits) {
        self.policy.limits = limits;
    }

    /// How long a lease may be kept for the caller that drives.
    #[must_use]
    pub fn limits(&self) -> LeaseLimits {
        self.policy.limits
    }

    /// Whether the trigger that is to run is not the first: the program before did not answer in time. A caller
    /// that can compute goes first then.
    #[must_use]
    pub fn triggers_again(&self) -> bool {
        self.unanswered.is_some() && matches!(self.state, State::Triggering { .. })
    }

    /// What to do now.
    #[must_use]
    pub fn output(&self) -> Output {
        match &self.state {
            State::Probing { .. } => Output::Probe,
            State::Acquiring { attempt, .. } | State::Rechecking { attempt, .. } => {
                self.acquire(attempt.token, self.policy.lease)
            }
            State::Verifying { held, .. } => self.acquire(held.token, self.rest_of(*held)),
            State::Pausing { .. } => Output::Pause,
            State::Subscribing { .. } => Output::Subscribe,
            State::Waiting { .. } | State::Attending { .. } => Output::Listen,
            State::Computing(Lease::Held(held)) => Output::Compute { lease: Some(*held) },
            State::Computing(Lease::None { .. }) => Output::Compute { lease: None },
            State::Triggering { .. } => Output::Trigger,
            State::Fulfilling {
                held, value, ttl, ..
            } => Output::Fulfil {
                token: held.token,
                value: value.clone(),
                ttl: *ttl,
            },
            State::Releasing { token, notice, .. } => Output::Release {
                token: *token,
                notice: notice.clone(),
            },
            State::Cleaning(cleaning) => cleaning.output(),
            State::Settled(_) => Output::Rest,
        }
    }

    fn acquire(&self, token: Token, lease: Duration) -> Output {
        Output::Acquire { token, lease }
    }

    /// How the flight ended, once callers can go.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            State::Settled(outcome) | State::Cleaning(Cleaning { outcome, .. }) => Some(outcome),
            _ => None,
        }
    }

    /// When to feed [`Input::Elapsed`], while the output is [`Output::Listen`] or [`Output::Pause`].
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        match self.state {
            State::Waiting { takeover, .. } => takeover.map(Deadline::Takeover),
            State::Pausing { until, .. } => Some(Deadline::Retry(until)),
            State::Cleaning(Cleaning { pause, .. }) => pause.map(Deadline::Retry),
            State::Attending { until, .. } => Some(Deadline::Trigger(until)),
            _ => None,
        }
    }

    /// The lease to keep alive, if the machine holds one. The same token with another `since` is a
    /// lease taken anew: what was known of the old one, such as its loss, no longer counts.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        match &self.state {
            State::Computing(Lease::Held(held))
            | State::Subscribing {
                ours: Some(held), ..
            }
            | State::Triggering { held }
            | State::Attending { held, .. }
            | State::Verifying { held, .. }
            | State::Fulfilling { held, .. } => Some(*held),
            _ => None,
        }
    }

    /// Why there is no lease, while the output is a compute without one.
    #[must_use]
    pub fn cause(&self) -> Option<&BackendError> {
        match &self.state {
            State::Computing(Lease::None { cause, .. }) => Some(cause),
            _ => None,
        }
    }

    /// Whether clean-up pauses because the store refused for now. It answers, so a close may wait for it, while it
    /// does not wait for the end of an outage.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(&self.state, State::Cleaning(cleaning) if cleaning.refused)
    }

    /// What the flight is waiting for: the phase that a time-out names. A caller's wait time-out
    /// applies in every phase but [`Phase::Working`] and [`Phase::Finishing`].
    #[must_use]
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Probing { .. } => Phase::Probing,
            State::Acquiring { .. } => Phase::Acquiring,
            State::Subscribing { .. } => Phase::Subscribing,
            State::Rechecking { .. }
            | State::Pausing { .. }
            | State::Waiting { .. }
            | State::Attending { .. }
            | State::Verifying { .. } => Phase::Waiting,
            State::Computing(_) | State::Triggering { .. } => Phase::Working,
            State::Fulfilling { .. }
            | State::Releasing { .. }
            | State::Cleaning(_)
            | State::Settled(_) => Phase::Finishing,
        }
    }

    /// The state's name, for traces.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match &self.state {
            State::Probing { .. } => "probing",
            State::Acquiring { .. } => "acquiring",
            State::Pausing { .. } => "pausing",
            State::Subscribing { .. } => "subscribing",
            State::Rechecking { .. } => "rechecking",
            State::Waiting { .. } => "waiting",
            State::Computing(_) => "computing",
            State::Triggering { .. } => "triggering",
            State::Attending { .. } => "attending",
            State::Verifying { .. } => "verifying",
            State::Fulfilling { .. } => "fulfilling",
            State::Releasing { .. } => "releasing",
            State::Cleaning(_) => "cleaning",
            State::Settled(_) => "settled",
        }
    }

    /// Takes one input. `entropy` is drawn from only where a token or a jitter is needed.
    pub fn handle(&mut self, now: Timestamp, input: Input, entropy: &mut dyn Entropy) {
        // A placeholder that no path leaves behind: `step` returns the next state in every case.
        let placeholder = State::Probing { sent: 0 };
        let state = std::mem::replace(&mut self.state, placeholder);
        let next = self.step(state, now, input, entropy);
        self.state = self.late(next, now);
    }
}

impl Cleanup {
    fn output(&self) -> Output {
        match self.clone() {
            Self::Fulfil { token, value, ttl } => Output::Fulfil { token, value, ttl },
            Self::Release { token, notice } => Output::Release { token, notice },
        }
    }
}
