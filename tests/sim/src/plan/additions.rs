//! What was added to schedules since: drawn from numbers of its own, so that the seeds of before stand for what
//! they did.

use super::{Call, Damage, Does, Ends, Leaves, Plan, Vandal, Weather, pick};
use crate::fault::Fault;
use crate::store::Channel;

impl Plan {
    /// Near caches in half of the schedules, and calls that meet in them.
    pub(super) fn draw_near(&mut self) {
        let mut random = fastrand::Rng::with_seed(self.seed ^ 0x006e_6561_7200);
        let some = random.bool();
        self.near = (0..self.processes)
            .map(|_| some && random.u8(0..4) > 0)
            .collect();
        if !self.near.contains(&true) {
            return;
        }
        let calm = self.weather == Weather::Calm;
        let span = pick(&mut random, &[30, 100, 900]);
        for _ in 0..random.usize(4..=16) {
            let (lasts, ends) = (random.u64(0..40), Ends::Well);
            let does = match random.u8(0..12) {
                0..=1 if !calm => Does::Put,
                2 if !calm => Does::Invalidate,
                3..=7 => Does::Get,
                8 => Does::Detached { lasts, ends },
                _ => Does::Compute { lasts, ends },
            };
            let at = random.u64(0..=span);
            let (process, key) = (random.usize(0..self.processes), random.usize(0..self.keys));
            for again in 0..random.u64(1..=3) {
                // Once more soon after: the near cache has it by then, or must not have it any more.
                let does = if again == 0 { does } else { Does::Get };
                let at = at + again * random.u64(0..30);
                let leaves = None;
                self.calls.push(Call {
                    process,
                    key,
                    at,
                    does,
                    leaves,
                });
            }
        }
    }

    /// Bytes that cannot be decoded, in a fifth of the schedules: while everything goes on, or left there for those who
    /// call once all is well.
    pub(super) fn draw_garbage(&mut self) {
        let mut random = fastrand::Rng::with_seed(self.seed ^ 0x6761_7262_6167);
        if self.weather == Weather::Calm || random.u8(0..5) > 0 {
            return;
        }
        self.refuses = random.u8(0..4) == 0;
        for _ in 0..random.usize(1..=3) {
            let span = pick(&mut random, &[60, 800, self.settled]);
            let notif = Damage::Shout(Channel::Notif);
            self.vandals.push(Vandal {
                key: random.usize(0..self.keys),
                at: random.u64(0..span),
                does: pick(&mut random, &[Damage::Litter, Damage::Litter, notif]),
                lasts: 0,
            });
        }
    }

    /// Stores that refuse for now and proxies with errors of their own, in a third of the storms. In half of those
    /// nothing else breaks.
    pub(super) fn draw_refusals(&mut self) {
        let mut random = fastrand::Rng::with_seed(self.seed ^ 0x7265_6675_7365);
        if self.nests || random.u8(0..3) > 0 {
            return;
        }
        self.refusals_alone = random.bool();
        for _ in 0..random.usize(1..=2) {
            let at = random.u64(0..900);
            let lasts = pick(&mut random, &[5, 100, 500, 700, 2500]);
            let fault = match random.bool() {
                true => Fault::Refuses {
                    lasts,
                    writes_alone: random.bool(),
                },
                false => Fault::Fails {
                    lasts,
                    key: random.bool().then(|| random.usize(0..self.keys)),
                    late: random.bool(),
                },
            };
            self.faults.push((at, fault));
            self.calm = self.calm.max(at + lasts);
        }
    }

    /// Values that are stored by tasks of their own, as large ones are, in a quarter of the schedules: all values, or those
    /// of later computes alone.
    pub(super) fn draw_large(&mut self) {
        let mut random = fastrand::Rng::with_seed(self.seed ^ 0x6c61_7267_6500);
        if random.u8(0..4) == 0 {
            self.large = pick(&mut random, &[0, 0, "k0v0".len()]);
        }
    }

    /// In an eighth of the storms: an outage, and calls in it whose computes call again, in one place. The seeds of the
    /// corpus are none of these. Refusals, limits and closes of many calls are not drawn beside this: what holds a place
    /// for how long is judged, and not what ends work.
    pub(super) fn draw_nested(&mut self) {
        if !self.nests {
            return;
        }
        let mut random = fastrand::Rng::with_seed(self.seed ^ 0x6e65_7374_0000);
        (self.local, self.insists) = (1, false);
        let (at, lasts) = (random.u64(0..300), pick(&mut random, &[700, 2500]));
        let empty = random.bool();
        self.faults.push((at, Fault::Crash { lasts, empty }));
        self.calm = at + lasts;
        let process = random.usize(0..self.processes);
        // What a close does to detached work is judged of calls that are not nested.
        let closes = self.calls.iter().any(|call| call.does == Does::Close);
        for _ in 0..random.usize(2..=6) {
            let leaves = match random.u8(0..6) {
                0 => Some(Leaves::After(random.u64(0..400))),
                1 => Some(Leaves::AfterPolls(random.u32(1..20))),
                _ => None,
            };
            self.calls.push(Call {
                process,
                // More keys than others have, so that several computes want a place at once.
                key: random.usize(0..4),
                at: at + random.u64(1..lasts),
                does: Does::Nested {
                    lasts: random.u64(0..60),
                    apart: !closes && random.u8(0..3) == 0,
                },
                leaves,
            });
        }
    }

    /// Calls for all keys in half of the schedules.
    pub(super) fn draw_many(&mut self) {
        let mut random = fastrand::Rng::with_seed(self.seed ^ 0x6d61_6e79_0000);
        if random.bool() {
            return;
        }
        let calm = self.weather == Weather::Calm;
        let span = pick(&mut random, &[5, 60, 800]);
        for _ in 0..random.usize(1..=5) {
            let ends = match random.u8(0..10) {
                _ if calm => Ends::Well,
                0..=1 => Ends::Fails,
                2 => Ends::Panics,
                3 => Ends::NotKept,
                _ => Ends::Well,
            };
            let lasts = random.u64(0..if calm { 200 } else { 3 * self.lease });
            let (process, first) = (random.usize(0..self.processes), random.usize(0..self.keys));
            let leaves = match random.u8(0..6) {
                _ if calm => None,
                0 => Some(Leaves::After(random.u64(0..400))),
                1 => Some(Leaves::AfterPolls(random.u32(1..20))),
                _ => None,
            };
            let at = random.u64(0..=span);
            for nth in 0..self.keys {
                self.calls.push(Call {
                    process,
                    key: (first + nth) % self.keys,
                    at,
                    does: match nth {
                        0 => Does::Many { lasts, ends },
                        _ => Does::Along { lasts },
                    },
                    leaves,
                });
            }
        }
    }

    /// In a quarter of the schedules that are not calm, limits that are reached: computes that take far too long, and
    /// programs that never come.
    pub(super) fn draw_limits(&mut self) {
        let mut random = fastrand::Rng::with_seed(self.seed ^ 0x6c69_6d69_7400);
        if self.nests || self.weather == Weather::Calm || random.u8(0..4) > 0 {
            return;
        }
        self.max_lease = self.lease + random.u64(0..2 * self.lease);
        self.trigger_timeout = random.u64(0..3 * self.lease);
        if random.u8(0..3) == 0 {
            self.compute_timeout = Some(random.u64(1..2 * self.lease));
        }
        let span = pick(&mut random, &[5, 60, 800]);
        for _ in 0..random.usize(1..=3) {
            let (process, key) = (random.usize(0..self.processes), random.usize(0..self.keys));
            let lasts = self.max_lease + random.u64(0..4 * self.lease);
            let does = match random.u8(0..4) {
                0 => Does::Detached {
                    lasts,
                    ends: Ends::Well,
                },
                1 => Does::External {
                    lasts,
                    comes: random.bool(),
                },
                _ => Does::Compute {
                    lasts,
                    ends: Ends::Well,
                },
            };
            self.calls.push(Call {
                process,
                key,
                at: random.u64(0..=span),
                does,
                leaves: None,
            });
        }
    }

    /// Closes amid calls of one process, some of them detached, in a quarter of the schedules that are not calm. Not where
    /// refusals are judged: what a close ends is not looked for there.
    pub(super) fn draw_closes(&mut self) {
        let mut random = fastrand::Rng::with_seed(self.seed ^ 0x636c_6f73_6500);
        let barred = self.nests || self.refusals_alone;
        if barred || self.weather == Weather::Calm || random.u8(0..4) > 0 {
            return;
        }
        let process = random.usize(0..self.processes);
        let (from, span) = (random.u64(0..100), pick(&mut random, &[0, 10, 60]));
        for _ in 0..random.usize(2..=8) {
            let lasts = match random.u8(0..8) {
                // Longer than a close waits.
                0 => random.u64(4_000..8_000),
                _ => random.u64(0..400),
            };
            let ends = match random.u8(0..8) {
                0 => Ends::Fails,
                _ => Ends::Well,
            };
            let does = match random.u8(0..3) {
                0 => Does::Detached { lasts, ends },
                _ => Does::Compute { lasts, ends },
            };
            let leaves = match random.u8(0..8) {
                0 => Some(Leaves::After(random.u64(0..300))),
                _ => None,
            };
            self.calls.push(Call {
                process,
                key: random.usize(0..self.keys),
                at: from + random.u64(0..=span),
                does,
                leaves,
            });
        }
        for _ in 0..random.usize(1..=2) {
            self.calls.push(Call {
                process,
                key: 0,
                at: from + random.u64(0..=span + 50),
                does: Does::Close,
                leaves: None,
            });
        }
    }

    /// Repeated notices in a quarter of the schedules, two versions of the type in a sixth.
    pub(super) fn draw_repeats(&mut self) {
        let mut random = fastrand::Rng::with_seed(self.seed ^ 0x0072_6570_6561_7400);
        if random.u8(0..4) == 0 {
            let after = pick(&mut random, &[1, 20, 100]);
            let draw = |_| random.bool().then_some(after);
            self.repeats = (0..self.processes).map(draw).collect();
        }
        if random.u8(0..6) == 0 {
            let draw = |_| random.u32(1..=2);
            self.versions = (0..self.processes).map(draw).collect();
        }
    }
}
