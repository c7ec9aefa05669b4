//! Clocks: tokio's, the system's, and one that tests turn by hand.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use memolock_core::Timestamp;

/// Tells a [`MemoryBackend`](crate::MemoryBackend) what time it is.
///
/// It should not go backwards; if it does, what is stored lives the longer. It is asked while the
/// store is locked, so it must not call the backend. A closure will do:
///
/// ```
/// use memolock_core::Timestamp;
/// use memolock_memory::MemoryBackend;
///
/// let frozen = MemoryBackend::builder().clock(|| Timestamp::ZERO).build();
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The time that has passed since this clock's origin.
    fn now(&self) -> Timestamp;
}

impl<F: Fn() -> Timestamp + Send + Sync + 'static> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// The clock of `tokio::time`: what sleeps and time-outs of the same test go by. Its origin is when it was made.
///
/// It is the operating system's monotonic clock, unless a runtime's time is paused
/// (`tokio::time::pause`, `#[tokio::test(start_paused = true)]`): then values and leases expire as that time moves.
/// It works without a runtime too, where it is the operating system's. A store that is used from within and from
/// without a runtime whose time is paused sees two times: what it holds then lives until the later one.
#[derive(Debug, Clone)]
pub struct TokioClock {
    origin: tokio::time::Instant,
}

impl TokioClock {
    /// A clock that begins at zero now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: tokio::time::Instant::now(),
        }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_origin(self.origin.elapsed())
    }
}

/// The operating system's monotonic clock, whatever tokio's says. Its origin is when it was made.
#[derive(Debug, Clone)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock that begins at zero now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_origin(self.origin.elapsed())
    }
}

/// A clock that stands still until it is told. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    now: Arc<Mutex<Timestamp>>,
}

impl ManualClock {
    /// A clock that stands at [`Timestamp::ZERO`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves on by `step`.
    pub fn advance(&self, step: Duration) {
        let mut now = self.lock();
        *now = now.after(step);
    }

    /// Moves on to `moment`; an earlier one changes nothing, so that time never runs backwards.
    pub fn advance_to(&self, moment: Timestamp) {
        let mut now = self.lock();
        *now = (*now).max(moment);
    }

    fn lock(&self) -> MutexGuard<'_, Timestamp> {
        // A timestamp is whole at any moment.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told_and_never_back() {
        let clock = ManualClock::new();
        let other = clock.clone();
        assert_eq!(other.now(), Timestamp::ZERO);
        clock.advance(Duration::from_secs(3));
        assert_eq!(other.now().since_origin(), Duration::from_secs(3));
        clock.advance_to(Timestamp::ZERO);
        assert_eq!(other.now().since_origin(), Duration::from_secs(3));
        clock.advance_to(Timestamp::from_origin(Duration::from_secs(9)));
        assert_eq!(other.now().since_origin(), Duration::from_secs(9));
    }

    #[test]
    fn tokios_clock_works_without_a_runtime() {
        let clock = TokioClock::new();
        let before = clock.now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(clock.now() > before);
    }

    #[tokio::test(start_paused = true)]
    async fn tokios_clock_moves_with_paused_time_and_the_system_clock_does_not() {
        let (tokios, systems) = (TokioClock::new(), SystemClock::new());
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(tokios.now().since_origin(), Duration::from_secs(3600));
        assert!(systems.now().since_origin() < Duration::from_secs(1800));
    }

    #[test]
    fn the_system_clock_does_not_go_back() {
        let clock = SystemClock::new();
        assert!(clock.now() <= clock.now());
    }
}
