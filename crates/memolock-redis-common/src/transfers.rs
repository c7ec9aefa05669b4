//! Large values on their way over a connection, and how long the commands behind them wait.
//!
//! The commands of a connection are answered in order. A command that is sent behind a large `put`, or behind a `GET` of
//! a large value, cannot be answered before that value has passed. So its time-out counts from when the last byte of a
//! large value passed, and so does that of the large command itself. A server that hangs lets no byte pass.
//!
//! How that is known depends on the client:
//!
//! * *By the stream* ([`Watched`](crate::Watched)), where the adapter makes it: the bytes of large values are seen in
//!   both directions.
//! * *By the size* ([`Transfers::sends`]), where the client makes the stream: the size of what we send is known, and it
//!   is granted the time that a slow line takes for it. The size of a reply is not known before it is there. So a `GET`
//!   that has waited for half of its time-out has the server asked, over another connection, how large the value is
//!   ([`Sizes`]). A large one is granted its time. If that is not answered in the other half, the server hangs.
//!
//! A value that passes at less than [`SLOWEST`] bytes a second counts as one that does not pass.
//!
//! | what happens | what follows |
//! |---|---|
//! | the caller of a large command leaves | its bytes still pass, and the time stays granted |
//! | the reply to the large command comes | by the size: the rest of the granted time is taken back |
//! | the server hangs in the middle of a value | by the stream: commands are late one time-out after the last byte, and 8 s later at most if we were sending; by the size: after the granted time |
//! | the connection is lost | commands fail at once, as they do without a large value |

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::time::Duration;

use memolock_core::redis::LARGE_BYTES;
use tokio::time::{Instant, timeout, timeout_at};

/// The slowest line that a large value must pass, in bytes a second: 64 MiB have about two minutes.
pub(crate) const SLOWEST: u64 = 512 << 10;

/// What buffers between us and the server may hold of what was written: Linux grows the buffer of a socket to so much.
const BUFFERED: usize = 4 << 20;

/// How much longer than its time-out a hit waits for large values at most. With the time-outs of a command it is within
/// the wait time-out that callers have by default (30 s), so that such callers need no timer for each hit.
pub const LONGEST_HIT: Duration = Duration::from_secs(20);

/// The time that so many bytes have on the slowest line, beyond the time-out of a command.
#[must_use]
pub fn allowance(bytes: usize) -> Duration {
    Duration::from_millis((bytes as u64).saturating_mul(1000) / SLOWEST)
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    FromServer,
}

/// What is known of the large values on one connection.
#[derive(Debug)]
pub struct Transfers {
    since: Instant,
    /// When the last byte that is known of has passed, in milliseconds since then. 0: there was none.
    passed: AtomicU64,
    /// The how many-th large command was sent last.
    latest: AtomicU64,
}

impl Default for Transfers {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            passed: AtomicU64::new(0),
            latest: AtomicU64::new(0),
        }
    }
}

impl Transfers {
    /// Waits for `work` until its time is over: `bound`, and longer while large values pass. `None` if it is over.
    /// Cancel-safe if `work` is.
    pub async fn within<T>(&self, bound: Duration, work: impl Future<Output = T>) -> Option<T> {
        self.within_most(bound, Duration::MAX, work).await
    }

    /// The same, and not for longer than `bound` and `extra`.
    async fn within_most<T>(
        &self,
        bound: Duration,
        extra: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let until = Instant::now().checked_add(bound);
        self.until(until, bound, extra, pin!(work)).await
    }

    /// The same of work that has gone on for a while: its time-out is over then.
    async fn until<T>(
        &self,
        mut until: Option<Instant>,
        bound: Duration,
        extra: Duration,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        let most = until.and_then(|until| until.checked_add(extra));
        loop {
            let Some(deadline) = until else {
                // Longer than any clock counts.
                return Some(work.await);
            };
            if let Ok(done) = timeout_at(deadline, &mut work).await {
                return Some(done);
            }
            let later = self.passed()?.checked_add(bound);
            let later = most.map_or(later, |most| {
                Some(later.map_or(most, |later| later.min(most)))
            });
            if later.is_some_and(|later| later <= Instant::now()) {
                return None;
            }
            until = later;
        }
    }

    /// Whether a large value is known to be on its way.
    fn is_passing(&self) -> bool {
        self.passed().is_some_and(|passed| passed > Instant::now())
    }

    /// A command with so many bytes is about to be sent over a connection whose bytes are not seen. If it is large,
    /// say when its reply has come.
    #[must_use]
    pub fn sends(self: &Arc<Self>, bytes: usize) -> Option<Sent> {
        if bytes <= LARGE_BYTES {
            return None;
        }
        // Behind those that are on their way.
        let begins = self.passed().unwrap_or(self.since).max(Instant::now());
        // In this order, for `Sent::answered`.
        let nth = self.latest.fetch_add(1, AcqRel) + 1;
        self.pass_until(begins + allowance(bytes));
        Some(Sent {
            transfers: Arc::clone(self),
            nth,
        })
    }

    /// Bytes of a large value have moved, so many of them since it began.
    pub(crate) fn moved(&self, direction: Direction, began: Instant, bytes: usize) {
        let late = began + allowance(bytes);
        let passed = match direction {
            Direction::FromServer => Instant::now(),
            // They are in a buffer.
            Direction::ToServer => Instant::now() + allowance(bytes.min(BUFFERED)),
        };
        self.pass_until(passed.min(late));
    }

    fn passed(&self) -> Option<Instant> {
        match self.passed.load(Relaxed) {
            0 => None,
            millis => self.since.checked_add(Duration::from_millis(millis)),
        }
    }

    fn pass_until(&self, at: Instant) {
        self.passed.fetch_max(self.millis(at), AcqRel);
    }

    /// At least one: zero is never.
    fn millis(&self, at: Instant) -> u64 {
        let millis = at.saturating_duration_since(self.since).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX).max(1)
    }
}

/// How long a command waits over one connection.
#[derive(Debug, Clone)]
pub struct Patience {
    /// What is known of large values there.
    pub transfers: Arc<Transfers>,
    /// The time-out of a command.
    pub bound: Duration,
    /// Where the sizes of values are asked for. None: the bytes that pass are seen.
    pub sizes: Option<Arc<dyn Sizes>>,
}

/// Asks a server how large a value is, over another connection than the one that may be busy with it.
pub trait Sizes: fmt::Debug + Send + Sync {
    /// The size of the value of that name in bytes. None: there is no such value, or no answer. To be dropped if it takes
    /// too long.
    fn size_of(&self, name: &str) -> Pin<Box<dyn Future<Output = Option<usize>> + Send + '_>>;
}

impl Patience {
    /// As [`Transfers::within`].
    pub async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.transfers.within(self.bound, work).await
    }

    /// The same of the command of a hit, whose caller may have no timer of its own: at most 20 s more than the
    /// time-out.
    pub async fn within_hit<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let (transfers, bound) = (&self.transfers, self.bound);
        transfers.within_most(bound, LONGEST_HIT, work).await
    }

    /// As [`within_hit`](Self::within_hit), of a `GET` of that name: its value may be large.
    pub async fn within_get<T>(
        &self,
        name: &str,
        work: impl Future<Output = T> + Send,
    ) -> Option<T> {
        match Instant::now().checked_add(self.bound) {
            Some(deadline) => self.within_get_until(name, deadline, work).await,
            None => Some(work.await),
        }
    }

    /// The same of one whose time-out is over then.
    pub async fn within_get_until<T>(
        &self,
        name: &str,
        deadline: Instant,
        work: impl Future<Output = T> + Send,
    ) -> Option<T> {
        let mut work = pin!(work);
        let Some(sizes) = &self.sizes else {
            let (transfers, bound) = (&self.transfers, self.bound);
            return transfers
                .until(Some(deadline), bound, LONGEST_HIT, work)
                .await;
        };
        let half = deadline.saturating_duration_since(Instant::now()) / 2;
        if let Ok(done) = timeout(half, &mut work).await {
            return Some(done);
        }
        // In a box: it is rare, and every hit's future would have room for it.
        Box::pin(self.within_large(name, sizes, deadline, work)).await
    }

    /// The second half of the time-out, and the time of the value.
    async fn within_large<T>(
        &self,
        name: &str,
        sizes: &Arc<dyn Sizes>,
        deadline: Instant,
        mut work: Pin<&mut (impl Future<Output = T> + Send)>,
    ) -> Option<T> {
        let transfers = &self.transfers;
        let sized = async {
            // Its own time, or that of another before it, is known already.
            if transfers.is_passing() {
                return None;
            }
            transfers.sends(sizes.size_of(name).await?)
        };
        let sent = tokio::select! {
            biased;
            done = &mut work => return Some(done),
            sent = timeout_at(deadline, sized) => sent.ok().flatten(),
        };
        let done = transfers
            .until(Some(deadline), self.bound, LONGEST_HIT, work)
            .await;
        if let (Some(sent), Some(_)) = (sent, &done) {
            sent.answered();
        }
        done
    }
}

/// A large command that was sent. Dropped without a reply, it leaves the time that it was granted.
#[derive(Debug)]
pub struct Sent {
    transfers: Arc<Transfers>,
    nth: u64,
}

impl Sent {
    /// Its reply has come: all that was sent before it has passed.
    pub fn answered(self) {
        let Transfers { passed, latest, .. } = &*self.transfers;
        let before = passed.load(Acquire);
        if latest.load(Acquire) == self.nth {
            let now = self.transfers.millis(Instant::now());
            // Unless another was sent meanwhile, and has its own time.
            let _ = passed.compare_exchange(before, now, AcqRel, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long a command waits that is never answered.
    async fn patience(transfers: &Transfers) -> Duration {
        let began = Instant::now();
        assert!(transfers.within(SECOND, pending::<()>()).await.is_none());
        began.elapsed()
    }

    #[test]
    fn the_time_of_a_value_grows_with_its_bytes() {
        assert_eq!(allowance(0), Duration::ZERO);
        assert_eq!(allowance(1 << 20), Duration::from_secs(2));
        assert_eq!(allowance(64 << 20), Duration::from_secs(128));
        // The most that a server can take.
        assert_eq!(allowance(512 << 20), Duration::from_secs(1024));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_large_value_a_command_has_its_time_out() {
        let transfers = Arc::new(Transfers::default());
        assert!(transfers.sends(LARGE_BYTES).is_none());
        assert_eq!(patience(&transfers).await, SECOND);
        assert_eq!(transfers.within(SECOND, async { 7 }).await, Some(7));
        let endless = transfers.within(Duration::MAX, async { 8 }).await;
        assert_eq!(endless, Some(8));
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_while_a_large_value_passes_and_a_time_out_longer() {
        let transfers = Arc::new(Transfers::default());
        let began = Instant::now();
        let passing = async {
            for mebibytes in 1..=5 {
                tokio::time::sleep(SECOND * 9 / 10).await;
                transfers.moved(Direction::FromServer, began, mebibytes << 20);
            }
        };
        let (waited, ()) = tokio::join!(patience(&transfers), passing);
        assert_eq!(waited, SECOND * 45 / 10 + SECOND);
        assert_eq!(patience(&transfers).await, SECOND, "it is over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_hardly_moves_keeps_nobody_waiting() {
        let transfers = Arc::new(Transfers::default());
        let began = Instant::now();
        let dripping = async {
            for bytes in 1..100 {
                tokio::time::sleep(SECOND / 2).await;
                transfers.moved(Direction::FromServer, began, bytes);
            }
        };
        let (waited, ()) = tokio::join!(patience(&transfers), dripping);
        assert!(waited <= 2 * SECOND, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_written_may_still_be_in_buffers() {
        let transfers = Arc::new(Transfers::default());
        transfers.moved(Direction::ToServer, Instant::now(), 64 << 20);
        assert_eq!(patience(&transfers).await, 9 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn by_the_size_large_commands_are_granted_time_until_the_last_is_answered() {
        let transfers = Arc::new(Transfers::default());
        let first = transfers.sends(2 << 20).unwrap();
        let second = transfers.sends(3 << 20).unwrap();
        first.answered();
        assert_eq!(patience(&transfers).await, 11 * SECOND);
        let third = transfers.sends(64 << 20).unwrap();
        drop(second);
        third.answered();
        assert_eq!(patience(&transfers).await, SECOND);
        // A hit ends all the same.
        let hits = Patience {
            transfers: Arc::clone(&transfers),
            bound: SECOND,
            sizes: None,
        };
        let fourth = transfers.sends(64 << 20);
        let began = Instant::now();
        assert!(hits.within_hit(pending::<()>()).await.is_none());
        assert_eq!(began.elapsed(), SECOND + LONGEST_HIT);
        fourth.unwrap().answered();
        assert_eq!(hits.within_hit(async { 7 }).await, Some(7));
        // Its caller has left: its bytes still pass.
        drop(transfers.sends(2 << 20));
        assert_eq!(patience(&transfers).await, 5 * SECOND);
    }
}
