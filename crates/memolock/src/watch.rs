//! The watch of a crowded flight: one timer for all who joined, instead of one for each; and of a vacant seat.
//!
//! Most flights are over at once, and to set a timer and take it back is a good part of what it costs to join
//! one: timers of all threads are behind one lock. So the first few to join set timers of their own, and then
//! nobody does; a task of the home runtime stands watch instead. When its time is over, or it is dropped with its
//! runtime, it wakes everybody, and then each sets a timer for what is left of its patience. Thus no caller's
//! time-out hangs on another caller being polled.
//!
//! Nor does it hang on a runtime that no thread drives: a caller relies on the watch only if the home runtime is certain
//! to run while the caller sleeps. It is if it has threads of its own, or if the caller sleeps there. Any other caller
//! sets its timer at once.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use crate::cleanup;
use crate::flight::Flight;
use crate::hub::Hub;

/// How many of those who join have timers of their own: for so few a task would cost more than it saves.
const FEW: usize = 2;

/// How long the others have none. Longer than a store needs for an answer; callers of less patience have their own.
pub(crate) const WATCH: Duration = Duration::from_millis(50);

/// Whether the `nth` caller to join a flight, counted from one, with this patience, sets a timer at once. The first
/// caller that needs none calls the watch.
pub(crate) fn is_timed<T>(
    hub: &Hub,
    flight: &Arc<Flight<T>>,
    nth: usize,
    patience: Duration,
) -> bool
where
    T: Send + Sync + 'static,
{
    if nth <= FEW || patience <= WATCH || !hub.home.runs_meanwhile() {
        return true;
    }
    if flight.calls_watch() {
        let watch = Watch(Arc::downgrade(flight));
        // Detached on purpose: it ends by itself.
        drop(hub.home.spawn(async move {
            sleep(WATCH).await;
            drop(watch);
        }));
    }
    false
}

/// How long the one that was woken for a vacant seat has time to take it.
const SEAT: Duration = Duration::from_millis(50);

/// Sees to it that a vacant seat is taken, although the one that was woken for it may be on a runtime that no thread
/// drives: after a while everybody is woken. If nobody takes it for as long as a lease, nobody may be able to: what the
/// last leader left is cleaned up, so that others have the key. A joiner that runs again later starts from the beginning.
pub(crate) fn of_seat<T>(hub: &Arc<Hub>, flight: &Arc<Flight<T>>)
where
    T: Send + Sync + 'static,
{
    if !hub.home.runs_meanwhile() {
        // The home runtime may not run either.
        flight.offer_to_all();
        return;
    }
    let (flight, lease) = (Arc::downgrade(flight), hub.policy.lease);
    let task_hub = Arc::downgrade(hub);
    // Detached on purpose: it ends by itself.
    drop(hub.home.spawn(async move {
        sleep(SEAT).await;
        if !flight.upgrade().is_some_and(|flight| flight.offer_to_all()) {
            return;
        }
        sleep(lease).await;
        if let (Some(hub), Some(flight)) = (task_hub.upgrade(), flight.upgrade()) {
            clear_seat(&hub, &flight);
        }
    }));
}

fn clear_seat<T>(hub: &Arc<Hub>, flight: &Arc<Flight<T>>)
where
    T: Send + Sync + 'static,
{
    let known: Weak<Flight<T>> = Arc::downgrade(flight);
    let old = flight.replace_vacant(|old| Box::new(old.fresh(hub, known)));
    if let Some(engine) = old {
        cleanup::clean_up(hub, flight.key(), engine);
    }
}

/// Wakes everybody when it is dropped.
struct Watch<T>(Weak<Flight<T>>);

impl<T> Drop for Watch<T> {
    fn drop(&mut self) {
        if let Some(flight) = self.0.upgrade() {
            flight.end_watch();
        }
    }
}
