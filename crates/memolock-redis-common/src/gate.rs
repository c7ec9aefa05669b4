//! How many tries for a lease, and values to store, are on their way to one server at once.
//!
//! A connection answers in order. A crowd of 30,000 who ask for leases at once, or store their values at once, would put
//! seconds of work before the renewals of the others' leases, and these would expire. So such commands queue here, and
//! renewals do not: before them are at most [`LIMIT`] commands.
//!
//! | a caller is | it is dropped | others are answered | nobody is answered for the bound of a command |
//! |---|---|---|---|
//! | queued | it has sent nothing | it waits on, and has its turn | it goes on without a place |
//! | on its way | its place is free | its own bound counts | its own bound counts |
//!
//! So the queue itself fails no call. Whether the server hangs is found out by commands; and places that were given to
//! callers who are not polled (a caller's future that rests in a variable) delay others for the bound at most.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use memolock_core::redis::Fault;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Commands on their way. More than it takes to keep a server busy, and done within a fraction of a second by a slow one.
const LIMIT: usize = 512;

/// How often a caller yields before a server is said not to answer: what has come is seen by one task, read by another
/// and taken by a third. Few: a crowd whose bounds are over at once would keep those from running.
const YIELDS: usize = 3;

/// The queue in front of a server.
#[derive(Debug)]
pub(crate) struct Gate {
    places: Semaphore,
    answers: AtomicU64,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            places: Semaphore::new(LIMIT),
            answers: AtomicU64::new(0),
        }
    }
}

impl Gate {
    /// Waits for a place. It is given back when it is dropped. None where nobody has been answered for the bound.
    pub(crate) async fn enter(&self, bound: Duration) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.places.try_acquire() {
            return Some(place);
        }
        let waiting = patient(self.places.acquire(), bound, || self.answers.load(Relaxed));
        let place = waiting.await?;
        Some(place.expect("the semaphore is never closed"))
    }

    /// A command has ended so. A refusal is an answer too.
    pub(crate) fn ended<T>(&self, outcome: &Result<T, Fault>) {
        let is_answer = match outcome {
            Ok(_) => true,
            Err(fault) => !fault.is_connection(),
        };
        if is_answer {
            self.answers.fetch_add(1, Relaxed);
        }
    }
}

/// Waits for `work` until `answers` has stayed the same for the bound.
pub(crate) async fn patient<T>(
    work: impl Future<Output = T>,
    bound: Duration,
    answers: impl Fn() -> u64,
) -> Option<T> {
    tokio::pin!(work);
    let mut seen = answers();
    loop {
        if let Ok(done) = timeout(bound, &mut work).await {
            return Some(done);
        }
        // What has come may not have been read yet: a crowd of tasks may have run in its place.
        for _ in 0..YIELDS {
            if answers() != seen {
                break;
            }
            tokio::task::yield_now().await;
        }
        let before = std::mem::replace(&mut seen, answers());
        if before == seen {
            return timeout(Duration::ZERO, &mut work).await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    const BOUND: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_caller_waits_while_others_are_answered_and_no_longer() {
        let began = Instant::now();
        let answers = || u64::from(began.elapsed() >= BOUND / 2);
        assert_eq!(patient(pending::<()>(), BOUND, answers).await, None);
        assert!(began.elapsed() >= 2 * BOUND, "{:?}", began.elapsed());
        assert_eq!(patient(async { 1 }, BOUND, || 0).await, Some(1));
    }

    #[tokio::test]
    async fn a_full_queue_where_nobody_is_answered_is_passed_and_a_dropped_place_is_free() {
        let gate = Gate::default();
        let mut places = Vec::new();
        for _ in 0..LIMIT {
            places.push(gate.enter(BOUND).await.expect("there are places"));
        }
        gate.ended::<()>(&Err(Fault::late(BOUND)));
        let began = Instant::now();
        assert!(gate.enter(BOUND).await.is_none());
        assert!(began.elapsed() >= BOUND);
        places.pop();
        assert!(gate.enter(BOUND).await.is_some());
    }
}
