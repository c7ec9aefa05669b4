//! The crew of a flight: a pilot who drives, passengers who sleep. Both are guards: dropping one at any
//! moment hands over or cleans up what it had.

use std::pin::pin;
use std::sync::Arc;

use memolock_core::Mode;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::driver;
use crate::engine::Engine;
use crate::flight::Flight;
use crate::settled::Settled;
use crate::shared::{Lane, Shared};

/// The caller that has the seat. Dropped before landing, it hands the engine to a passenger, or to
/// clean-up if there is none.
pub(crate) struct Pilot<T: Send + Sync + 'static, C> {
    shared: Arc<Shared<T, C>>,
    lane: Lane,
    flight: Arc<Flight<T>>,
    /// Some until landing.
    engine: Option<Box<Engine<T>>>,
    /// A close waits for it, so that leases are released when the close returns.
    _aboard: TaskTrackerToken,
}

/// A caller that has joined. Dropped before the end, it leaves; the last one out cleans up.
pub(crate) struct Passenger<T: Send + Sync + 'static, C> {
    shared: Arc<Shared<T, C>>,
    lane: Lane,
    /// Some until the ride is over.
    flight: Option<Arc<Flight<T>>>,
}

/// How a ride ended.
pub(crate) enum Ride<T: Send + Sync + 'static, C> {
    Settled(Settled<T>),
    /// The leader is gone and the seat is ours.
    Seat(Pilot<T, C>),
    TimedOut,
}

impl<T: Send + Sync + 'static, C> Pilot<T, C> {
    /// Begins a flight. `aboard` was had before the flight was in the table, so that no close overlooks
    /// this caller.
    pub(crate) fn new(
        shared: &Arc<Shared<T, C>>,
        lane: Lane,
        flight: Arc<Flight<T>>,
        mode: Mode,
        aboard: TaskTrackerToken,
    ) -> Self {
        Self {
            engine: Some(Box::new(Engine::new(&shared.hub, mode))),
            shared: Arc::clone(shared),
            lane,
            flight,
            _aboard: aboard,
        }
    }

    /// Tells the machine what this caller wants, who took over from another.
    pub(crate) fn adopt(&mut self, mode: Mode) {
        let Controls {
            shared,
            flight,
            engine,
        } = self.controls();
        engine.adopt(&shared.hub, flight.key(), mode);
    }

    /// What driving needs, all at once.
    pub(crate) fn controls(&mut self) -> Controls<'_, T, C> {
        Controls {
            shared: &self.shared,
            flight: &self.flight,
            // `land` and `drop` alone take it, and both end the pilot.
            engine: self
                .engine
                .as_mut()
                .expect("a pilot has an engine until it lands"),
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
        if let Some(engine) = self.engine.take() {
            driver::clean_up(&self.shared.hub, self.flight.key(), engine);
        }
        settled
    }
}

/// What a pilot drives with.
pub(crate) struct Controls<'a, T: Send + Sync + 'static, C> {
    pub(crate) shared: &'a Shared<T, C>,
    pub(crate) flight: &'a Flight<T>,
    pub(crate) engine: &'a mut Engine<T>,
}

impl<T: Send + Sync + 'static, C> Drop for Pilot<T, C> {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            let left = self.flight.vacate(engine);
            self.shared.left(self.lane, &self.flight, left);
        }
    }
}

impl<T: Send + Sync + 'static, C> Passenger<T, C> {
    /// A caller that has been counted in by [`Flight::join`].
    pub(crate) fn new(shared: &Arc<Shared<T, C>>, lane: Lane, flight: Arc<Flight<T>>) -> Self {
        Self {
            shared: Arc::clone(shared),
            lane,
            flight: Some(flight),
        }
    }

    /// Sleeps until the flight ends, the seat is free, or `deadline`.
    pub(crate) async fn ride(mut self, deadline: Instant) -> Ride<T, C> {
        // Not taken out while sleeping: a drop there must leave the flight.
        let Some(flight) = self.flight.clone() else {
            return Ride::TimedOut;
        };
        // One timer for the whole ride; it is not set before it is waited for.
        let mut late = pin!(sleep_until(deadline));
        loop {
            let mut notified = pin!(flight.notify().notified());
            // Registered before looking, so that nothing between the look and the sleep is missed.
            notified.as_mut().enable();
            if let Some(outcome) = flight.outcome() {
                self.flight = None;
                return Ride::Settled(outcome.for_joiner());
            }
            if let Some(engine) = flight.take_seat() {
                self.flight = None;
                self.shared.hub.counters.handovers.add();
                tracing::debug!(key = %flight.key(), "a joined caller takes over");
                return Ride::Seat(Pilot {
                    _aboard: self.shared.hub.tracker.token(),
                    shared: Arc::clone(&self.shared),
                    lane: self.lane,
                    flight: Arc::clone(&flight),
                    engine: Some(engine),
                });
            }
            tokio::select! {
                biased;
                () = notified => {}
                () = &mut late => return Ride::TimedOut,
            }
        }
    }
}

impl<T: Send + Sync + 'static, C> Drop for Passenger<T, C> {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take() {
            let left = flight.leave();
            self.shared.left(self.lane, &flight, left);
        }
    }
}
