//! The clock of a lease: when it is renewed, for how long, and when it ends for good.
//!
//! ```text
//! grant      a third    a third    a third        what is left            max_lease
//!   |---renew---|---renew---|---renew---|----renew, shortened----|             |
//!   '------------------------------------------------------------'-- no more --' the lease ends here
//! ```
//!
//! Each renewal makes the lease last from the moment at which it was sent. The last one is shortened, so that the
//! store itself ends the lease at that moment, whatever becomes of the holder.

use std::time::Duration;

use crate::Timestamp;

/// An unanswered renewal is sent again after this part of a lease.
const AGAIN: u32 = 12;

/// When to renew one lease, and for how long. It is told the time, and does nothing by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseClock {
    lease: Duration,
    max: Duration,
    due: Timestamp,
    expires: Timestamp,
    ends: Timestamp,
}

impl LeaseClock {
    /// A lease of the length `lease` that was taken at `since`, and is kept for at most `max` from `began` on.
    #[must_use]
    pub fn new(since: Timestamp, began: Timestamp, lease: Duration, max: Duration) -> Self {
        let mut clock = Self {
            lease,
            max,
            due: since,
            expires: since,
            ends: began.after(max),
        };
        clock.renewed(since, lease);
        clock
    }

    /// When to renew it. Once nothing is left to renew, this is when it ends.
    #[must_use]
    pub const fn due(&self) -> Timestamp {
        self.due
    }

    /// When it must have expired, if no renewal is answered before.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// When it ends for good, because it is kept no longer.
    #[must_use]
    pub const fn ends(&self) -> Timestamp {
        self.ends
    }

    /// How long a lease lasts from its renewal on.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// For how long it is kept at most.
    #[must_use]
    pub const fn max(&self) -> Duration {
        self.max
    }

    /// How long a renewal that is sent now makes it last: a lease, or what is left of the time for which it is
    /// kept. None if nothing is.
    #[must_use]
    pub fn renewal(&self, now: Timestamp) -> Option<Duration> {
        let left = self.ends.since(now);
        (!left.is_zero()).then_some(left.min(self.lease))
    }

    /// A renewal that was sent at `sent` has made it last for `lease`.
    pub fn renewed(&mut self, sent: Timestamp, lease: Duration) {
        self.expires = sent.after(lease).min(self.ends);
        self.due = match self.expires < self.ends {
            true => sent.after(self.lease / 3),
            false => self.ends,
        };
    }

    /// A renewal was not answered: it is soon sent again. Whether the lease must have expired by now.
    #[must_use]
    pub fn unanswered(&mut self, now: Timestamp) -> bool {
        self.due = now.after(self.lease / AGAIN);
        now >= self.expires
    }

    /// The two that were sent last may have crossed: it is renewed at once.
    pub fn crossed(&mut self, now: Timestamp) {
        self.due = now;
    }

    /// The holder itself made it last for `lease` from `sent` on, and the time for which it is kept begins again.
    /// A lease that is longer than that stands for its length.
    pub fn restarted(&mut self, sent: Timestamp, lease: Duration) {
        self.lease = lease;
        self.ends = sent.after(self.max.max(lease));
        self.renewed(sent, lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(6);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    fn clock(max: u64) -> LeaseClock {
        LeaseClock::new(at(0), at(0), LEASE, Duration::from_secs(max))
    }

    /// Renews whenever it is due, and tells what was asked for.
    fn renewals(clock: &mut LeaseClock) -> Vec<(Timestamp, Duration)> {
        let mut asked = Vec::new();
        while let Some(lease) = clock.renewal(clock.due()) {
            asked.push((clock.due(), lease));
            clock.renewed(clock.due(), lease);
        }
        asked
    }

    #[test]
    fn r16_the_last_renewal_is_shortened_to_what_is_left() {
        let mut clock = clock(15);
        let asked = renewals(&mut clock);
        let last = Duration::from_secs(5);
        let expected = [2, 4, 6, 8].map(|s| (at(s), LEASE));
        assert_eq!(asked, [&expected[..], &[(at(10), last)]].concat());
        assert_eq!((clock.due(), clock.expires()), (at(15), at(15)));
        assert_eq!(clock.renewal(at(15)), None);
    }

    #[test]
    fn r16_no_renewal_lasts_longer_whenever_it_is_sent() {
        for max in 6..30 {
            let clock = clock(max);
            for now in 0..40 {
                let lasts = clock.renewal(at(now)).map(|lease| at(now).after(lease));
                assert!(lasts.is_none_or(|until| until <= clock.ends()));
                assert_eq!(lasts.is_none(), now >= max);
            }
        }
    }

    #[test]
    fn a_lease_that_is_as_long_as_it_may_be_is_never_renewed() {
        let mut clock = clock(6);
        assert_eq!((clock.due(), clock.expires()), (at(6), at(6)));
        assert_eq!(renewals(&mut clock), []);
    }

    #[test]
    fn a_lease_that_was_taken_again_ends_as_it_would_have() {
        let mut clock = LeaseClock::new(at(13), at(0), LEASE, Duration::from_secs(15));
        assert_eq!((clock.due(), clock.expires()), (at(15), at(15)));
        assert_eq!(renewals(&mut clock), []);
    }

    #[test]
    fn an_unanswered_renewal_is_sent_again_until_the_lease_must_be_over() {
        let mut clock = clock(60);
        assert!(!clock.unanswered(at(2)));
        assert_eq!(clock.due(), at(2).after(LEASE / 12));
        assert!(!clock.unanswered(at(5)));
        assert!(clock.unanswered(at(6)));
    }

    #[test]
    fn a_renewal_by_the_holder_begins_again() {
        let mut clock = clock(15);
        clock.restarted(at(10), Duration::from_secs(3));
        assert_eq!((clock.expires(), clock.ends()), (at(13), at(25)));
        assert_eq!(clock.due(), at(11), "in the rhythm of that length");
        // As long as the holder asked for, and no longer.
        clock.restarted(at(10), Duration::from_secs(100));
        assert_eq!((clock.expires(), clock.due()), (at(110), at(110)));
    }

    /// Stores make a millisecond of it.
    #[test]
    fn a_holder_that_asks_for_nothing_is_renewed_for_nothing_and_not_forgotten() {
        let mut clock = clock(15);
        clock.restarted(at(1), Duration::ZERO);
        assert_eq!(
            (clock.due(), clock.renewal(at(1))),
            (at(1), Some(Duration::ZERO))
        );
        assert!(clock.unanswered(at(1)));
    }

    #[test]
    fn absurd_lengths_are_as_good_as_for_ever() {
        let mut clock = LeaseClock::new(at(1), at(1), Duration::MAX, Duration::MAX);
        assert_eq!(clock.ends(), Timestamp::from_origin(Duration::MAX));
        assert_eq!(clock.due(), clock.ends());
        assert!(!clock.unanswered(at(9)));
        clock.restarted(at(9), Duration::MAX);
        assert!(clock.renewal(at(9)).is_some());
    }
}
