//! Large values on their way to the server, and how long the statements behind them wait.
//!
//! The statements of a connection are done in order. One that is sent behind a large value cannot be done before that
//! value has passed, so its time-out counts from when it has. What stands between here and the server hides the bytes
//! that pass: a large value is granted the time that a slow line takes for it, until its answer is there. Of a row that
//! comes the bytes are seen, and are progress. The server itself ends a statement that takes longer than a command may.
//!
//! | what happens | what follows |
//! |---|---|
//! | the caller of a large statement leaves | its bytes still pass, and the time stays granted until its answer |
//! | the server hangs, or the connection is half open | statements are late after the granted time |
//! | the connection is lost | statements fail at once, as they do without a large value |

use std::time::Duration;

use tokio::time::Instant;

/// A value with more bytes is large.
pub(crate) const LARGE_BYTES: usize = 1 << 20;

/// The slowest line that a large value must pass, in bytes a second: 64 MiB have about two minutes.
const SLOWEST: u64 = 512 << 10;

/// What is known of the large values on one connection.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    /// When all of them have passed.
    passed: Option<Instant>,
    /// The how many-th was sent last.
    latest: u64,
}

/// A large value that was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transfer(u64);

impl Transfers {
    /// A statement with a value of so many bytes is sent.
    pub(crate) fn sends(&mut self, bytes: usize, now: Instant) -> Option<Transfer> {
        if bytes <= LARGE_BYTES {
            return None;
        }
        let allowance = Duration::from_millis((bytes as u64).saturating_mul(1000) / SLOWEST);
        // Behind those that are on their way.
        let begins = self.passed.map_or(now, |passed| passed.max(now));
        self.passed = Some(begins.checked_add(allowance).unwrap_or(begins));
        self.latest += 1;
        Some(Transfer(self.latest))
    }

    /// Its answer has come: all that was sent before it has passed.
    pub(crate) fn answered(&mut self, Transfer(nth): Transfer, now: Instant) {
        if self.latest == nth {
            self.passed = Some(now);
        }
    }

    /// When all of them have passed; none if there was none.
    pub(crate) fn passed(&self) -> Option<Instant> {
        self.passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn statements_wait_for_large_values_before_them_and_no_longer() {
        let mut transfers = Transfers::default();
        let began = Instant::now();
        assert!(transfers.sends(LARGE_BYTES, began).is_none());
        assert_eq!(transfers.passed(), None);
        let first = transfers.sends(2 << 20, began).unwrap();
        let second = transfers.sends(3 << 20, began).unwrap();
        assert_eq!(transfers.passed(), Some(began + 10 * SECOND));
        // The second is still on its way.
        transfers.answered(first, began + SECOND);
        assert_eq!(transfers.passed(), Some(began + 10 * SECOND));
        transfers.answered(second, began + 2 * SECOND);
        assert_eq!(transfers.passed(), Some(began + 2 * SECOND));
        let later = began + 60 * SECOND;
        transfers.sends(1 << 21, later).unwrap();
        assert_eq!(transfers.passed(), Some(later + 4 * SECOND));
    }
}
