//! The transitions: a state and an input give the next state.

use std::time::Duration;

use super::state::{Cleanup, Lease, State, Try};
use super::{
    Completion, Entropy, FailurePolicy, Held, Input, Machine, Mode, Origin, OutagePolicy, Outcome,
    Storage,
};
use crate::{
    Acquired, BackendError, Event, Fulfilled, Message, Notice, Remaining, Timestamp, Token,
};

impl Machine {
    /// The whole protocol in one table. What is not in it "cannot happen", and changes nothing.
    pub(super) fn step(
        &mut self,
        state: State,
        now: Timestamp,
        input: Input,
        entropy: &mut dyn Entropy,
    ) -> State {
        match (state, input) {
            (State::Probing { sent }, Input::Probed(reply)) => match reply {
                Ok(Some(value)) => settled_value(value, Origin::Hit),
                Ok(None) if self.mode == Mode::Read => State::Settled(Outcome::Absent),
                Ok(None) => State::Acquiring(Try::new(now, entropy)),
                Err(error) if self.again(sent, &error) => State::Probing { sent: sent + 1 },
                Err(error) => self.outage(error, None),
            },
            (State::Acquiring(t), Input::Acquired(reply)) => match self.acquired(t, now, reply) {
                Tried::Again(t) => State::Acquiring(t),
                Tried::Granted(held) if self.mode == Mode::External => {
                    State::Subscribing { ours: Some(held) }
                }
                Tried::Granted(held) => State::Computing(Lease::Held(held)),
                Tried::Held(_) => State::Subscribing { ours: None },
                Tried::Ended(state) => state,
            },
            (State::Rechecking(t), Input::Acquired(reply)) => match self.acquired(t, now, reply) {
                Tried::Again(t) => State::Rechecking(t),
                Tried::Granted(held) if self.mode == Mode::External => State::Triggering { held },
                Tried::Granted(held) => State::Computing(Lease::Held(held)),
                Tried::Held(remaining) => self.waiting(now, remaining, entropy),
                Tried::Ended(state) => state,
            },
            (State::Subscribing { ours }, Input::Subscribed(reply)) => match (reply, ours) {
                (Ok(()), None) => State::Rechecking(Try::new(now, entropy)),
                (Ok(()), Some(held)) => State::Triggering { held },
                (Err(error), None) => self.outage(error, None),
                (Err(error), Some(held)) => {
                    releasing(held.token, Some(Notice::Released), Outcome::Backend(error))
                }
            },
            (State::Waiting { takeover }, Input::Heard(event)) => {
                self.heard(takeover, event, now, entropy)
            }
            (State::Waiting { takeover: Some(at) }, Input::Elapsed) if now >= at => {
                State::Rechecking(Try::new(now, entropy))
            }
            (State::Waiting { .. }, Input::Silenced(error)) => self.outage(error, None),
            (State::Computing(lease), Input::Computed(completion)) => computed(lease, completion),
            (State::Triggering { held }, Input::Triggered(Ok(()))) => State::Attending { held },
            (State::Triggering { held }, Input::Triggered(Err(message))) => {
                releasing(held.token, Some(Notice::failed(&message)), Outcome::Failed)
            }
            (State::Attending { held }, Input::Heard(event)) => attended(held, event, now, entropy),
            // Not while triggering: the trigger is running, and what becomes of it is found out after.
            (State::Attending { .. }, Input::LeaseLost) => {
                State::Rechecking(Try::new(now, entropy))
            }
            (State::Attending { held }, Input::Silenced(error)) => {
                releasing(held.token, Some(Notice::Released), Outcome::Backend(error))
            }
            (State::Verifying { held, sent }, Input::Acquired(reply)) => {
                self.verified(held, sent, reply, now, entropy)
            }
            (State::Fulfilling { held, value, ttl }, Input::Fulfilled(reply)) => match reply {
                Ok(fulfilled) => State::Settled(computed_outcome(stored(fulfilled))),
                // The store said no, so the lock is still ours: let the next one try.
                Err(error) if !error.is_ambiguous() => {
                    let outcome = computed_outcome(Storage::Failed(error));
                    releasing(held.token, Some(Notice::Released), outcome)
                }
                // It may be stored or not. The value must not wait for that to be found out.
                Err(error) => State::Cleaning {
                    task: Cleanup::Fulfil {
                        token: held.token,
                        value,
                        ttl,
                    },
                    outcome: computed_outcome(Storage::Failed(error)),
                },
            },
            (
                State::Releasing {
                    token,
                    notice,
                    then,
                },
                Input::Released(reply),
            ) => match reply {
                Err(error) if error.is_ambiguous() => State::Cleaning {
                    task: Cleanup::Release { token, notice },
                    outcome: then,
                },
                _ => State::Settled(then),
            },
            (
                State::Cleaning {
                    task: Cleanup::Fulfil { token, .. },
                    outcome,
                },
                Input::Fulfilled(reply),
            ) => match reply {
                Ok(_) => State::Settled(outcome),
                Err(_) => State::Cleaning {
                    task: Cleanup::release(token),
                    outcome,
                },
            },
            (
                State::Cleaning {
                    task: Cleanup::Release { .. },
                    outcome,
                },
                Input::Released(_),
            ) => State::Settled(outcome),
            (state, Input::Adopted(mode)) => {
                self.mode = mode;
                adopted(state, mode)
            }
            (state, Input::Abandoned) => vacated(state, Outcome::Abandoned),
            (state, _) => state,
        }
    }

    /// Reads the reply to a try for the lease.
    fn acquired(&self, t: Try, now: Timestamp, reply: Result<Acquired, BackendError>) -> Tried {
        match reply {
            Ok(Acquired::Granted) => Tried::Granted(Held {
                token: t.token,
                since: t.since,
            }),
            Ok(Acquired::Held(remaining)) => Tried::Held(remaining),
            Ok(Acquired::Value(value)) => Tried::Ended(match t.sent {
                1 => settled_value(value, Origin::Awaited),
                // The lost reply may have been a grant, with a stranger's SET after it.
                _ => cleaning(t.token, value_outcome(value, Origin::Awaited)),
            }),
            Err(error) if self.again(t.sent, &error) => Tried::Again(Try {
                sent: t.sent + 1,
                since: now,
                ..t
            }),
            Err(error) => {
                let doubt = (t.sent > 1 || error.is_ambiguous()).then_some(t.token);
                Tried::Ended(self.outage(error, doubt))
            }
        }
    }

    /// After a gap in the subscription of a lease that we hold.
    fn verified(
        &self,
        held: Held,
        sent: u8,
        reply: Result<Acquired, BackendError>,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> State {
        match reply {
            Ok(Acquired::Value(value)) => {
                releasing(held.token, None, value_outcome(value, Origin::Awaited))
            }
            Ok(Acquired::Granted) => State::Attending { held },
            Ok(Acquired::Held(remaining)) => self.waiting(now, remaining, entropy),
            Err(error) if self.again(sent, &error) => State::Verifying {
                held,
                sent: sent + 1,
            },
            Err(error) => releasing(held.token, Some(Notice::Released), Outcome::Backend(error)),
        }
    }

    /// What a waiter makes of an event.
    fn heard(
        &self,
        takeover: Option<Timestamp>,
        event: Event,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> State {
        match event {
            Event::Message(Message::Value(value)) => settled_value(value, Origin::Awaited),
            Event::Message(Message::Notice(Notice::Failed(message)))
                if self.policy.failures == FailurePolicy::Share =>
            {
                State::Settled(Outcome::Remote(message))
            }
            Event::Message(Message::Notice(_)) => {
                let soon = now.after(spread(self.policy.retry_jitter, entropy));
                let takeover = Some(takeover.map_or(soon, |at| at.min(soon)));
                State::Waiting { takeover }
            }
            // Deaf until resumed; the takeover deadline still holds.
            Event::Gap => State::Waiting { takeover },
            Event::Resumed => State::Rechecking(Try::new(now, entropy)),
        }
    }

    fn waiting(&self, now: Timestamp, remaining: Remaining, entropy: &mut dyn Entropy) -> State {
        let takeover = match remaining {
            Remaining::Forever => None,
            Remaining::Expires(left) => {
                let late = spread(self.policy.takeover_jitter, entropy);
                Some(now.after(left).after(late))
            }
        };
        State::Waiting { takeover }
    }

    fn again(&self, sent: u8, error: &BackendError) -> bool {
        error.is_ambiguous() && sent < self.policy.attempts
    }

    /// The store is failing. `doubt` is a token that may hold a lease all the same.
    fn outage(&self, cause: BackendError, doubt: Option<Token>) -> State {
        let local = self.mode == Mode::Compute
            && self.policy.outage == OutagePolicy::Compute
            && cause.is_outage();
        match (local, doubt) {
            (true, doubt) => State::Computing(Lease::None { cause, doubt }),
            (false, Some(token)) => cleaning(token, Outcome::Backend(cause)),
            (false, None) => State::Settled(Outcome::Backend(cause)),
        }
    }
}

/// What came of a try for the lease.
enum Tried {
    Again(Try),
    Granted(Held),
    Held(Remaining),
    Ended(State),
}

impl Try {
    fn new(now: Timestamp, entropy: &mut dyn Entropy) -> Self {
        Self {
            token: Token::from_bits(entropy.bits()),
            sent: 1,
            since: now,
        }
    }
}

fn computed(lease: Lease, completion: Completion) -> State {
    let (notice, outcome) = match completion {
        Completion::Value { value, ttl } => match lease {
            Lease::Held(held) => return State::Fulfilling { held, value, ttl },
            Lease::None { cause, doubt } => {
                let outcome = computed_outcome(Storage::Degraded(cause));
                return doubt.map_or(State::Settled(outcome.clone()), |t| cleaning(t, outcome));
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

/// What the holder of an external promise makes of an event.
fn attended(held: Held, event: Event, now: Timestamp, entropy: &mut dyn Entropy) -> State {
    match event {
        Event::Message(Message::Value(value)) => {
            // Everybody else was told by the same message.
            releasing(held.token, None, value_outcome(value, Origin::Awaited))
        }
        // The external program may report that it failed.
        Event::Message(Message::Notice(Notice::Failed(message))) => releasing(
            held.token,
            Some(Notice::Failed(message.clone())),
            Outcome::Remote(message),
        ),
        // The lock is gone, and what the program is making is stale: start over.
        Event::Message(Message::Notice(Notice::Invalidated)) => {
            State::Rechecking(Try::new(now, entropy))
        }
        // From a holder before us.
        Event::Message(Message::Notice(Notice::Released)) | Event::Gap => State::Attending { held },
        Event::Resumed => State::Verifying { held, sent: 1 },
    }
}

/// Another caller takes over: work that is bound to a caller begins anew under the same lease.
fn adopted(state: State, mode: Mode) -> State {
    match (state, mode) {
        (State::Computing(Lease::Held(held)), Mode::External) => {
            State::Subscribing { ours: Some(held) }
        }
        // Not yet triggered or half-way: there is no trigger any more.
        (State::Subscribing { ours: Some(held) } | State::Triggering { held }, Mode::Compute) => {
            State::Computing(Lease::Held(held))
        }
        (State::Computing(Lease::None { cause, doubt }), Mode::External | Mode::Read) => {
            match doubt {
                Some(token) => cleaning(token, Outcome::Backend(cause)),
                None => State::Settled(Outcome::Backend(cause)),
            }
        }
        // A reader has no work to bring, and after the probe it has its answer.
        (state, Mode::Read) if !matches!(state, State::Probing { .. }) => {
            vacated(state, Outcome::Absent)
        }
        (state, _) => state,
    }
}

/// Nobody is left who wants the flight to go on; it ends with `outcome`, unless it has one.
fn vacated(state: State, outcome: Outcome) -> State {
    match state {
        // The command may have been sent, and its reply will not be read.
        State::Acquiring(Try { token, .. })
        | State::Rechecking(Try { token, .. })
        | State::Computing(Lease::Held(Held { token, .. }))
        | State::Computing(Lease::None {
            doubt: Some(token), ..
        })
        | State::Subscribing {
            ours: Some(Held { token, .. }),
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
        | State::Cleaning { .. }
        | State::Settled(_)) => state,
        State::Probing { .. }
        | State::Subscribing { ours: None }
        | State::Waiting { .. }
        | State::Computing(Lease::None { doubt: None, .. }) => State::Settled(outcome),
    }
}

fn stored(fulfilled: Fulfilled) -> Storage {
    match fulfilled {
        Fulfilled::Stored => Storage::Stored,
        Fulfilled::Lost => Storage::LeaseLost,
    }
}

fn computed_outcome(storage: Storage) -> Outcome {
    Outcome::Computed { storage }
}

fn value_outcome(value: bytes::Bytes, origin: Origin) -> Outcome {
    Outcome::Value { value, origin }
}

fn settled_value(value: bytes::Bytes, origin: Origin) -> State {
    State::Settled(value_outcome(value, origin))
}

fn releasing(token: Token, notice: Option<Notice>, then: Outcome) -> State {
    State::Releasing {
        token,
        notice,
        then,
    }
}

fn cleaning(token: Token, outcome: Outcome) -> State {
    State::Cleaning {
        task: Cleanup::release(token),
        outcome,
    }
}

/// A duration below `most`, evenly spread.
fn spread(most: Duration, entropy: &mut dyn Entropy) -> Duration {
    // 32 random bits as a fraction of `most`.
    #[allow(clippy::cast_possible_truncation)] // The low bits are all that is wanted.
    let fraction = f64::from(entropy.bits() as u32) / (f64::from(u32::MAX) + 1.0);
    most.mul_f64(fraction)
}
