//! The watch of a crowded flight: one timer for all who joined, instead of one for each.
//!
//! Most flights are over at once, and to set a timer and take it back is a good part of what it costs to join
//! one: timers of all threads are behind one lock. So the first few to join set timers of their own, and then
//! nobody does; a task stands watch instead. When its time is over, or it is dropped with its runtime, it wakes
//! everybody, and then each sets a timer for what is left of its patience. Thus no caller's time-out hangs on
//! another caller being polled.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use crate::flight::Flight;
use crate::hub::Hub;

/// How many of those who join have timers of their own: for so few a task would cost more than it saves.
const FEW: usize = 2;

/// How long the others have none. Longer than a store needs for an answer; callers of less patience have their own.
pub(crate) const WATCH: Duration = Duration::from_millis(50);

/// Who is the how-many-th to join a flight, counted from one, and is this patient: whether a timer must be set
/// at once. The first who needs none calls the watch.
pub(crate) fn timed<T>(hub: &Hub, flight: &Arc<Flight<T>>, nth: usize, patience: Duration) -> bool
where
    T: Send + Sync + 'static,
{
    if nth == FEW + 1 {
        let watch = Watch(Arc::downgrade(flight));
        hub.spawn_untracked(async move {
            sleep(WATCH).await;
            drop(watch);
        });
    }
    nth <= FEW || patience <= WATCH
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
