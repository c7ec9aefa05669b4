//! The first look of a flight. Most flights end with it, so it does without an engine: what it finds is settled
//! here, and what it does not find is where the machine begins.

use std::sync::Arc;

use bytes::Bytes;
use memolock_codec::Codec;
use memolock_core::{BackendError, Key, Phase, Remaining};
use tokio::time::Instant;

use crate::Source;
use crate::commands::{Commands, Found};
use crate::crew::Pilot;
use crate::driver;
use crate::hub::until;
use crate::near::{Claim, Ticket};
use crate::settled::Settled;
use crate::shared::Shared;
use crate::sieve::Judged;

/// What a look came to.
pub(crate) enum Glance<'s, T: Send + Sync + 'static, C> {
    /// The flight is over.
    Over(Settled<T>),
    /// The driver goes on from here.
    Goes(Pilot<'s, T, C>),
}

/// Looks at what is stored. Without a result the caller's time ran out; the flight goes on under another caller,
/// who looks again. Without a deadline the look ends by itself before any caller's time does.
pub(crate) async fn glance<'s, T, C, R>(
    mut pilot: Pilot<'s, T, C>,
    commands: &R,
    deadline: Option<Instant>,
) -> Result<Glance<'s, T, C>, Phase>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
    R: Commands,
{
    let (shared, flight) = pilot.view();
    let ticket = shared.ticket(flight.key().id());
    let found = tokio::select! {
        biased;
        found = ask(commands, flight.key(), ticket.is_some()) => found,
        end = flight.ended(|| shared.hub.turns_away()) => return Ok(Glance::Over(end)),
        () = until(deadline) => return Err(Phase::Probing),
    };
    let missed = match found {
        Ok(Some((bytes, remaining))) => {
            match hit(shared, flight.key(), &bytes, ticket, remaining) {
                Some(settled) => return Ok(Glance::Over(pilot.land(settled))),
                // Passed over: the driver's sieve knows what to do with it.
                None => Ok(Some(bytes)),
            }
        }
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    if !pilot.embark() {
        return Ok(Glance::Over(pilot.end()));
    }
    driver::begin(&mut pilot, missed);
    Ok(Glance::Goes(pilot))
}

/// For a near cache, also how long it stays.
async fn ask<R: Commands>(commands: &R, key: &Key, timed: bool) -> Result<Found, BackendError> {
    if timed {
        return commands.get_timed(key).await;
    }
    Ok(commands.get(key).await?.map(|value| (value, None)))
}

/// What callers get of a value that was found; none if it is passed over.
fn hit<T, C>(
    shared: &Shared<T, C>,
    key: &Key,
    bytes: &Bytes,
    ticket: Option<Ticket>,
    remaining: Option<Remaining>,
) -> Option<Settled<T>>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    let settled = match shared.judge(bytes) {
        Judged::Value(value) => {
            shared.hub.counters.hits.add();
            let value = Arc::new(value);
            shared.remember(key, &value);
            let claim = ticket.map(|ticket| Claim::Found(ticket, remaining));
            shared.keep(key, &value, claim);
            let source = Source::Hit;
            Settled::Value { value, source }
        }
        // The sieve counts it.
        Judged::PassedOver(_) => return None,
        Judged::Error(error) => {
            shared.note_unread(key, &error);
            Settled::Codec(error)
        }
    };
    shared.hub.in_order();
    tracing::debug!(%key, from = "probing", to = "settled", "transition");
    Some(settled)
}
