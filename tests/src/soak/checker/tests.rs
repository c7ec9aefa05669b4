//! Facts made up, and what the checker says of them.

use super::{Checker, Trouble};
use crate::soak::clock::{Micros, SECOND};
use crate::soak::stamp::{Maker, Stamp};
use crate::soak::wire::{Call, Does, End, Fact, How, Outcome, Sample, What};

const MILLI: Micros = 1_000;

/// Facts of two workers, in the order in which they are told.
#[derive(Default)]
struct Story {
    checker: Checker,
    now: Micros,
}

impl Story {
    fn new() -> Self {
        let mut story = Self::default();
        // Longer than anything looks back.
        story.at(100 * SECOND);
        story
    }

    fn at(&mut self, now: Micros) -> &mut Self {
        self.now = now;
        self
    }

    fn later(&mut self, by: Micros) -> &mut Self {
        self.now += by;
        self
    }

    fn tell(&mut self, process: u32, what: What) -> &mut Self {
        self.now += 1;
        let at = self.now;
        self.checker.observe(process, &Fact { at, what });
        self
    }

    fn begin(&mut self, process: u32, number: u64, key: u32) -> &mut Self {
        let leased = true;
        let what = What::Computing {
            number,
            key,
            leased,
        };
        self.tell(process, what)
    }

    fn over(&mut self, process: u32, number: u64, outcome: Outcome) -> &mut Self {
        let lost = false;
        let what = What::Computed {
            number,
            outcome,
            lost,
        };
        self.tell(process, what)
    }

    fn compute(&mut self, process: u32, number: u64, key: u32) -> &mut Self {
        self.begin(process, number, key);
        self.over(process, number, Outcome::Made { nonce: 9 })
    }

    fn write(&mut self, process: u32, number: u64, key: u32, how: How) -> &mut Self {
        let nonce = 9;
        let what = What::Writing {
            number,
            key,
            how,
            nonce,
        };
        self.tell(process, what);
        self.tell(process, What::Wrote { number, done: true })
    }

    /// A call of `process` that begins now and ends in a moment.
    fn gets(&mut self, process: u32, key: u32, value: Stamp) -> &mut Self {
        let call = self.call(key, End::Value(value));
        self.tell(process, What::Called(call))
    }

    fn call(&self, key: u32, end: End) -> Call {
        Call {
            does: Does::Compute,
            key,
            began: self.now,
            limit: SECOND,
            own: Vec::new(),
            made: None,
            end,
        }
    }

    /// How often each kind of trouble was found, in the end.
    fn finds(&mut self, expected: &[(Trouble, u64)]) {
        self.checker.finish();
        let found = Trouble::ALL.map(|(kind, _)| (kind, self.checker.troubles.of(kind)));
        let found: Vec<_> = found.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(found, expected, "{:#?}", self.checker.troubles.sentences);
    }
}

fn stamp(process: u32, number: u64, key: u32) -> Stamp {
    let maker = Maker { process, number };
    let nonce = 9;
    Stamp { key, maker, nonce }
}

#[test]
fn a_value_that_was_made_is_fine_for_whoever_asks() {
    let mut story = Story::new();
    story.compute(1, 1, 7).gets(1, 7, stamp(1, 1, 7));
    story.gets(2, 7, stamp(1, 1, 7));
    story.write(2, 1, 7, How::Put).gets(1, 7, stamp(2, 1, 7));
    story
        .write(2, 2, 7, How::Resolve)
        .gets(1, 7, stamp(2, 2, 7));
    story.finds(&[]);
}

#[test]
fn wrong_values_are_found() {
    let mut story = Story::new();
    story.compute(1, 1, 7).begin(1, 2, 8);
    // Of another key, of nobody, before it was made, of another make, of a failed compute.
    story.gets(2, 8, stamp(1, 1, 7)).gets(2, 8, stamp(1, 1, 8));
    story.gets(2, 7, stamp(1, 3, 7)).gets(2, 8, stamp(1, 2, 8));
    let other = Stamp {
        nonce: 10,
        ..stamp(1, 1, 7)
    };
    story.gets(2, 7, other).over(1, 2, Outcome::Failed);
    story.gets(2, 8, stamp(1, 2, 8));
    let garbage = story.call(7, End::Garbage("7 1 1".to_owned()));
    story.tell(2, What::Called(garbage));
    story.finds(&[(Trouble::WrongValue, 7)]);
}

#[test]
fn what_is_older_than_an_own_write_is_found() {
    let mut story = Story::new();
    story.begin(1, 1, 7).write(2, 1, 7, How::Invalidate);
    story.over(1, 1, Outcome::Made { nonce: 9 });
    // The one that has written must not see it; who knows nothing of the write may.
    story.gets(1, 7, stamp(1, 1, 7)).gets(2, 7, stamp(1, 1, 7));
    // Nor may an older put come back.
    story.write(2, 2, 7, How::Put).write(2, 3, 7, How::Put);
    story.gets(2, 7, stamp(2, 3, 7)).gets(2, 7, stamp(2, 2, 7));
    story.finds(&[(Trouble::StaleValue, 2)]);
}

#[test]
fn a_result_that_does_not_reach_its_caller_is_found() {
    let mut story = Story::new();
    story.compute(1, 1, 7).compute(2, 1, 7);
    for end in [
        End::Value(stamp(1, 1, 7)),
        End::Value(stamp(2, 1, 7)),
        End::Error("timeout while waiting".to_owned()),
        End::Left,
    ] {
        let mut call = story.call(7, end);
        call.made = Some(1);
        story.tell(1, What::Called(call));
    }
    story.finds(&[(Trouble::LostResult, 2)]);
}

#[test]
fn a_late_call_is_found_and_its_own_compute_and_stops_are_not_held_against_it() {
    let mut story = Story::new();
    let began = story.call(7, End::Nothing);
    let own = Call {
        own: vec![(began.began, began.began + 2 * SECOND)],
        ..began.clone()
    };
    story.later(3 * SECOND - 100 * MILLI);
    story
        .tell(1, What::Called(own))
        .tell(1, What::Called(began.clone()));
    story.tell(0, What::Stopped { process: 2 }).later(SECOND);
    story.tell(0, What::Continued { process: 2 });
    let stopped = Call {
        limit: 2 * SECOND,
        ..began
    };
    story.tell(2, What::Called(stopped));
    story.finds(&[(Trouble::LateCall, 1)]);
}

#[test]
fn a_runtime_that_was_late_is_counted_and_not_an_excuse_for_more() {
    let mut story = Story::new();
    let call = story.call(7, End::Nothing);
    story.later(2 * SECOND + 200 * MILLI);
    story.tell(1, What::Called(call.clone()));
    story.tell(1, What::Alive { late: 300 * MILLI });
    story.tell(2, What::Called(call));
    story.tell(2, What::Alive { late: 50 * MILLI });
    story.finds(&[(Trouble::LateCall, 1)]);
    let seen = story.checker.lateness();
    assert_eq!((seen.late, seen.starved), (2, 1));
}

#[test]
fn overlapping_computes_are_found_unless_a_write_or_a_fault_explains_them() {
    let mut story = Story::new();
    story.begin(1, 1, 7).later(SECOND).begin(2, 1, 7);
    // A write ends the lease.
    story.begin(1, 2, 8).later(SECOND);
    story.write(2, 2, 8, How::Invalidate).begin(2, 3, 8);
    story.finds(&[(Trouble::Overlap, 1)]);

    let mut story = Story::new();
    let fault = || "FLUSHALL".to_owned();
    story.begin(1, 1, 7);
    story.tell(0, What::FaultBegan { fault: fault() });
    story.tell(0, What::FaultEnded { fault: fault() });
    story.later(SECOND).begin(2, 1, 7);
    // Long after a fault it explains nothing.
    story.later(20 * SECOND).begin(1, 2, 8).begin(2, 2, 8);
    story.finds(&[(Trouble::Overlap, 1)]);
}

#[test]
fn a_dead_worker_computes_no_more() {
    let mut story = Story::new();
    story.begin(1, 1, 7).tell(0, What::Died { process: 1 });
    story.later(2 * SECOND).begin(2, 1, 7);
    story.finds(&[]);
}

#[test]
fn panics_and_odd_errors_are_found() {
    let mut story = Story::new();
    let message = "index out of bounds".to_owned();
    story.tell(1, What::Panicked { message });
    for kind in ["codec", "store: get: Timeout"] {
        let call = story.call(7, End::Error(kind.to_owned()));
        story.tell(1, What::Called(call));
    }
    story.finds(&[(Trouble::Panic, 1), (Trouble::OddError, 1)]);
}

#[test]
fn leaks_and_growth_are_found() {
    let mut story = Story::new();
    let calm = Sample {
        tasks: 8,
        files: 14,
        rss_kib: 20_000,
        ..Sample::default()
    };
    let leaky = |nth: u64| Sample {
        tasks: 9,
        subscriptions: 1,
        rss_kib: 20_000 + 40 * nth,
        ..calm
    };
    for nth in 0..1_200 {
        story.tell(1, What::Sample(calm));
        story.tell(2, What::Sample(leaky(nth)));
    }
    let held = &story.checker.holdings.held;
    assert_eq!(held[&1].left_behind(&calm), Vec::<String>::new());
    let left = ["1 subscriptions", "9 tasks, where 8 were enough"];
    assert_eq!(held[&2].left_behind(&calm), left);
    assert_eq!((held[&1].grew(), held[&2].grew()), (false, true));
}
