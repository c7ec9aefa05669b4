//! The transitions: a state and an input give the next state.

use super::ends::{computed, computed_outcome, releasing, stored, value_outcome};
use super::external::subscribing;
use super::state::{Cleanup, Lease, Rival, State};
use super::succession::{adopted, vacated};
use super::tries::{Tried, acquiring, patient, rechecking};
use super::{Entropy, Input, Machine, Mode, Origin, Outcome, Storage};
use crate::{ErrorKind, Event, Fulfilled, Notice, Timestamp};

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
                Ok(Some(value)) => State::Settled(value_outcome(value, Origin::Hit)),
                Ok(None) if self.mode == Mode::Read => State::Settled(Outcome::Absent),
                Ok(None) => acquiring(Rival::default(), None, now, entropy),
                Err(error) if self.again(sent, &error) => State::Probing { sent: sent + 1 },
                Err(error) => self.outage(error, None),
            },
            (State::Acquiring { attempt, rival }, Input::Acquired(reply)) => {
                match self.acquired(attempt, now, reply) {
                    Tried::Again(attempt) => State::Acquiring { attempt, rival },
                    Tried::Granted(held) if self.mode == Mode::External => subscribing(Some(held)),
                    Tried::Granted(held) => State::Computing(Lease::Held(held)),
                    Tried::Held(remaining) => State::Subscribing {
                        ours: None,
                        rival: Rival::known(now, remaining),
                        sent: 1,
                    },
                    Tried::Value(state) => state,
                    Tried::Failed(error, doubt) if patient(&error, rival, now) => {
                        self.pausing(rival, doubt, &error, now)
                    }
                    Tried::Failed(error, doubt) => self.outage(error, doubt),
                }
            }
            (
                State::Pausing {
                    until,
                    rival,
                    doubt,
                },
                Input::Elapsed,
            ) if now >= until => acquiring(rival, doubt, now, entropy),
            (State::Rechecking { attempt, rival }, Input::Acquired(reply)) => {
                match self.acquired(attempt, now, reply) {
                    Tried::Again(attempt) => State::Rechecking { attempt, rival },
                    Tried::Granted(held) if self.mode == Mode::External => {
                        State::Triggering { held }
                    }
                    Tried::Granted(held) => State::Computing(Lease::Held(held)),
                    Tried::Held(remaining) => {
                        self.waiting(Rival::known(now, remaining), None, entropy)
                    }
                    Tried::Value(state) => state,
                    Tried::Failed(error, doubt) if patient(&error, rival, now) => State::Waiting {
                        takeover: Some(self.retry_at(rival, &error, now)),
                        rival,
                        doubt,
                    },
                    Tried::Failed(error, doubt) => self.outage(error, doubt),
                }
            }
            (State::Subscribing { ours, rival, sent }, Input::Subscribed(reply)) => {
                match (reply, ours) {
                    (Ok(()), None) => rechecking(rival, None, now, entropy),
                    // What was stored between the grant and the confirmation was not heard, and an
                    // invalidation neither: the trigger waits for one more look, with our own token.
                    (Ok(()), Some(held)) => {
                        rechecking(Rival::default(), Some(held.token), now, entropy)
                    }
                    (Err(error), ours) if self.again(sent, &error) => State::Subscribing {
                        ours,
                        rival,
                        sent: sent + 1,
                    },
                    (Err(error), None) if patient(&error, rival, now) => {
                        self.pausing(rival, None, &error, now)
                    }
                    (Err(error), None) => self.outage(error, None),
                    (Err(error), Some(held)) => {
                        releasing(held.token, Some(Notice::Released), Outcome::Backend(error))
                    }
                }
            }
            (
                State::Waiting {
                    takeover,
                    rival,
                    doubt,
                },
                Input::Heard(event),
            ) => match event {
                Event::Message(message) => self.told(takeover, doubt, message, now, entropy),
                // Deaf until resumed; the takeover deadline still holds.
                Event::Gap => State::Waiting {
                    takeover,
                    rival,
                    doubt,
                },
                Event::Resumed => rechecking(rival, doubt, now, entropy),
            },
            (
                State::Waiting {
                    takeover,
                    rival,
                    doubt,
                },
                Input::PassedOver { known },
            ) => self.passed_over(takeover, rival, doubt, known, now, entropy),
            (
                State::Waiting {
                    takeover: Some(at),
                    rival,
                    doubt,
                },
                Input::Elapsed,
            ) if now >= at => rechecking(rival, doubt, now, entropy),
            // Without a subscription: it begins anew with a try and a subscription of its own.
            (State::Waiting { rival, doubt, .. }, Input::Silenced(error))
                if patient(&error, rival, now) =>
            {
                self.pausing(rival, doubt, &error, now)
            }
            (State::Waiting { doubt, .. }, Input::Silenced(error)) => self.outage(error, doubt),
            (State::Computing(lease), Input::Computed(completion)) => computed(lease, completion),
            (State::Triggering { held }, Input::Triggered(Ok(()))) => self.attending(held, now),
            (State::Triggering { held }, Input::Triggered(Err(message))) => {
                releasing(held.token, Some(Notice::failed(&message)), Outcome::Failed)
            }
            (State::Attending { held, until }, Input::Heard(event)) => {
                self.attended((held, until), event, now, entropy)
            }
            (State::Attending { held, until }, Input::Elapsed) if now >= until => {
                self.let_go(held, now, entropy)
            }
            // Also after a value of another version, which may have been put over the lease.
            (State::Attending { held, until }, Input::LeaseLost | Input::PassedOver { .. }) => {
                self.lease_lost((held, until), now, entropy)
            }
            // The lock is left to expire, so that a second program is not started over the first.
            (State::Attending { .. }, Input::Silenced(error)) => {
                State::Settled(Outcome::Backend(error))
            }
            (State::Verifying { held, until, sent }, Input::Acquired(reply)) => {
                self.verified((held, until), sent, reply, now, entropy)
            }
            (
                State::Fulfilling {
                    held,
                    value,
                    ttl,
                    sent,
                },
                Input::Fulfilled(reply),
            ) => match reply {
                Ok(Fulfilled::Lost) if sent > 1 => {
                    State::Settled(computed_outcome(Storage::Uncertain))
                }
                Ok(fulfilled) => State::Settled(computed_outcome(stored(fulfilled))),
                // A broken connection is told at once, and is often back at once.
                Err(error)
                    if error.kind() == ErrorKind::Unavailable && self.again(sent, &error) =>
                {
                    State::Fulfilling {
                        held,
                        value,
                        ttl,
                        sent: sent + 1,
                    }
                }
                // Stored or not, refused for now or for good: the value does not wait for that to be found out.
                Err(error) => {
                    let token = held.token;
                    let task = Cleanup::Fulfil { token, value, ttl };
                    let outcome = computed_outcome(Storage::Failed(error.clone()));
                    self.clean_after(&error, task, outcome, now, entropy)
                }
            },
            (
                State::Releasing {
                    token,
                    notice,
                    then,
                },
                Input::Released(reply),
            ) => match reply {
                Err(error) => {
                    let task = Cleanup::Release { token, notice };
                    self.clean_after(&error, task, then, now, entropy)
                }
                Ok(_) => State::Settled(then),
            },
            (State::Cleaning(cleaning), input) => self.cleaned(cleaning, input, now, entropy),
            (state, Input::Adopted { mode, lost }) => {
                self.mode = mode;
                match (adopted(state, mode), lost) {
                    // Work shall not begin under a lease that is known to be gone. The token may still
                    // hold it, if its loss was only presumed.
                    (
                        State::Computing(Lease::Held(held))
                        | State::Triggering { held }
                        | State::Subscribing {
                            ours: Some(held), ..
                        },
                        true,
                    ) => acquiring(Rival::default(), Some(held.token), now, entropy),
                    (state, _) => state,
                }
            }
            (state, Input::Abandoned) => vacated(state, Outcome::Abandoned),
            (state, _) => state,
        }
    }
}
