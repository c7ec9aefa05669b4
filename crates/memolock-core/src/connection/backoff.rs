//! Delays between attempts to reconnect.

use std::time::Duration;

/// Exponential delays with jitter. The first attempt comes at once: a killed connection is not an
/// outage.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    last: Duration,
}

impl Backoff {
    /// Delays between `min` and `max`.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max: max.max(min),
            last: Duration::ZERO,
        }
    }

    /// How long to wait before the next attempt. `fresh` is a random number.
    pub fn next(&mut self, fresh: u64) -> Duration {
        let base = self.last;
        self.last = base.saturating_mul(2).clamp(self.min, self.max);
        // Between a half and the whole of it, so that a fleet does not come back in step.
        let half = base / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(fresh.checked_rem(nanos.saturating_add(1)).unwrap_or(0))
    }

    /// The next attempt shall not come before `least` has passed, whatever the maximum.
    pub fn at_least(&mut self, least: Duration) {
        // A delay is at least half of what it grew to.
        self.last = self.last.max(least.saturating_mul(2));
    }

    /// A connection was lost after it had lived this long. One that lived shorter than the minimum
    /// has not proved anything: whoever accepts and drops us at once must not be hammered.
    pub fn lived(&mut self, life: Duration) {
        if life > self.min {
            self.last = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(10);
    const MAX: Duration = Duration::from_secs(2);

    /// Numbers that are spread out, and the same in every run.
    fn fresh(n: u64) -> u64 {
        n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn the_first_attempt_is_immediate_and_the_rest_grow_to_the_maximum() {
        let mut backoff = Backoff::new(MIN, MAX);
        assert_eq!(backoff.next(fresh(0)), Duration::ZERO);
        let mut expected = MIN;
        for n in 0..20 {
            let delay = backoff.next(fresh(n));
            assert!(delay >= expected / 2 && delay <= expected, "{delay:?}");
            expected = (expected * 2).min(MAX);
        }
    }

    #[test]
    fn an_attempt_can_be_told_to_wait() {
        let mut backoff = Backoff::new(MIN, MIN);
        let least = MIN * 50;
        for n in 0..5 {
            backoff.at_least(least);
            assert!(backoff.next(fresh(n)) >= least);
        }
        assert!(backoff.next(0) <= MIN, "once");
    }

    #[test]
    fn only_a_connection_that_lived_starts_it_over() {
        let mut backoff = Backoff::new(MIN, MAX);
        for _ in 0..5 {
            backoff.next(0);
        }
        backoff.lived(MIN / 2);
        assert!(backoff.next(0) > MIN);
        backoff.lived(MIN * 2);
        assert_eq!(backoff.next(0), Duration::ZERO);
    }

    #[test]
    fn odd_bounds_do_no_harm() {
        for (min, max) in [
            (Duration::ZERO, Duration::ZERO),
            (MAX, MIN),
            (Duration::MAX / 4, Duration::MAX / 4),
        ] {
            let mut backoff = Backoff::new(min, max);
            for _ in 0..3 {
                let delay = backoff.next(u64::MAX);
                assert!(delay <= max.max(min), "{delay:?}");
            }
        }
    }
}
