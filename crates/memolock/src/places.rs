//! Places for computes that run without a lease, and the queue for them.
//!
//! `local_computes` bounds how many such computes run at once. One queue serves those who want a place, by rank:
//!
//! | rank | who asks | why before the next rank |
//! |---|---|---|
//! | `Return` | a compute that gave its place up for a nested call, and goes on | it ends soonest, and many callers may wait for it |
//! | `Nested` | a call inside a compute that gave its place up for it | it takes over the place of that compute, so outer computes do not start all at once |
//! | `New` | any other call | |
//!
//! **Why nobody waits for ever.** A compute keeps its place only while it waits for no nested call (`nesting`). So
//! it works, and its work ends. Each place that becomes free goes to the head of the queue. Requests of the first
//! two ranks come from computes that were admitted before and gave a place up: a new call waits no longer than it
//! would if those computes had kept their places.
//!
//! **What cannot be seen.** A compute that waits for a call in another task keeps its place. If all places are
//! kept so, nothing moves. Therefore the queue is *stuck* while a call is in it that has queued for a quarter of
//! its wait time-out, and a stuck queue has one place more. The calls that run in this spare place run one at a
//! time, and `Stats::overflows` counts them. The spare place must not go to one more compute that then waits:
//!
//! * In a stuck queue the newest of the new calls goes first. The calls for which running computes wait came
//!   after those computes.
//! * A new call that came before the last compute began is not one of them. It has the spare place when that
//!   compute has had some time to make its own call: a tenth of the quarter.
//! * When a place becomes free, the compute in the spare place has it, and the spare place is free again.
//!
//! | dropped while | the place | so |
//! |---|---|---|
//! | in the queue | none yet | the request leaves the queue |
//! | granted, not yet told | on its way | the permit is dropped with the request, and passes to the next |
//! | holding a permit | held | dropping it passes it on |

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::hub::{far, until};
use crate::stats::Counter;
use crate::sync::{Mutex, MutexGuard, Notify};

/// The places of one memolock.
#[derive(Debug)]
pub(crate) struct Places {
    queue: Mutex<Queue>,
    /// Those who have queued for too long must look when they may have it.
    spare_is_free: Notify,
    overflows: Counter,
}

/// Who asks for a place. The first one goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// A compute that goes on after a nested call.
    Return,
    /// A call in a compute that gave its place up for it.
    Nested,
    /// Any other call.
    New,
}

/// The right to compute without a lease. Dropping it passes it to the next in the queue.
#[derive(Debug)]
pub(crate) struct Permit {
    /// None once it is passed on.
    places: Option<Arc<Places>>,
    /// The spare place, the how-many-th time that it was taken.
    spare: Option<u64>,
}

#[derive(Debug)]
struct Queue {
    /// None is free while anybody waits.
    free: usize,
    /// Who has the spare place: the how-many-th one, and when it began.
    spare: Option<(u64, Begun)>,
    spares: u64,
    asked: u64,
    waiting: BTreeMap<Turn, Waiting>,
    /// How many have queued for too long.
    overdue: usize,
    /// When the last compute began, but for the one in the spare place.
    last: Option<Begun>,
}

type Turn = (Rank, u64);

/// After how many requests, and when.
type Begun = (u64, Instant);

#[derive(Debug)]
struct Waiting {
    grant: oneshot::Sender<Permit>,
    patience: Duration,
    overdue: bool,
}

/// A permit, and who is to have it.
type Grant = (oneshot::Sender<Permit>, Permit);

impl Places {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Queue {
                free: most,
                spare: None,
                spares: 0,
                asked: 0,
                waiting: BTreeMap::new(),
                overdue: 0,
                last: None,
            }),
            spare_is_free: Notify::new(),
            overflows: Counter::default(),
        })
    }

    /// Waits for a place. After `patience` since `since` the queue is stuck, until this call has its place.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        rank: Rank,
        since: Instant,
        patience: Duration,
    ) -> Permit {
        let mut request = match self.ask(rank, patience) {
            Ok(permit) => return permit,
            Err(request) => request,
        };
        let (mut late, mut looks_at) = (false, Some(far(since, patience)));
        loop {
            let mut freed = pin!(self.spare_is_free.notified());
            // Registered before looking.
            freed.as_mut().enable();
            if late {
                looks_at = self.stuck(request.turn);
            }
            tokio::select! {
                biased;
                permit = request.granted() => return permit,
                () = until(looks_at) => late = true,
                () = freed, if late => {}
            }
        }
    }

    /// How often the spare place was taken.
    pub(crate) fn overflows(&self) -> u64 {
        self.overflows.get()
    }

    /// A place, if one is free, or else a request for one.
    fn ask(self: &Arc<Self>, rank: Rank, patience: Duration) -> Result<Permit, Request> {
        let mut queue = self.lock();
        if queue.free > 0 {
            queue.free -= 1;
            queue.last = Some(queue.now());
            return Ok(self.permit(None));
        }
        let (grant, granted) = oneshot::channel();
        let turn = (rank, queue.asked);
        queue.asked += 1;
        let waiting = Waiting {
            grant,
            patience,
            overdue: false,
        };
        queue.waiting.insert(turn, waiting);
        let next = queue.grant_spare(self);
        drop(queue);
        self.hand_over(next);
        Err(Request {
            places: Arc::clone(self),
            turn,
            granted,
        })
    }

    /// One of those in the queue has been there for too long. When it is to look again, if nothing else happens.
    fn stuck(self: &Arc<Self>, turn: Turn) -> Option<Instant> {
        let mut queue = self.lock();
        let waiting = queue.waiting.get_mut(&turn)?;
        let more = !std::mem::replace(&mut waiting.overdue, true);
        queue.overdue += usize::from(more);
        let next = queue.grant_spare(self);
        let again = queue.spare_at();
        drop(queue);
        self.hand_over(next);
        again
    }

    /// Gives a permit to whoever is to have it. Not under the lock, because it wakes a task.
    fn hand_over(self: &Arc<Self>, mut next: Option<Grant>) {
        while let Some((grant, permit)) = next {
            // A request that was dropped meanwhile sends the permit back.
            next = match grant.send(permit) {
                Ok(()) => None,
                Err(mut back) => {
                    back.places = None;
                    self.freed(back.spare)
                }
            };
        }
    }

    /// A place is free: who is next.
    fn freed(self: &Arc<Self>, spare: Option<u64>) -> Option<Grant> {
        let mut queue = self.lock();
        let next = queue.freed(spare, self);
        let looks = next.is_none() && queue.overdue > 0 && queue.spare.is_none();
        drop(queue);
        if looks {
            self.spare_is_free.notify_waiters();
        }
        next
    }

    fn permit(self: &Arc<Self>, spare: Option<u64>) -> Permit {
        let places = Some(Arc::clone(self));
        Permit { places, spare }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that can panic runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// A permit is given back.
    fn freed(&mut self, spare: Option<u64>, places: &Arc<Places>) -> Option<Grant> {
        let held = self.spare.map(|(nth, _)| nth);
        if spare.is_some() && spare == held {
            self.spare = None;
            return self.grant_spare(places);
        }
        if let Some((_, begun)) = self.spare.take() {
            // From now on the compute in the spare place has this one.
            self.last = self.last.max(Some(begun));
            return self.grant_spare(places);
        }
        let Some(grant) = self.leave_first() else {
            self.free += 1;
            return None;
        };
        self.last = Some(self.now());
        Some((grant, places.permit(None)))
    }

    /// Who is to have the spare place now.
    fn grant_spare(&mut self, places: &Arc<Places>) -> Option<Grant> {
        if self.spare_at()? > Instant::now() {
            return None;
        }
        let grant = self.leave_first()?;
        self.spares += 1;
        self.spare = Some((self.spares, self.now()));
        Some((grant, places.permit(Some(self.spares))))
    }

    /// When the first in the queue may have the spare place: if that is free and the queue is stuck.
    fn spare_at(&self) -> Option<Instant> {
        if self.overdue == 0 || self.spare.is_some() {
            return None;
        }
        let turn = self.first()?;
        let (rank, asked) = turn;
        Some(match self.last {
            // The last compute must have had time to make a call of its own, which would be newer.
            Some((before, at)) if rank == Rank::New && asked < before => {
                far(at, self.waiting.get(&turn)?.patience / 10)
            }
            _ => Instant::now(),
        })
    }

    /// Who goes first.
    fn first(&self) -> Option<Turn> {
        let (first, _) = self.waiting.first_key_value()?;
        // All are new, and the newest is the last.
        let newest = first.0 == Rank::New && self.overdue > 0;
        let last = self.waiting.last_key_value().filter(|_| newest);
        Some(last.map_or(*first, |(last, _)| *last))
    }

    fn leave_first(&mut self) -> Option<oneshot::Sender<Permit>> {
        let turn = self.first()?;
        self.leave(turn)
    }

    fn leave(&mut self, turn: Turn) -> Option<oneshot::Sender<Permit>> {
        let waiting = self.waiting.remove(&turn)?;
        self.overdue -= usize::from(waiting.overdue);
        Some(waiting.grant)
    }

    fn now(&self) -> Begun {
        (self.asked, Instant::now())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(places) = self.places.take() {
            let next = places.freed(self.spare);
            places.hand_over(next);
        }
    }
}

/// A request in the queue. Dropping it withdraws it.
#[derive(Debug)]
struct Request {
    places: Arc<Places>,
    turn: Turn,
    granted: oneshot::Receiver<Permit>,
}

impl Request {
    async fn granted(&mut self) -> Permit {
        match (&mut self.granted).await {
            Ok(permit) => {
                if permit.spare.is_some() {
                    self.places.overflows.add();
                }
                permit
            }
            // A sender is dropped by its request alone, or after it has sent.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let withdrawn = self.places.lock().leave(self.turn);
        drop(withdrawn);
    }
}

#[cfg(test)]
mod tests;
