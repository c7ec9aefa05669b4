//! The voyage: the flights of one call under way together, within the caller's one future.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use memolock_codec::Codec;
use memolock_core::{BackendError, Key, Mode, Phase};
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::batch::{Part, Values, share};
use super::gatherer::{Errand, Gatherer, Questions};
use crate::Lease;
use crate::called::{Called, Late};
use crate::crew::{Passenger, Pilot, Ride};
use crate::driver::{self, Stopped};
use crate::nesting::{Nested, within};
use crate::shared::{Lane, Shared, Terms};
use crate::store::Store;
use crate::table::Boarding;
use crate::work::{Ended, bounded};

/// How one id of the call begins: each is a guard, or has its end.
pub(crate) enum Ticket<'s, T: Send + Sync + 'static, C> {
    Lead(Pilot<'s, T, C>),
    Join(Passenger<'s, T, C>, Key),
    Ended(Called<T>),
}

/// Leads a flight to `id` or joins one. What a look has found for it is where a new flight begins.
pub(crate) fn board<'s, T, C>(
    shared: &'s Shared<T, C>,
    key: &Key,
    terms: Terms,
    looked: Result<Option<Bytes>, BackendError>,
) -> Ticket<'s, T, C>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    match shared.computes.board(key.id(), true, || Ok(key.clone())) {
        Err(error) => Ticket::Ended(Called::Refused(error)),
        Ok(Boarding::Closed) => Ticket::Ended(Called::closed(&shared.hub)),
        Ok(Boarding::Lead(flight)) => {
            let wants = terms.wants(Mode::Compute);
            let mut pilot = Pilot::new(shared, Lane::Compute, flight, wants);
            if !pilot.embark() {
                return Ticket::Ended(Called::closed(&shared.hub));
            }
            driver::begin(&mut pilot, looked);
            Ticket::Lead(pilot)
        }
        Ok(Boarding::Join(flight, nth)) => {
            shared.hub.counters.joins.add();
            // What is left of its patience is not known here: it gets a timer of its own.
            let (boarded, none) = ((flight, nth), Duration::ZERO);
            let passenger = Passenger::new(shared, Lane::Compute, boarded, Mode::Compute, none);
            Ticket::Join(passenger, key.clone())
        }
    }
}

/// One id, from its ticket to its end.
pub(crate) async fn travel<'s, T, C>(
    shared: &'s Shared<T, C>,
    mut ticket: Ticket<'s, T, C>,
    mut part: Part<'_, T>,
    deadline: Instant,
    terms: Terms,
    nested: &Nested,
) -> Called<T>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    // Once, unless a flight that it was in must be left before its end.
    loop {
        let (pilot, key) = match ticket {
            Ticket::Ended(end) => return end,
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
                    Ride::Overdue => {
                        // Whether there is a value by now, the try for the lease tells.
                        ticket = board(shared, &key, terms, Ok(None));
                        continue;
                    }
                    Ride::Seat(mut pilot) => {
                        pilot.adopt(terms.wants(Mode::Compute));
                        (pilot, key)
                    }
                }
            }
        };
        let gatherer = part.gatherer;
        match driver::fly(pilot, &mut part, gatherer, deadline, terms, nested).await {
            Ok(settled) => return Called::settled(settled, || key),
            Err(Stopped::TimedOut(late)) => {
                return Called::TimedOut(key, late, terms.wait_timeout);
            }
            Err(Stopped::MadeWay) => ticket = board(shared, &key, terms, Ok(None)),
        }
    }
}

/// Runs all flights to their ends, in rounds: each until it waits, then what they asked together.
pub(crate) async fn run<T, F, R, Fut, N>(
    flights: impl IntoIterator<Item = F>,
    gatherer: &Gatherer<T>,
    store: &Store,
    (compute, limit): (R, Option<Duration>),
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
                    .map(|errand| send(errand, gatherer, store, (&compute, limit))),
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
    (compute, limit): (&R, Option<Duration>),
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
        Errand::Compute(Questions { asked, mut replies }) => {
            let local = asked.iter().any(Lease::is_local);
            let place = local.then(|| gatherer.placed()).flatten();
            let ended = tokio::select! {
                biased;
                ended = bounded(limit, within(place, compute(asked.clone()))) => ended,
                // A close has ended all of its flights: their leases are given back, and it must not go on beside others.
                () = replies.left() => return Kind::Compute,
            };
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
