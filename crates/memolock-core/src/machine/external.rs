//! The part of the protocol that only external promises have.

use std::time::Duration;

use bytes::Bytes;

use super::ends::{cleaning, releasing, value_outcome};
use super::state::{Rival, State, Unanswered};
use super::tries::rechecking;
use super::{Entropy, Held, Machine, Origin, Outcome};
use crate::{Acquired, BackendError, Event, Message, Notice, Timestamp, Token};

impl Machine {
    /// After a gap in the subscription of a lease that we hold, or after its loss.
    pub(super) fn verified(
        &mut self,
        (held, until): (Held, Timestamp),
        sent: u8,
        reply: Result<Acquired, BackendError>,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> State {
        match reply {
            Ok(Acquired::Value(value)) => came(held, value),
            Ok(Acquired::Granted) => State::Attending { held, until },
            Ok(Acquired::Held(remaining)) => {
                self.waiting(Rival::known(now, remaining), None, entropy)
            }
            Err(error) if self.again(sent, &error) => State::Verifying {
                held,
                until,
                sent: sent + 1,
            },
            // Left to expire, so that a second program is not started over the first.
            Err(error) => State::Settled(Outcome::Backend(error)),
        }
    }

    /// What the holder of an external promise makes of an event.
    pub(super) fn attended(
        &mut self,
        (held, until): (Held, Timestamp),
        event: Event,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> State {
        match event {
            Event::Message(Message::Value(value)) => came(held, value),
            Event::Message(Message::Notice(Notice::Failed(message))) => failed(held.token, message),
            // The lock is gone, and what the program is making is stale: start over.
            Event::Message(Message::Notice(Notice::Invalidated)) => {
                // With our own token: if the lock was taken again after a loss, it is still ours.
                rechecking(Rival::default(), Some(held.token), now, entropy)
            }
            // From a holder before us.
            Event::Message(Message::Notice(Notice::Released)) | Event::Gap => {
                State::Attending { held, until }
            }
            Event::Resumed if self.is_over(held, now) => {
                self.given_up(held, now);
                rechecking(Rival::default(), None, now, entropy)
            }
            Event::Resumed => verifying(held, until, now),
        }
    }

    /// The trigger has run: from now on its program has its time.
    pub(super) fn attending(&mut self, held: Held, now: Timestamp) -> State {
        self.unanswered = None;
        let until = now.after(self.policy.limits.trigger_timeout);
        State::Attending { held, until }
    }

    /// The program has had its time. Its lock is left to expire, since it may only be slow, and until then we
    /// wait as for a rival's: the try with a token of its own tells for how long.
    pub(super) fn let_go(
        &mut self,
        held: Held,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> State {
        // The last renewal was sent before.
        let until = now.after(self.policy.lease);
        self.unanswered = Some(Unanswered {
            token: held.token,
            until,
        });
        rechecking(Rival(Some(until)), None, now, entropy)
    }

    /// The lease was lost. Perhaps it only expired while the program goes on: then it is acquired again if it is
    /// free. But no lease is kept for longer than it may be.
    pub(super) fn lease_lost(
        &mut self,
        (held, until): (Held, Timestamp),
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> State {
        if !self.is_over(held, now) {
            return verifying(held, until, now);
        }
        self.given_up(held, now);
        self.waiting(Rival(Some(now)), None, entropy)
    }

    /// The program had all the time that its lease was kept.
    fn given_up(&mut self, held: Held, now: Timestamp) {
        let token = held.token;
        self.unanswered = Some(Unanswered { token, until: now });
    }

    /// Whether a lease was kept for as long as it may be.
    fn is_over(&self, held: Held, now: Timestamp) -> bool {
        self.left_of(held, now).is_zero()
    }

    /// How long a lease that is taken again lasts: no longer than it may be kept.
    pub(super) fn rest_of(&self, held: Held) -> Duration {
        self.left_of(held, held.since).min(self.policy.lease)
    }

    fn left_of(&self, held: Held, now: Timestamp) -> Duration {
        held.began.after(held.max).since(now)
    }

    /// A try told how long the lock stands. If it is the one that was left to expire, that is known better now.
    pub(super) fn learned(&mut self, until: Option<Timestamp>) {
        if let (Some(unanswered), Some(until)) = (&mut self.unanswered, until) {
            unanswered.until = unanswered.until.min(until);
        }
    }

    /// The token of a lock that was left to expire, and has not.
    pub(super) fn lapsing(&self, now: Timestamp) -> Option<Token> {
        let unanswered = self.unanswered.filter(|it| now < it.until);
        unanswered.map(|it| it.token)
    }

    /// The value came after all: the lock that was left to expire is given back, behind the callers' backs.
    pub(super) fn late(&mut self, next: State, now: Timestamp) -> State {
        let State::Settled(outcome) = next else {
            return next;
        };
        let lapsing = self.lapsing(now);
        self.unanswered = None;
        match (lapsing, &outcome) {
            (Some(token), Outcome::Value { .. }) => cleaning(token, outcome),
            _ => State::Settled(outcome),
        }
    }

    /// The program says, after its time, that it failed: its lock is given back, and the message told on.
    pub(super) fn failed_late(&mut self, token: Token, message: String) -> State {
        self.unanswered = None;
        failed(token, message)
    }
}

/// Before a trigger is run under our lease, we listen.
pub(super) fn subscribing(ours: Option<Held>) -> State {
    State::Subscribing {
        ours,
        rival: Rival::default(),
        sent: 1,
    }
}

/// The lease is taken again, if it must be, from now on.
pub(super) fn verifying(held: Held, until: Timestamp, now: Timestamp) -> State {
    let held = Held { since: now, ..held };
    State::Verifying {
        held,
        until,
        sent: 1,
    }
}

/// The value is there. Most were told by the same message, but not who has subscribed since; if the value
/// is gone again by then, it waits for our lease, and must hear of its end.
fn came(held: Held, value: Bytes) -> State {
    let outcome = value_outcome(value, Origin::Awaited);
    releasing(held.token, Some(Notice::Released), outcome)
}

/// The external program reports that it failed.
fn failed(token: Token, message: String) -> State {
    let notice = Some(Notice::Failed(message.clone()));
    releasing(token, notice, Outcome::Remote(message))
}
