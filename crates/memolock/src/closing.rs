//! How a memolock closes: detached work ends first, then everything does.
//!
//! ```text
//! Open --close_within--> Draining --detached work has ended, or the time is over--> Closed
//!   '--the home runtime shuts down-------------------------------------------------> Closed (home.rs)
//! ```
//!
//! | a caller | Draining | Closed |
//! |---|---|---|
//! | calls | `Closed`, unless it is detached work | `Closed` |
//! | leads a flight | `Closed`: it leaves as if it were dropped; one that is storing its value finishes | the flight ends with `Closed` |
//! | has joined a flight | waits on; does not lead: if leadership comes to it, it gets `Closed` and passes leadership on | the flight ends with `Closed` |
//! | sends a direct command | `Closed` | `Closed` |
//! | is detached work | goes on, leads and calls | the flight ends with `Closed` |
//!
//! What could go wrong, and what answers it:
//!
//! | interleaving | answer |
//! |---|---|
//! | a call enters the table while the close begins | the table's gate is set under the lock of each shard: the call is refused, or its flight is among those whose leaders are told |
//! | a leader looks at the flag, the close sets it, the leader sleeps | it registers its waker and looks again; the close sets the flag before it wakes |
//! | a joiner is woken for leadership that it may not take | it leaves, and [`leave`](crate::flight::Flight::leave) wakes the next one |
//! | detached work begins while the close looks for it | it counts itself under the lock under which the close sets the flag |
//! | a second close, with less patience | the first of them that is done with waiting closes for both |
//! | the future of the close is dropped in Draining | the rest goes on at home |
//! | the home runtime shuts down in Draining | its [sentry](crate::home) closes |

use std::sync::Arc;
use std::time::Duration;

use memolock_codec::Codec;
use tokio::time::{Instant, timeout, timeout_at};

use crate::home;
use crate::hub::far;
use crate::settled::Settled;
use crate::shared::Shared;
use crate::{Memolock, near};

/// How long a close waits for detached work by default.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a close waits until leases are released and values stored: longer than commands take.
const RELEASING: Duration = Duration::from_secs(5);

impl<T: Send + Sync + 'static, C: Codec<T>> Memolock<T, C> {
    /// [`close_within`](Memolock::close_within) 5 s: longer than most work takes, and shorter than what a service is
    /// given to stop.
    pub async fn close(&self) {
        self.close_within(PATIENCE).await;
    }

    /// Ends this memolock and its clones, and lets detached work end before, for at most `patience`.
    ///
    /// At once:
    /// * Later calls get [`Error::Closed`](crate::Error::Closed); near copies are no longer served.
    /// * Calls under way get it too, if they lead: their work is dropped. A call that is storing its value finishes.
    ///   A call that has joined another caller gets the value if detached work makes it, and else `Closed`.
    /// * [Detached](crate::Entry::detach) work goes on. Its own calls of this memolock are served, and the caller that
    ///   awaits it gets its result. A task that it spawns is not known as its own: calls from there get `Closed`.
    ///
    /// Once detached work has ended, or `patience` is over, everything ends: detached work that is left is dropped and
    /// gets `Closed`, and all leases are released. The close waits up to 5 s more for these releases, usually one round
    /// trip. A lease that is not released by then expires. Without detached work this happens at once.
    ///
    /// Closing twice does no harm. Of two closes at the same time, the one with the shorter `patience` decides. The
    /// backend stays open, as it may serve others. If detached work of one memolock calls another memolock, close the
    /// other one later. Detached work that closes its own memolock waits for itself, until `patience` is over.
    ///
    /// Dropping the future does not undo the close: it goes on on the home runtime.
    pub async fn close_within(&self, patience: Duration) {
        let shared = self.shared();
        shared.drain();
        if patience.is_zero() || shared.hub.detached.is_empty() {
            shared.shut(&Settled::Closed);
        }
        let rest = Rest {
            shared: Arc::clone(shared),
            deadline: far(Instant::now(), patience),
            goes_on: true,
        };
        match home::check() {
            Ok(()) => rest.run().await,
            // No timers here. An error says that the home runtime is gone, which has closed.
            Err(_) => drop(shared.hub.home.spawn(rest.run()).await),
        }
    }
}

/// What a close has yet to do. Dropped in the middle, it goes on at home.
struct Rest<T: Send + Sync + 'static, C: Codec<T>> {
    shared: Arc<Shared<T, C>>,
    deadline: Instant,
    /// False: it is at home already.
    goes_on: bool,
}

impl<T: Send + Sync + 'static, C: Codec<T>> Rest<T, C> {
    async fn run(self) {
        let hub = &*self.shared.hub;
        let tag = hub.space.tag();
        tokio::select! {
            biased;
            // Another close, or the end of the home runtime.
            () = hub.closing.cancelled() => {}
            ended = timeout_at(self.deadline, hub.detached.wait()) => if ended.is_err() {
                let left = hub.detached.len();
                tracing::warn!(%tag, left, "closed before detached work has ended: it is dropped");
            },
        }
        self.shared.shut(&Settled::Closed);
        if timeout(RELEASING, hub.tracker.wait()).await.is_err() {
            let left = hub.tracker.len();
            tracing::warn!(%tag, left, "closed with work under way: leases are left to expire");
        }
    }
}

impl<T: Send + Sync + 'static, C: Codec<T>> Drop for Rest<T, C> {
    fn drop(&mut self) {
        let hub = &self.shared.hub;
        if !self.goes_on || hub.closing.is_cancelled() {
            return;
        }
        let rest = Self {
            shared: Arc::clone(&self.shared),
            deadline: self.deadline,
            goes_on: false,
        };
        // Detached on purpose: it ends by itself.
        drop(hub.home.spawn(rest.run()));
    }
}

impl<T: Send + Sync + 'static, C> Shared<T, C> {
    /// From now on only detached work may call and lead; leaders of other callers are told.
    fn drain(&self) {
        self.hub.drain();
        for table in [&self.reads, &self.computes] {
            for flight in table.drain() {
                flight.tell_leader();
            }
        }
        if let Some(near) = &self.near {
            near.flush(near::State::Closed);
        }
    }

    /// Ends everything: every flight, with `end`, and the services. Clean-up goes on.
    pub(crate) fn shut(&self, end: &Settled<T>) {
        use crate::shared::Lane::{Compute, Read};
        for (lane, table) in [(Read, &self.reads), (Compute, &self.computes)] {
            for flight in table.close() {
                let left = flight.settle(end.clone());
                self.left(lane, &flight, left);
            }
        }
        if let Some(near) = &self.near {
            near.flush(near::State::Closed);
        }
        self.hub.shut();
    }
}
