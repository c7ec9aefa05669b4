//! The part of the protocol that only external promises have.

use bytes::Bytes;

use super::ends::{releasing, value_outcome};
use super::state::{Rival, State};
use super::tries::rechecking;
use super::{Entropy, Held, Machine, Origin, Outcome};
use crate::{Acquired, BackendError, Event, Message, Notice, Timestamp};

impl Machine {
    /// After a gap in the subscription of a lease that we hold, or after its loss.
    pub(super) fn verified(
        &self,
        held: Held,
        sent: u8,
        reply: Result<Acquired, BackendError>,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> State {
        match reply {
            Ok(Acquired::Value(value)) => came(held, value),
            Ok(Acquired::Granted) => State::Attending { held },
            Ok(Acquired::Held(remaining)) => {
                self.waiting(Rival::known(now, remaining), None, entropy)
            }
            Err(error) if self.again(sent, &error) => State::Verifying {
                held,
                sent: sent + 1,
            },
            // Left to expire, so that a second program is not started over the first.
            Err(error) => State::Settled(Outcome::Backend(error)),
        }
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
pub(super) fn verifying(held: Held, now: Timestamp) -> State {
    let held = Held { since: now, ..held };
    State::Verifying { held, sent: 1 }
}

/// The value is there. Most were told by the same message, but not who has subscribed since; if the value
/// is gone again by then, it waits for our lease, and must hear of its end.
fn came(held: Held, value: Bytes) -> State {
    let outcome = value_outcome(value, Origin::Awaited);
    releasing(held.token, Some(Notice::Released), outcome)
}

/// What the holder of an external promise makes of an event.
pub(super) fn attended(
    held: Held,
    event: Event,
    now: Timestamp,
    entropy: &mut dyn Entropy,
) -> State {
    match event {
        Event::Message(Message::Value(value)) => came(held, value),
        // The external program may report that it failed.
        Event::Message(Message::Notice(Notice::Failed(message))) => releasing(
            held.token,
            Some(Notice::Failed(message.clone())),
            Outcome::Remote(message),
        ),
        // The lock is gone, and what the program is making is stale: start over.
        Event::Message(Message::Notice(Notice::Invalidated)) => {
            // With our own token: if the lock was taken again after a loss, it is still ours.
            rechecking(Rival::default(), Some(held.token), now, entropy)
        }
        // From a holder before us.
        Event::Message(Message::Notice(Notice::Released)) | Event::Gap => State::Attending { held },
        Event::Resumed => verifying(held, now),
    }
}
