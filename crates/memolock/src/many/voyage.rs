//! The voyage: the flights of one call under way together, within the caller's one future.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use memolock_codec::Codec;
use memolock_core::{BackendError, Key, KeyError, Mode, Phase};
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::batch::{Part, Values, share};
use super::gatherer::{Errand, Gatherer, Questions};
use crate::Lease;
use crate::called::{Called, Late};
use crate::crew::{Passenger, Pilot, Ride};
use crate::driver;
use crate::nesting::{Nested, within};
use crate::shared::{Lane, Shared, Terms};
use crate::store::Store;
use crate::table::Boarding;
use crate::work::Ended;

/// How one id of the call begins: each is a guard, or has its end.
pub(crate) enum Ticket<'s, T: Send + Sync + 'static, C> {
    Lead(Pilot<'s, T, C>),
    Join(Passenger<'s, T, C>, Key),
    Closed,
    Refused(KeyError),
}

/// Leads a flight to `id` or joins one. What a look has found for it is where a new flight begins.
pub(crate) fn board<'s, T, C>(
    shared: &'s Shared<T, C>,
    key: &Key,
    looked: Result<Option<Bytes>, BackendError>,
) -> Ticket<'s, T, C>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    match shared.computes.board(key.id(), || Ok(key.clone())) {
        Err(error) => Ticket::Refused(error),
        Ok(Boarding::Closed) => Ticket::Closed,
        Ok(Boarding::Lead(flight)) => {
            let mut pilot = Pilot::new(shared, Lane::Compute, flight, Mode::Compute);
            if !pilot.embark() {
                return Ticket::Closed;
            }
            driver::begin(&mut pilot, looked);
            Ticket::Lead(pilot)
        }
        Ok(Boarding::Join(flight, nth)) => {
            shared.hub.counters.joins.add();
            // What is left of its patience is not known here: it gets a timer of its own.
            let boarded = (flight, nth);
            let passenger = Passenger::new(shared, Lane::Compute, boarded, Duration::ZERO);
            Ticket::Join(passenger, key.clone())
        }
    }
}

/// One id, from its ticket to its end.
pub(crate) async fn travel<T, C>(
    ticket: Ticket<'_, T, C>,
    part: Part<'_, T>,
    deadline: Instant,
    terms: Terms,
    nested: &Nested,
) -> Called<T>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    let (pilot, key) = match ticket {
        Ticket::Closed => return Called::Closed,
        Ticket::Refused(error) => return Called::Refused(error),
        Ticket::Lead(mut pilot) => {
            let key = pilot.controls().flight.key().clone();
            (pilot, key)
        }
        Ticket::Join(mut passenger, key) => {
            nested.waits();
            match passenger.ride(deadline).await {
                Ride::Settled(settled) => return Called::settled(settled, || key),
                Ride::TimedOut => {
                    let late = Late::of(passenger.flight(), Phase::Waiting);
                    return Called::TimedOut(key, late, terms.wait_timeout);
                }
                Ride::Seat(mut pilot) => {
                    pilot.adopt(Mode::Compute);
                    (pilot, key)
                }
            }
        }
    };
    let gatherer = part.gatherer;
    match driver::fly(pilot, part, gatherer, deadline, terms, nested).await {
        Ok(settled) => Called::settled(settled, || key),
        Err(late) => Called::TimedOut(key, late, terms.wait_timeout),
    }
}

/// Runs all flights to their ends, in rounds: each until it waits, then what they asked together.
pub(crate) async fn run<T, F, R, Fut, N>(
    flights: impl IntoIterator<Item = F>,
    gatherer: &Gatherer<T>,
    store: &Store,
    compute: R,
    mut ended: impl FnMut(N),
) where
    F: Future<Output = N>,
    R: Fn(Vec<Lease>) -> Fut,
    Fut: Future<Output = Ended<Values<T>>>,
{
    let mut flights: FuturesUnordered<F> = flights.into_iter().collect();
    let mut errands = FuturesUnordered::new();
    poll_fn(|cx| {
        let mut answered = false;
        loop {
            // The task's budget is for a few awaits, and a call for thousands of ids has as many in each
            // round: it would have them polled in vain, and rounds split up. Each flight does little, and
            // this yields between rounds.
            while let Poll::Ready(Some(end)) = pin!(unconstrained(flights.next())).poll(cx) {
                ended(end);
            }
            if flights.is_empty() {
                return Poll::Ready(());
            }
            // A round is over, and each flight has read its answer. The yield comes after that: a caller that
            // is dropped during the yield hands over all that the store said, a holder elsewhere for one.
            if answered {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let asked = gatherer.errands();
            let none = asked.is_empty();
            errands.extend(
                asked
                    .into_iter()
                    .map(|errand| send(errand, gatherer, store, &compute)),
            );
            let mut computed = false;
            while let Poll::Ready(Some(kind)) = errands.poll_next_unpin(cx) {
                match kind {
                    Kind::Command => answered = true,
                    Kind::Compute => computed = true,
                }
            }
            // What was computed is its flights' at once: nothing may come between.
            if computed {
                answered = false;
            } else if none && !answered {
                return Poll::Pending;
            }
        }
    })
    .await;
}

/// Carries out an errand, and answers all who asked.
async fn send<T, R, Fut>(
    errand: Errand<T>,
    gatherer: &Gatherer<T>,
    store: &Store,
    compute: &R,
) -> Kind
where
    R: Fn(Vec<Lease>) -> Fut,
    Fut: Future<Output = Ended<Values<T>>>,
{
    match errand {
        Errand::Get(Questions { asked, replies }) => replies.answer(store.get_many(&asked).await),
        Errand::Acquire(Questions { asked, replies }) => {
            replies.answer(store.acquire_many(&asked).await);
        }
        Errand::Fulfil(Questions { asked, replies }) => {
            replies.answer(store.fulfil_many(&asked).await);
        }
        Errand::Compute(Questions { asked, replies }) => {
            let local = asked.iter().any(Lease::is_local);
            let place = local.then(|| gatherer.placed()).flatten();
            let ended = within(place, compute(asked.clone())).await;
            share(&asked, ended, replies);
            return Kind::Compute;
        }
    }
    Kind::Command
}

/// What an errand was.
enum Kind {
    Command,
    Compute,
}
