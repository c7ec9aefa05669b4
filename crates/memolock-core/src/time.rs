//! Time as data: the core is told what time it is.

use std::time::Duration;

/// The longest TTL or lease that is ever sent: 100 years. Longer ones are clamped to it, because
/// stores keep absolute expiry times in 64-bit milliseconds and refuse what overflows them.
pub const MAX_TTL: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A moment on a monotonic clock, as the time since an origin that the driver chose.
///
/// Arithmetic saturates: nothing that a peer sends can overflow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(Duration);

impl Timestamp {
    /// The origin.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The moment `since_origin` after the origin.
    #[must_use]
    pub const fn from_origin(since_origin: Duration) -> Self {
        Self(since_origin)
    }

    /// The time that has passed since the origin.
    #[must_use]
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// The moment `delay` later, saturating.
    #[must_use]
    pub const fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }

    /// The time from `earlier` to `self`, or zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Whole milliseconds for the wire: rounded up, at least 1, at most [`MAX_TTL`].
///
/// Rounding down would turn a short TTL into zero, which stores refuse.
///
/// ```
/// # use memolock_core::millis;
/// # use std::time::Duration;
/// assert_eq!(millis(Duration::from_nanos(1)), 1);
/// assert_eq!(millis(Duration::from_micros(1500)), 2);
/// assert_eq!(millis(Duration::MAX), 100 * 365 * 24 * 3600 * 1000);
/// ```
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    let capped = duration.min(MAX_TTL);
    let up = u64::from(!capped.subsec_nanos().is_multiple_of(1_000_000));
    // Within MAX_TTL the product fits u64 by a factor of millions.
    (capped.as_secs() * 1000 + u64::from(capped.subsec_millis()) + up).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_origin(Duration::MAX);
        assert_eq!(end.after(Duration::MAX), end);
        assert_eq!(Timestamp::ZERO.since(end), Duration::ZERO);
        assert_eq!(end.since(Timestamp::ZERO), Duration::MAX);
    }

    #[test]
    fn millis_never_says_zero() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_millis(250)), 250);
        assert_eq!(millis(Duration::from_nanos(2_000_001)), 3);
    }
}
