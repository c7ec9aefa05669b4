//! The clock that all processes of a machine share.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment, or a while, in microseconds.
pub(crate) type Micros = u64;

/// A second.
pub(crate) const SECOND: Micros = 1_000_000;

/// Now: never set back, and the same in every process.
///
/// # Panics
/// Never: such a clock begins at zero.
#[must_use]
pub(crate) fn now() -> Micros {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).expect("it begins at zero");
    let nanos = u64::try_from(now.tv_nsec).expect("it begins at zero");
    seconds * SECOND + nanos / 1_000
}

/// A while in microseconds.
///
/// # Panics
/// After some hundred thousand years.
#[must_use]
pub(crate) fn micros(time: Duration) -> Micros {
    Micros::try_from(time.as_micros()).expect("nobody waits that long")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on() {
        let then = now();
        assert!(now() >= then);
    }
}
