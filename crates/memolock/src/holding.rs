//! A holding: work that holds its key, as the heartbeat watches it.
//!
//! It ends with the work, or with `max_lease`. What may come between, and in which order:
//!
//! | | lease | flight | log |
//! |---|---|---|---|
//! | the lease is renewed | lasts on | goes on | after 1 min, 2 min, 4 min … a warning |
//! | the lease is lost before its time | `lost` | goes on: the value is its callers' all the same | lost, and why |
//! | `max_lease` is over | ends in the store by itself, `lost` | overdue: callers that joined begin again, and later ones do not join | lost, and why |
//! | the work ends | released, or stored and gone | ends | - |
//!
//! Work without a lease, in an outage, holds its key in this process alone: its flight is overdue then, too.

use std::sync::Weak;
use std::time::Duration;

use memolock_core::{Key, LeaseClock, Timestamp};
use tokio_util::sync::CancellationToken;

/// However short a lease its holder chooses, it is not renewed without rest.
const SHORTEST_BEAT: Duration = Duration::from_millis(10);

/// Renewals due within this part of a lease travel with the first one.
const TOGETHER: u32 = 12;

/// When work that goes on for long is first logged; then at each doubling.
const LONG: Duration = Duration::from_secs(60);

/// What is told that work has held its key for as long as it may.
pub(crate) trait Overdue: Send + Sync {
    /// Others may go on without it.
    fn overdue(&self);

    /// It holds its key from now on, once more or for the first time.
    fn in_time(&self);
}

/// One holding.
pub(crate) struct Holding {
    pub(crate) key: Key,
    pub(crate) clock: LeaseClock,
    /// Cancelled when the lease is lost.
    pub(crate) lost: CancellationToken,
    /// How often the holder itself chose a length.
    pub(crate) version: u32,
    /// With how many at most it is renewed in one command.
    pub(crate) group: usize,
    /// Its end is on the way to the store.
    pub(crate) ending: bool,
    flight: Weak<dyn Overdue>,
    lease: Leased,
    began: Timestamp,
    warns: Timestamp,
    rests: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leased {
    /// The lease stands, as far as is known.
    Held,
    Lost,
    /// There never was one.
    None,
}

/// What is to be done with a holding now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// The time of a fixed lease is over.
    Expired,
    /// It holds its key for long, which is to be logged.
    Long,
    /// It may hold its key no longer.
    Over,
}

/// A key that is held for long.
#[derive(Debug)]
pub(crate) struct Long {
    key: Key,
    age: Duration,
    max: Duration,
}

impl Long {
    pub(crate) fn log(&self) {
        let Self { key, age, max } = self;
        tracing::warn!(
            %key, ?age, max_lease = ?max,
            "a compute holds its key for long: max_lease ends its lease, compute_timeout ends the compute"
        );
    }
}

impl Holding {
    /// Work under a lease.
    pub(crate) fn leased(
        key: &Key,
        began: Timestamp,
        clock: LeaseClock,
        flight: Weak<dyn Overdue>,
    ) -> Self {
        Self {
            key: key.clone(),
            lost: CancellationToken::new(),
            version: 0,
            group: usize::MAX,
            ending: false,
            flight,
            lease: Leased::Held,
            began,
            warns: began.after(LONG),
            rests: Timestamp::ZERO,
            clock,
        }
    }

    /// Work without one, which may hold its key for `max`.
    pub(crate) fn unleased(
        key: &Key,
        began: Timestamp,
        max: Duration,
        flight: Weak<dyn Overdue>,
    ) -> Self {
        Self {
            lease: Leased::None,
            ..Self::leased(key, began, LeaseClock::new(began, began, max, max), flight)
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.lease == Leased::Held
    }

    /// When to look at it next.
    pub(crate) fn next(&self, renews: bool) -> Timestamp {
        let next = match (self.lease, renews) {
            (Leased::Held, true) => self.renews_at(),
            (Leased::Held, false) => self.clock.expires(),
            (Leased::Lost | Leased::None, _) => self.clock.ends(),
        };
        next.min(self.watched_until())
    }

    /// When to look at it next, but for renewals: it is over then, or held for long.
    pub(crate) fn watched_until(&self) -> Timestamp {
        let ends = self.clock.ends();
        match self.lease {
            Leased::Lost => ends,
            Leased::Held | Leased::None => ends.min(self.warns),
        }
    }

    fn renews_at(&self) -> Timestamp {
        self.clock.due().max(self.rests)
    }

    /// What there is to do, but for a renewal.
    pub(crate) fn due(&self, now: Timestamp, renews: bool) -> Due {
        if now >= self.clock.ends() {
            return Due::Over;
        }
        if self.is_held() && !renews && now >= self.clock.expires() {
            return Due::Expired;
        }
        match self.lease != Leased::Lost && now >= self.warns {
            true => Due::Long,
            false => Due::Nothing,
        }
    }

    /// How long a renewal lasts that is to be sent now, with others if it is almost due.
    pub(crate) fn renewal(&self, now: Timestamp) -> Option<Duration> {
        // After an error that is not known it is not sent sooner than it is due.
        let sooner = match self.group {
            usize::MAX => self.clock.lease() / TOGETHER,
            _ => Duration::ZERO,
        };
        let together = now.after(sooner);
        let due =
            self.is_held() && self.renews_at() <= together && self.clock.due() < self.clock.ends();
        due.then(|| self.clock.renewal(now)).flatten()
    }

    /// A renewal of that length was sent at `sent`, and made.
    pub(crate) fn renewed(&mut self, sent: Timestamp, lease: Duration) {
        self.clock.renewed(sent, lease);
        self.rests = sent.after(SHORTEST_BEAT);
        self.group = usize::MAX;
    }

    /// The holder itself has renewed.
    pub(crate) fn restarted(&mut self, sent: Timestamp, lease: Duration) {
        self.version += 1;
        self.clock.restarted(sent, lease);
        self.rests = sent.after(SHORTEST_BEAT);
        self.group = usize::MAX;
    }

    /// A command for so many met an error that is not known: it travels with fewer then, and not before `at`.
    pub(crate) fn apart(&mut self, from: usize, at: Timestamp) {
        self.group = from.isqrt().max(1);
        self.rests = at;
    }

    /// It is not renewed for the time of a lease: the answer to its end comes before.
    pub(crate) fn rest(&mut self, now: Timestamp) {
        self.rests = now.after(self.clock.lease());
    }

    /// The lease is lost; the rest goes on.
    pub(crate) fn lose(&mut self) {
        self.lease = Leased::Lost;
    }

    /// It holds its key for long, and that is about to be logged.
    pub(crate) fn warned(&mut self, now: Timestamp) -> Long {
        let age = now.since(self.began);
        let mut next = LONG;
        while next <= age {
            next = next.saturating_mul(2);
        }
        self.warns = self.began.after(next);
        let (key, max) = (self.key.clone(), self.clock.max());
        Long { key, age, max }
    }

    /// Tells its flight that others may go on without it.
    pub(crate) fn overdue(&self) {
        if let Some(flight) = self.flight.upgrade() {
            flight.overdue();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memolock_core::{Keyspace, Layout, Tag};
    use std::sync::Arc;

    struct Nothing;

    impl Overdue for Nothing {
        fn overdue(&self) {}
        fn in_time(&self) {}
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    fn holding(max: u64) -> Holding {
        let space = Keyspace::new(Tag::new("likes").unwrap(), Layout::Classic).unwrap();
        let lease = Duration::from_secs(6);
        let clock = LeaseClock::new(at(0), at(0), lease, Duration::from_secs(max));
        let flight: Weak<dyn Overdue> = Arc::downgrade(&Arc::new(Nothing)) as Weak<dyn Overdue>;
        Holding::leased(&space.key("a").unwrap(), at(0), clock, flight)
    }

    #[test]
    fn it_warns_after_a_minute_and_at_each_doubling() {
        let mut holding = holding(100_000);
        let mut warned = Vec::new();
        for second in 0..600 {
            if holding.due(at(second), true) == Due::Long {
                warned.push(holding.warned(at(second)).age.as_secs());
            }
        }
        assert_eq!(warned, [60, 120, 240, 480]);
        // A heartbeat that was held up says it once.
        assert_eq!(holding.warned(at(4000)).age.as_secs(), 4000);
        assert_eq!(holding.due(at(7679), true), Due::Nothing);
        assert_eq!(holding.due(at(7680), true), Due::Long);
    }

    #[test]
    fn a_lost_lease_is_neither_renewed_nor_warned_of_but_its_flight_is_overdue_in_time() {
        let mut holding = holding(90);
        holding.lose();
        assert_eq!(holding.renewal(at(10)), None);
        assert_eq!(holding.due(at(80), true), Due::Nothing);
        assert_eq!(holding.next(true), at(90));
        assert_eq!(holding.due(at(90), true), Due::Over);
    }

    #[test]
    fn what_is_almost_due_travels_along_and_a_last_renewal_is_the_last() {
        let mut holding = holding(15);
        assert_eq!(holding.renewal(at(1)), None);
        let half = Duration::from_millis(500);
        assert!(holding.renewal(at(1).after(half)).is_some());
        holding.renewed(at(10), Duration::from_secs(5));
        for second in 10..15 {
            assert_eq!(holding.renewal(at(second)), None, "{second}");
        }
        assert_eq!(holding.next(true), at(15));
    }

    #[test]
    fn a_fixed_lease_expires_before_its_flight_is_overdue() {
        let holding = holding(15);
        assert_eq!(holding.next(false), at(6));
        assert_eq!(holding.due(at(5), false), Due::Nothing);
        assert_eq!(holding.due(at(6), false), Due::Expired);
    }
}
