//! The crew of a flight: a pilot who drives, passengers who sleep. Both are guards: dropping one at any
//! moment hands over or cleans up what it had.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::OptionFuture;
use memolock_core::Mode;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::cleanup;
use crate::engine::{Engine, Wants};
use crate::flight::{Flight, Left};
use crate::settled::Settled;
use crate::shared::{Lane, Shared};
use crate::watch;

/// The caller that has the seat. Dropped before landing, it hands the engine to a passenger, or to
/// clean-up if there is none.
pub(crate) struct Pilot<'s, T: Send + Sync + 'static, C> {
    /// Borrowed, and not counted: cores would fight for the count at every hit.
    shared: &'s Shared<T, C>,
    lane: Lane,
    flight: Arc<Flight<T>>,
    cockpit: Cockpit<T>,
    /// A close waits for it, so that leases are released when the close returns. Who is looking only has none yet.
    aboard: Option<TaskTrackerToken>,
}

/// What a pilot has to drive with.
enum Cockpit<T> {
    /// Nothing yet: most flights end with the first look, and need no engine.
    Looking(Wants),
    Flying(Box<Engine<T>>),
    /// The flight is over, or the engine handed on.
    Empty,
}

/// A caller that has joined. Dropped before the end, it leaves; the last one out cleans up.
pub(crate) struct Passenger<'s, T: Send + Sync + 'static, C> {
    shared: &'s Shared<T, C>,
    lane: Lane,
    flight: Arc<Flight<T>>,
    /// Whether it has a timer of its own from the beginning.
    timed: bool,
    /// Whether it can compute.
    computes: bool,
    /// Until the ride is over.
    aboard: bool,
}

/// How a ride ended.
pub(crate) enum Ride<'s, T: Send + Sync + 'static, C> {
    Settled(Settled<T>),
    /// The leader is gone and the seat is ours.
    Seat(Pilot<'s, T, C>),
    /// The flight is overdue: whoever has joined begins again.
    Overdue,
    TimedOut,
}

impl<'s, T: Send + Sync + 'static, C> Pilot<'s, T, C> {
    /// Begins a flight, with a look.
    pub(crate) fn new(
        shared: &'s Shared<T, C>,
        lane: Lane,
        flight: Arc<Flight<T>>,
        wants: Wants,
    ) -> Self {
        Self {
            cockpit: Cockpit::Looking(wants),
            shared,
            lane,
            flight,
            aboard: None,
        }
    }

    /// Before anything is done that a close must wait for. False if the flight was closed: it is over then.
    #[must_use]
    pub(crate) fn embark(&mut self) -> bool {
        let tracker = &self.shared.hub.tracker;
        self.aboard = self.flight.unless_over(|| tracker.token());
        self.aboard.is_some()
    }

    /// How the flight ended, once it is over.
    pub(crate) fn end(&self) -> Settled<T> {
        let end = self.flight.outcome().cloned();
        end.unwrap_or(Settled::Closed)
    }

    /// What the first look needs, which has no engine yet.
    pub(crate) fn view(&self) -> (&'s Shared<T, C>, &Flight<T>) {
        (self.shared, &self.flight)
    }

    /// Tells the machine what this caller wants, who took over from another.
    pub(crate) fn adopt(&mut self, wants: Wants) {
        let Controls {
            shared,
            flight,
            engine,
        } = self.controls();
        engine.adopt(&shared.hub, flight.key(), wants);
    }

    /// Leaves the seat to a joined caller that can compute, if there is one; this one is done with the flight then.
    #[must_use]
    pub(crate) fn makes_way(&mut self) -> bool {
        let Some(engine) = self.cockpit.hand_on(self.shared, &self.flight) else {
            return false;
        };
        match self.flight.make_way(engine) {
            Ok(()) => {
                watch::of_seat(&self.shared.hub, &self.flight);
                true
            }
            Err(engine) => {
                self.cockpit = Cockpit::Flying(engine);
                false
            }
        }
    }

    /// What driving needs, all at once.
    pub(crate) fn controls(&mut self) -> Controls<'_, T, C> {
        Controls {
            shared: self.shared,
            flight: &self.flight,
            engine: self.cockpit.engine(self.shared, &self.flight),
        }
    }

    /// Ends the flight for everybody aboard, and sends what clean-up remains to the background.
    pub(crate) fn land(mut self, settled: Settled<T>) -> Settled<T> {
        // Out of the table first: who asks after the end begins anew.
        if !self.shared.table(self.lane).remove(&self.flight) {
            // Taken out by who put or invalidated: what was remembered of this flight is older than that.
            self.shared.forget(self.flight.key().id());
        }
        self.flight.settle(settled.clone());
        // A look leaves nothing behind.
        if let Cockpit::Flying(engine) = std::mem::replace(&mut self.cockpit, Cockpit::Empty) {
            cleanup::clean_up(&self.shared.hub, self.flight.key(), engine);
        }
        settled
    }
}

impl<T: Send + Sync + 'static> Cockpit<T> {
    /// The engine, built if there is none yet.
    fn engine<C>(&mut self, shared: &Shared<T, C>, flight: &Arc<Flight<T>>) -> &mut Engine<T> {
        if let Self::Looking(wants) = *self {
            *self = Self::Flying(built(shared, wants, flight));
        }
        match self {
            Self::Flying(engine) => engine,
            // `land` and `drop` alone leave it empty, and both end the pilot.
            Self::Looking(_) | Self::Empty => unreachable!("a pilot drives until it lands"),
        }
    }

    /// The engine for somebody else, built if there is none yet; what is left is empty.
    fn hand_on<C>(
        &mut self,
        shared: &Shared<T, C>,
        flight: &Arc<Flight<T>>,
    ) -> Option<Box<Engine<T>>> {
        match std::mem::replace(self, Self::Empty) {
            Self::Looking(wants) => Some(built(shared, wants, flight)),
            Self::Flying(engine) => Some(engine),
            Self::Empty => None,
        }
    }
}

fn built<T, C>(shared: &Shared<T, C>, wants: Wants, flight: &Arc<Flight<T>>) -> Box<Engine<T>>
where
    T: Send + Sync + 'static,
{
    let flight: Weak<Flight<T>> = Arc::downgrade(flight);
    Box::new(Engine::new(&shared.hub, wants, flight))
}

/// What a pilot drives with.
pub(crate) struct Controls<'a, T: Send + Sync + 'static, C> {
    pub(crate) shared: &'a Shared<T, C>,
    pub(crate) flight: &'a Flight<T>,
    pub(crate) engine: &'a mut Engine<T>,
}

impl<T: Send + Sync + 'static, C> Drop for Pilot<'_, T, C> {
    fn drop(&mut self) {
        if let Some(engine) = self.cockpit.hand_on(self.shared, &self.flight) {
            let left = self.flight.vacate(engine);
            if matches!(left, Left::Handed) {
                watch::of_seat(&self.shared.hub, &self.flight);
            }
            self.shared.left(self.lane, &self.flight, left);
        }
    }
}

impl<'s, T: Send + Sync + 'static, C> Passenger<'s, T, C> {
    /// A caller that has been counted in by [`Flight::join`] as the `nth`, and waits at most for its patience.
    pub(crate) fn new(
        shared: &'s Shared<T, C>,
        lane: Lane,
        (flight, nth): (Arc<Flight<T>>, usize),
        mode: Mode,
        patience: Duration,
    ) -> Self {
        Self {
            computes: mode == Mode::Compute,
            timed: watch::is_timed(&shared.hub, &flight, nth, patience),
            shared,
            lane,
            flight,
            aboard: true,
        }
    }

    /// What it has joined.
    pub(crate) fn flight(&self) -> &Arc<Flight<T>> {
        &self.flight
    }

    /// Sleeps until the flight ends, the seat is free, or `deadline`.
    pub(crate) async fn ride(&mut self, deadline: Instant) -> Ride<'s, T, C> {
        let flight = &self.flight;
        // One timer for the whole ride, if it comes to that.
        let mut late = pin!(None);
        loop {
            let mut notified = pin!(flight.notify().notified());
            // Registered before looking, so that nothing between the look and the sleep is missed.
            notified.as_mut().enable();
            if let Some(outcome) = flight.outcome() {
                self.aboard = false;
                return Ride::Settled(outcome.for_joiner());
            }
            if flight.is_overdue() {
                return Ride::Overdue;
            }
            let hub = &self.shared.hub;
            if flight.is_vacant() && hub.turns_away() {
                // Dropped as one of those aboard, it passes the seat on.
                return Ride::Settled(Settled::Closed);
            }
            let taken = flight.take_seat(self.computes, || hub.tracker.token());
            if let Some((engine, token)) = taken {
                self.aboard = false;
                hub.counters.handovers.add();
                tracing::debug!(key = %flight.key(), "a joined caller takes over");
                return Ride::Seat(Pilot {
                    aboard: Some(token),
                    shared: self.shared,
                    lane: self.lane,
                    flight: Arc::clone(flight),
                    cockpit: Cockpit::Flying(engine),
                });
            }
            if late.is_none() && (self.timed || flight.is_late()) {
                late.set(Some(sleep_until(deadline)));
            }
            let timeout = OptionFuture::from(late.as_mut().as_pin_mut());
            tokio::select! {
                biased;
                () = notified => {}
                Some(()) = timeout => return Ride::TimedOut,
            }
        }
    }
}

impl<T: Send + Sync + 'static, C> Drop for Passenger<'_, T, C> {
    fn drop(&mut self) {
        if self.aboard {
            let left = self.flight.leave(self.computes);
            self.shared.left(self.lane, &self.flight, left);
        }
    }
}
