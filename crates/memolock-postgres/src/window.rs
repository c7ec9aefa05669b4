//! How many statements are on their way at once, and how long a caller waits for an answer.
//!
//! A connection answers in order: a statement waits for all that were sent before it. Without a limit, a
//! crowd of 30,000 callers puts seconds of work before the renewal of a lease and before the fence of a
//! subscription. So callers queue here, and renewals and fences pass the queue: before them are at most
//! [`LIMIT`] statements.
//!
//! The bound of a command is for servers that hang. A server that does other statements meanwhile does not, so a
//! caller whose bound is over waits for another one. Errors do not count: callers behind a locked table, whose
//! statements time out one after the other, would else wait for each other. Statements are counted where they are
//! read, for a process that is short of processor time is late to take its answers.
//!
//! Writes that a user asks for pass the queue too, so that one process's writes of a key are sent in the order in
//! which they were asked for. Those who queue are let in in their order, and may then be sent in another.
//!
//! | a caller is | it is dropped | the connection is lost | the server hangs |
//! |---|---|---|---|
//! | queued | the semaphore forgets it | those on their way fail and make room; it finds the link as it is then | late after the bound |
//! | on its way | its place is free; the server still does what it was sent | fails as `Unavailable` | late after the bound, and the connection is checked |

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Statements on their way. Far more than it takes to keep a server busy, and done within a fraction of a
/// second by a slow one.
const LIMIT: usize = 512;

/// How often a caller yields before a server is said not to answer: what has come is seen by one task and read by
/// another, which a runtime that is busy with a crowd runs after some dozen others.
const YIELDS: usize = 16;

/// The queue in front of a connection, and a count of what was done over it.
#[derive(Debug)]
pub(crate) struct Window {
    places: Semaphore,
    done: Arc<AtomicU64>,
}

/// Waits as long as the server does anything. Made when a call begins.
#[derive(Debug)]
pub(crate) struct Patience<'a> {
    window: &'a Window,
    bound: Duration,
    until: Instant,
    seen: u64,
}

/// The bound has passed, and the server has done nothing within it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Late;

impl Window {
    /// In front of connections that count in `done` the statements that the server has done.
    pub(crate) fn new(done: Arc<AtomicU64>) -> Self {
        Self {
            places: Semaphore::new(LIMIT),
            done,
        }
    }

    /// A place, in the order of callers. It is given back when it is dropped.
    pub(crate) async fn enter(&self) -> SemaphorePermit<'_> {
        let place = self.places.acquire().await;
        place.expect("the semaphore is never closed")
    }

    /// How many statements the server has done so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// A patience that begins now.
    pub(crate) fn patience(&self, bound: Duration) -> Patience<'_> {
        Patience {
            window: self,
            bound,
            until: Instant::now() + bound,
            seen: self.done(),
        }
    }
}

impl Patience<'_> {
    /// Waits for `work`. Cancel-safe if it is.
    pub(crate) async fn wait<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Late> {
        tokio::pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout_at(self.until, &mut work).await {
                return Ok(done);
            }
            // What has come may not have been read yet: a crowd of tasks may have run in its place.
            yield_until(|| self.window.done() != self.seen).await;
            let done = self.window.done();
            if done == self.seen {
                // With a bound that has passed it is polled once more.
                let last = tokio::time::timeout(Duration::ZERO, &mut work).await;
                return last.map_err(|_| Late);
            }
            self.seen = done;
            self.until = Instant::now() + self.bound;
        }
    }
}

/// Lets other tasks run, so that what has come is read, until that shows.
pub(crate) async fn yield_until(shows: impl Fn() -> bool) {
    for _ in 0..YIELDS {
        if shows() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const BOUND: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_caller_waits_while_others_are_served_and_no_longer() {
        let done = Arc::new(AtomicU64::new(0));
        let window = Window::new(Arc::clone(&done));
        let mut patience = window.patience(BOUND);
        let first = patience.until;
        done.fetch_add(1, Relaxed);
        assert_eq!(patience.wait(pending::<()>()).await, Err(Late));
        assert!(patience.until >= first + BOUND, "a second bound has passed");
        // What is there is taken, however late.
        assert_eq!(patience.wait(async { 1 }).await, Ok(1));
    }

    #[tokio::test]
    async fn a_caller_who_is_dropped_gives_its_place_back() {
        let window = Window::new(Arc::default());
        let mut places = Vec::new();
        for _ in 0..LIMIT {
            places.push(window.enter().await);
        }
        let mut patience = window.patience(BOUND);
        assert!(
            patience.wait(window.enter()).await.is_err(),
            "all are taken"
        );
        places.pop();
        assert!(patience.wait(window.enter()).await.is_ok());
    }
}
