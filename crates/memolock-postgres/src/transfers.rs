//! Large values on their way to the server, and how long the statements behind them wait.
//!
//! The statements of a connection are done in order. One that is sent behind a large value cannot be done before that
//! value has passed, so its time-out counts from when it has. The client does not show the bytes that pass: a large
//! value is granted the time that a slow line takes for it, until its answer is there. The size of a row is not known
//! before it is there.
//!
//! | what happens | what follows |
//! |---|---|
//! | the caller of a large statement leaves | its bytes still pass, and the time stays granted |
//! | the server hangs, or the connection is half open | statements are late after the granted time |
//! | the connection is lost | statements fail at once, as they do without a large value |
//!
//! The same as in `memolock-redis-common`, which can see bytes too: this crate knows the core alone.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

/// A value with more bytes is large.
pub(crate) const LARGE_BYTES: usize = 1 << 20;

/// The slowest line that a large value must pass, in bytes a second: 64 MiB have about two minutes.
const SLOWEST: u64 = 512 << 10;

/// What is known of the large values on one connection.
#[derive(Debug, Default)]
pub(crate) struct Transfers(Mutex<Known>);

#[derive(Debug, Default, Clone, Copy)]
struct Known {
    /// When all of them have passed.
    passed: Option<Instant>,
    /// The how many-th was sent last.
    latest: u64,
}

/// A large statement that was sent. Dropped without an answer, it leaves the time that it was granted.
#[derive(Debug)]
pub(crate) struct Sent<'t> {
    transfers: &'t Transfers,
    nth: u64,
}

impl Transfers {
    /// Waits for `work` until its time is over: `bound`, and longer while large values pass. `None` if it is over.
    /// Cancel-safe if `work` is.
    pub(crate) async fn within<T>(
        &self,
        bound: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut until = Instant::now().checked_add(bound);
        tokio::pin!(work);
        loop {
            let Some(deadline) = until else {
                // Longer than any clock counts.
                return Some(work.await);
            };
            if let Ok(done) = timeout_at(deadline, &mut work).await {
                return Some(done);
            }
            until = self.until(deadline, bound);
            if until == Some(deadline) {
                return None;
            }
        }
    }

    /// Returns when what was asked at `since` is late.
    pub(crate) async fn overdue(&self, since: Instant, bound: Duration) {
        let mut until = since + bound;
        loop {
            sleep_until(until).await;
            match self.until(until, bound) {
                Some(later) if later > until => until = later,
                _ => return,
            }
        }
    }

    /// A statement with a value of so many bytes is about to be sent. If it is large, say when its answer has come.
    pub(crate) fn sends(&self, bytes: usize) -> Option<Sent<'_>> {
        if bytes <= LARGE_BYTES {
            return None;
        }
        let allowance = Duration::from_millis((bytes as u64).saturating_mul(1000) / SLOWEST);
        let nth = self.change(|known| {
            let now = Instant::now();
            // Behind those that are on their way.
            let begins = known.passed.map_or(now, |passed| passed.max(now));
            known.passed = Some(begins + allowance);
            known.latest += 1;
            known.latest
        });
        Some(Sent {
            transfers: self,
            nth,
        })
    }

    /// The end of a wait that was to end at `deadline`.
    fn until(&self, deadline: Instant, bound: Duration) -> Option<Instant> {
        let passed = self.change(|known| known.passed);
        let later = passed.and_then(|passed| passed.checked_add(bound));
        Some(later.map_or(deadline, |later| later.max(deadline)))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        // No code that can panic runs under the lock.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sent<'_> {
    /// Its answer has come: all that was sent before it has passed.
    pub(crate) fn answered(self) {
        self.transfers.change(|known| {
            if known.latest == self.nth {
                known.passed = Some(Instant::now());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long a statement waits that is never answered.
    async fn patience(transfers: &Transfers) -> Duration {
        let began = Instant::now();
        assert!(transfers.within(SECOND, pending::<()>()).await.is_none());
        let waited = began.elapsed();
        assert_eq!(transfers.within(SECOND, async { 7 }).await, Some(7));
        waited
    }

    #[tokio::test(start_paused = true)]
    async fn a_statement_waits_for_large_values_before_it_and_no_longer() {
        let transfers = Transfers::default();
        assert!(transfers.sends(LARGE_BYTES).is_none());
        assert_eq!(patience(&transfers).await, SECOND);
        let first = transfers.sends(2 << 20).unwrap();
        // Its caller leaves: its bytes still pass.
        let _second = transfers.sends(3 << 20).unwrap();
        first.answered();
        assert_eq!(patience(&transfers).await, 11 * SECOND);
        let third = transfers.sends(64 << 20).unwrap();
        third.answered();
        assert_eq!(patience(&transfers).await, SECOND);
        let _left = transfers.sends(2 << 20).unwrap();
        let began = Instant::now();
        transfers.overdue(began, SECOND).await;
        assert_eq!(began.elapsed(), 5 * SECOND);
    }
}
