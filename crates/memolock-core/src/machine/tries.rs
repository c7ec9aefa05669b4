//! Tries for the lease, and waiting between them.

use std::time::Duration;

use super::ends::{ended, found};
use super::state::{Lease, Rival, State, Try};
use super::{Entropy, FailurePolicy, Held, Machine, Mode, OutagePolicy, Outcome};
use crate::{Acquired, BackendError, ErrorKind, Message, Notice, Remaining, Timestamp, Token};

impl Machine {
    /// Reads the reply to a try for the lease.
    pub(super) fn acquired(
        &self,
        t: Try,
        now: Timestamp,
        reply: Result<Acquired, BackendError>,
    ) -> Tried {
        match reply {
            Ok(Acquired::Granted) => Tried::Granted(Held {
                token: t.token,
                since: t.since,
                began: t.since,
                max: self.policy.limits.max_lease,
            }),
            Ok(Acquired::Held(remaining)) => Tried::Held(remaining),
            // The lost reply may have been a grant, with a stranger's SET after it.
            Ok(Acquired::Value(value)) => Tried::Value(found(value, t.doubted.then_some(t.token))),
            Err(error) if self.again(t.sent, &error) => Tried::Again(Try {
                sent: t.sent + 1,
                doubted: true,
                since: now,
                ..t
            }),
            Err(error) => {
                let doubt = (t.doubted || error.is_ambiguous()).then_some(t.token);
                Tried::Failed(error, doubt)
            }
        }
    }

    /// What a waiter makes of a message.
    pub(super) fn told(
        &mut self,
        takeover: Option<Timestamp>,
        doubt: Option<Token>,
        message: Message,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> State {
        let message = match (message, self.lapsing(now)) {
            // Of the program that did not answer in time: while its lock stands, nobody else is at it.
            (Message::Notice(Notice::Failed(message)), Some(token)) => {
                return self.failed_late(token, message);
            }
            (message, _) => message,
        };
        match (message, self.policy.failures) {
            (Message::Value(value), _) => found(value, doubt),
            (Message::Notice(Notice::Failed(message)), FailurePolicy::Share) => {
                ended(Outcome::Remote(message), doubt)
            }
            // The rival has given up: who is next is open.
            (Message::Notice(_), _) => {
                self.learned(Some(now));
                let soon = now.after(spread(self.policy.retry_jitter, entropy));
                State::Waiting {
                    takeover: Some(takeover.map_or(soon, |at| at.min(soon))),
                    rival: Rival::default(),
                    doubt,
                }
            }
        }
    }

    /// What a waiter makes of a value that its driver passes over: it asks the store again, after the delay of a notice.
    /// The lease may be free. A `known` value says nothing of the rival, which may still be at work under its lease: the
    /// notice may have been repeated.
    pub(super) fn passed_over(
        &self,
        takeover: Option<Timestamp>,
        rival: Rival,
        doubt: Option<Token>,
        known: bool,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> State {
        let soon = now.after(spread(self.policy.retry_jitter, entropy));
        State::Waiting {
            takeover: Some(takeover.map_or(soon, |at| at.min(soon))),
            rival: if known { rival } else { Rival::default() },
            doubt,
        }
    }

    /// Waits for a rival, a little longer than its lease. Who can compute comes before who can only trigger:
    /// a program may be dead.
    pub(super) fn waiting(
        &mut self,
        rival: Rival,
        doubt: Option<Token>,
        entropy: &mut dyn Entropy,
    ) -> State {
        self.learned(rival.0);
        let jitter = self.policy.takeover_jitter;
        let behind = match self.mode {
            Mode::External => jitter,
            Mode::Compute | Mode::Read => Duration::ZERO,
        };
        let late = |at: Timestamp| at.after(behind).after(spread(jitter, entropy));
        State::Waiting {
            takeover: rival.0.map(late),
            rival,
            doubt,
        }
    }

    pub(super) fn pausing(
        &self,
        rival: Rival,
        doubt: Option<Token>,
        error: &BackendError,
        now: Timestamp,
    ) -> State {
        State::Pausing {
            until: self.retry_at(rival, error, now),
            rival,
            doubt,
        }
    }

    /// When to try again in an outage: soon, and no later than the rival's lease is over. After an error that is not
    /// known, not before its pause is over.
    pub(super) fn retry_at(
        &self,
        Rival(until): Rival,
        error: &BackendError,
        now: Timestamp,
    ) -> Timestamp {
        let soon = now.after(self.policy.outage_pause);
        let soon = until.map_or(soon, |until| until.min(soon));
        match error.kind() {
            ErrorKind::Unrecognized => soon.max(now.after(self.policy.unrecognized_pause)),
            _ => soon,
        }
    }

    /// Whether a command is sent again at once.
    pub(super) fn again(&self, sent: u8, error: &BackendError) -> bool {
        error.is_reply_lost() && sent < self.policy.attempts
    }

    /// The store is failing. `doubt` is a token that may hold a lease all the same.
    pub(super) fn outage(&self, cause: BackendError, doubt: Option<Token>) -> State {
        let local = self.mode == Mode::Compute
            && self.policy.outage != OutagePolicy::Fail
            && cause.is_outage();
        match local {
            true => State::Computing(Lease::None { cause, doubt }),
            false => ended(Outcome::Backend(cause), doubt),
        }
    }
}

/// What came of a try for the lease.
pub(super) enum Tried {
    Again(Try),
    Granted(Held),
    Held(Remaining),
    /// There is a value: the state that gives it.
    Value(State),
    /// With the token that may hold the lease all the same.
    Failed(BackendError, Option<Token>),
}

impl Rival {
    pub(super) fn known(now: Timestamp, remaining: Remaining) -> Self {
        match remaining {
            Remaining::Expires(left) => Self(Some(now.after(left))),
            Remaining::Forever => Self(None),
        }
    }
}

/// Whether to wait an outage out: the holder is at it, and its value will come, or its lease run out.
pub(super) fn patient(error: &BackendError, rival: Rival, now: Timestamp) -> bool {
    error.is_retryable() && rival.is_alive(now)
}

/// A try for the lease, with the token that is in doubt if there is one: it may hold it already.
pub(super) fn attempt(doubt: Option<Token>, now: Timestamp, entropy: &mut dyn Entropy) -> Try {
    Try {
        token: doubt.unwrap_or_else(|| Token::from_bits(entropy.bits())),
        sent: 1,
        doubted: doubt.is_some(),
        since: now,
    }
}

pub(super) fn acquiring(
    rival: Rival,
    doubt: Option<Token>,
    now: Timestamp,
    entropy: &mut dyn Entropy,
) -> State {
    let attempt = attempt(doubt, now, entropy);
    State::Acquiring { attempt, rival }
}

pub(super) fn rechecking(
    rival: Rival,
    doubt: Option<Token>,
    now: Timestamp,
    entropy: &mut dyn Entropy,
) -> State {
    let attempt = attempt(doubt, now, entropy);
    State::Rechecking { attempt, rival }
}

/// A duration below `most`, evenly spread.
pub(super) fn spread(most: Duration, entropy: &mut dyn Entropy) -> Duration {
    // 32 random bits as a fraction of `most`.
    #[allow(clippy::cast_possible_truncation)] // The low bits are all that is wanted.
    let fraction = f64::from(entropy.bits() as u32) / (f64::from(u32::MAX) + 1.0);
    most.mul_f64(fraction)
}
