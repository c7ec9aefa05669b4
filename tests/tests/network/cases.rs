//! What happens to the line, and to whose.

use std::time::Duration;

use memolock_testkit::{Arrivals, End, Faults, Way};

/// One row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) nth: u64,
    pub(crate) name: &'static str,
    pub(crate) faults: Faults,
    /// Connections that are there end so, first.
    pub(crate) sever: Option<End>,
    pub(crate) whom: Whom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    Holder,
    Waiter,
    Both,
}

/// Every fault on every line.
pub(crate) fn cases() -> Vec<Case> {
    let millis = Duration::from_millis;
    let clear = Way::CLEAR;
    let faults = [
        (
            "latency",
            Faults::both(clear.late(millis(20), millis(10))),
            None,
        ),
        (
            "jitter",
            Faults::both(clear.late(millis(0), millis(80))),
            None,
        ),
        (
            "slow replies",
            Faults::down(clear.slow(512, millis(1))),
            None,
        ),
        ("slow requests", Faults::up(clear.slow(16, millis(1))), None),
        ("requests vanish", Faults::up(clear.vanishing()), None),
        ("replies vanish", Faults::down(clear.vanishing()), None),
        ("half-open", Faults::both(clear.vanishing()), None),
        ("stalled", Faults::both(clear.stalled()), None),
        (
            "reply cut at byte 1, closed",
            Faults::down(clear.broken_after(1, End::Close)),
            None,
        ),
        (
            "reply cut at byte 700, closed",
            Faults::down(clear.broken_after(700, End::Close)),
            None,
        ),
        (
            "reply cut at byte 1, reset",
            Faults::down(clear.broken_after(1, End::Reset)),
            None,
        ),
        (
            "reply cut at byte 5000, reset",
            Faults::down(clear.broken_after(5000, End::Reset)),
            None,
        ),
        (
            "request cut at byte 50, reset",
            Faults::up(clear.broken_after(50, End::Reset)),
            None,
        ),
        ("severed once", Faults::default(), Some(End::Reset)),
        (
            "accepted and closed",
            Faults::arrivals(Arrivals::Close),
            Some(End::Close),
        ),
        (
            "nobody listens",
            Faults::arrivals(Arrivals::Refuse),
            Some(End::Reset),
        ),
        (
            "accepted, then silence",
            Faults::arrivals(Arrivals::Silence),
            Some(End::Close),
        ),
    ];
    let mut cases = Vec::new();
    for (name, faults, sever) in faults {
        for whom in [Whom::Holder, Whom::Waiter, Whom::Both] {
            let nth = cases.len() as u64;
            cases.push(Case {
                nth,
                name,
                faults,
                sever,
                whom,
            });
        }
    }
    cases
}
