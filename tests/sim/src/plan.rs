//! What a seed stands for: how many there are, what they do, and what breaks when.

mod additions;
mod outsiders;

use crate::fault::Fault;
use crate::history::ProcessId;
use crate::store::{Channel, Millis};
use crate::world::Which;

pub use outsiders::{Damage, Stranger, Vandal};

/// How bad it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Nothing breaks and every compute is well: one compute a key, and nobody waits a moment too long.
    Calm,
    /// Callers leave, computes fail, panic and are slow, values are put and invalidated.
    Busy,
    /// All that, and connections, servers and processes break.
    Storm,
}

/// One schedule, before it runs.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // Times are in milliseconds.
pub struct Plan {
    pub seed: u64,
    pub weather: Weather,
    pub processes: usize,
    pub keys: usize,
    /// The longest way of a message.
    pub latency: Millis,
    pub lease: Millis,
    /// How long a command may take.
    pub bound: Millis,
    pub wait: Millis,
    pub ttl: Millis,
    /// Failures are shared in the fleet.
    pub shares: bool,
    /// In an outage calls fail, rather than compute here.
    pub insists: bool,
    /// Values that cannot be decoded are errors, and are not computed again.
    pub refuses: bool,
    /// Leases are not renewed.
    pub fixed: bool,
    /// How long a lease is kept at most.
    pub max_lease: Millis,
    /// How long callers wait for another program.
    pub trigger_timeout: Millis,
    /// How long a compute may take, if that is limited.
    pub compute_timeout: Option<Millis>,
    /// How many computes may run without a lease.
    pub local: usize,
    /// Computes call again, in an outage.
    pub nests: bool,
    /// Values with more bytes are large.
    pub large: usize,
    /// Which processes have a near cache.
    pub near: Vec<bool>,
    /// After how long processes repeat their notices, if they do.
    pub repeats: Vec<Option<Millis>>,
    /// The version of each process's values; none if the fleet has one version.
    pub versions: Vec<u32>,
    pub calls: Vec<Call>,
    pub strangers: Vec<Stranger>,
    pub vandals: Vec<Vandal>,
    pub faults: Vec<(Millis, Fault)>,
    /// The server refuses or a proxy fails, and nothing else breaks.
    pub refusals_alone: bool,
    /// From when on nothing breaks any more, and what broke is mended.
    pub calm: Millis,
    /// From when on everybody has got over it.
    pub settled: Millis,
    /// When everybody must have ended long since.
    pub end: Millis,
}

/// One call.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Call {
    pub process: ProcessId,
    pub key: usize,
    pub at: Millis,
    pub does: Does,
    pub leaves: Option<Leaves>,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Does {
    Compute {
        lasts: Millis,
        ends: Ends,
    },
    /// The same in a task of its own.
    Detached {
        lasts: Millis,
        ends: Ends,
    },
    /// Another program is to make it.
    External {
        lasts: Millis,
        comes: bool,
    },
    /// All keys at once, this one first. What it does with the others is in the calls that follow.
    Many {
        lasts: Millis,
        ends: Ends,
    },
    /// Done by the `Many` before it.
    Along {
        lasts: Millis,
    },
    /// The compute makes a call for another key, which computes for as long; in a task of its own if so.
    Nested {
        lasts: Millis,
        apart: bool,
    },
    Get,
    Put,
    Invalidate,
    Close,
}

/// How a compute ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Ends {
    Well,
    NotKept,
    Fails,
    Panics,
}

/// When a caller goes away by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// After this time.
    After(Millis),
    /// When it has been polled so often: at any await.
    AfterPolls(u32),
}

impl Plan {
    /// The schedule of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let weather = match random.u8(0..10) {
            0..=1 => Weather::Calm,
            2..=4 => Weather::Busy,
            _ => Weather::Storm,
        };
        let lease = pick(&mut random, &[200, 500, 1500]);
        let mut plan = Self {
            seed,
            weather,
            processes: random.usize(1..=3),
            keys: pick(&mut random, &[1, 1, 2]),
            latency: pick(&mut random, &[0, 2, 10, 25]),
            lease,
            bound: pick(&mut random, &[100, 300]),
            wait: pick(&mut random, &[400, 3000, 10_000]),
            ttl: 600_000,
            shares: random.u8(0..4) == 0,
            insists: random.u8(0..6) == 0,
            refuses: false,
            fixed: weather != Weather::Calm && random.u8(0..8) == 0,
            max_lease: NEVER,
            trigger_timeout: NEVER,
            compute_timeout: None,
            local: pick(&mut random, &[1, 64]),
            nests: weather == Weather::Storm && matches!(seed % 16, 6 | 13),
            large: usize::MAX,
            near: Vec::new(),
            repeats: Vec::new(),
            versions: Vec::new(),
            calls: Vec::new(),
            strangers: Vec::new(),
            vandals: Vec::new(),
            faults: Vec::new(),
            refusals_alone: false,
            calm: 0,
            settled: 0,
            end: 0,
        };
        plan.draw_calls(&mut random);
        plan.draw_near();
        plan.draw_many();
        plan.draw_limits();
        plan.draw_repeats();
        plan.draw_large();
        if weather == Weather::Storm {
            plan.draw_nested();
            plan.draw_refusals();
            plan.draw_faults(&mut random);
        }
        plan.draw_closes();
        let last = plan.calls.iter().map(|call| call.at).max();
        plan.calm = plan.calm.max(last.unwrap_or(0));
        plan.settled = plan.calm + plan.lease + SETTLING;
        plan.draw_garbage();
        if weather == Weather::Storm {
            plan.draw_probes(&mut random);
        }
        plan.end = plan.settled + plan.wait + 30_000;
        plan
    }

    fn draw_calls(&mut self, random: &mut fastrand::Rng) {
        let calm = self.weather == Weather::Calm;
        // A short time, in which much meets, or a long one.
        let span = pick(random, &[5, 60, 800]);
        for _ in 0..random.usize(2..=10) {
            let does = if calm {
                calm_call(random)
            } else {
                self.any_call(random)
            };
            let leaves = match random.u8(0..8) {
                _ if calm => None,
                0 => Some(Leaves::After(random.u64(0..400))),
                1 => Some(Leaves::AfterPolls(random.u32(1..12))),
                _ => None,
            };
            self.calls.push(Call {
                process: random.usize(0..self.processes),
                key: random.usize(0..self.keys),
                at: random.u64(0..=span),
                does,
                leaves,
            });
        }
        for _ in 0..pick(random, &[0, 0, 0, 1, 2]) {
            self.strangers.push(Stranger {
                key: random.usize(0..self.keys),
                at: random.u64(0..=span),
                lasts: random.u64(1..150),
                unlocks: random.bool(),
                crashes: self.weather == Weather::Storm && random.u8(0..3) == 0,
            });
        }
        if !calm && random.u8(0..8) == 0 {
            self.vandals.push(Vandal {
                key: random.usize(0..self.keys),
                at: random.u64(0..=span),
                does: pick(
                    random,
                    &[
                        Damage::Jam,
                        Damage::Scribble,
                        Damage::Spoil,
                        Damage::Shout(Channel::Notif),
                        Damage::Shout(Channel::Fail),
                    ],
                ),
                lasts: random.u64(1..500),
            });
        }
    }

    /// Calls once all is well again.
    fn draw_probes(&mut self, random: &mut fastrand::Rng) {
        for key in 0..self.keys {
            for _ in 0..random.usize(1..=2) {
                self.calls.push(Call {
                    process: random.usize(0..self.processes),
                    key,
                    at: self.settled + random.u64(0..20),
                    does: Does::Compute {
                        lasts: random.u64(0..100),
                        ends: Ends::Well,
                    },
                    leaves: None,
                });
            }
        }
    }

    fn any_call(&self, random: &mut fastrand::Rng) -> Does {
        let ends = match random.u8(0..10) {
            0..=1 => Ends::Fails,
            2 => Ends::Panics,
            3 => Ends::NotKept,
            _ => Ends::Well,
        };
        // Longer than a lease, too.
        let lasts = match random.u8(0..4) {
            0 => random.u64(0..3 * self.lease),
            _ => random.u64(0..120),
        };
        match random.u8(0..20) {
            0 => Does::Put,
            1 | 2 => Does::Invalidate,
            3 => Does::Get,
            4 => Does::Detached { lasts, ends },
            5 => Does::External {
                lasts,
                comes: random.u8(0..4) > 0,
            },
            6 if random.u8(0..4) == 0 => Does::Close,
            _ => Does::Compute { lasts, ends },
        }
    }

    fn draw_faults(&mut self, random: &mut fastrand::Rng) {
        let others = match self.refusals_alone {
            true => 0,
            false => random.usize(1..=4),
        };
        for _ in 0..others {
            let at = random.u64(0..900);
            let lasts = pick(random, &[5, 100, 700, 2500]);
            let process = random.usize(0..self.processes);
            let fault = match random.u8(0..14) {
                0..=2 => Fault::Cut {
                    process,
                    which: Which::Commands,
                    late: random.bool(),
                },
                3..=4 => Fault::Cut {
                    process,
                    which: Which::Subscriptions,
                    late: false,
                },
                5 => Fault::Hang { lasts },
                6 => Fault::Crash {
                    lasts,
                    empty: random.bool(),
                },
                7 => Fault::Failover {
                    loses: random.u64(0..200),
                },
                8 => Fault::Full { lasts },
                9 => Fault::Lag {
                    by: pick(random, &[20, 120]),
                    lasts,
                },
                10..=11 => Fault::Pause { process, lasts },
                _ => Fault::Kill { process },
            };
            self.faults.push((at, fault));
            self.calm = self.calm.max(at + lasts);
        }
        // Connections are there again, and what was on its way has come.
        self.calm += 500;
        self.faults.push((self.calm, Fault::Calm));
    }

    /// The version of a process's values, where the fleet has several.
    #[must_use]
    pub fn version(&self, process: ProcessId) -> Option<u32> {
        self.versions.get(process).copied()
    }

    /// Whether values of one process are none to another.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        self.versions.windows(2).any(|pair| pair[0] != pair[1])
    }

    /// Whether anything but callers and computes may go wrong.
    #[must_use]
    pub fn is_stormy(&self) -> bool {
        self.weather == Weather::Storm
    }
}

/// Later than anything ends.
pub(crate) const NEVER: Millis = 3_600_000;

/// How long connections, pauses between attempts and clean-up may take, once nothing breaks any more.
const SETTLING: Millis = 1_000;

fn calm_call(random: &mut fastrand::Rng) -> Does {
    let (lasts, ends) = (random.u64(0..200), Ends::Well);
    match random.u8(0..8) {
        0 => Does::Get,
        1 => Does::Detached { lasts, ends },
        _ => Does::Compute { lasts, ends },
    }
}

fn pick<T: Copy>(random: &mut fastrand::Rng, from: &[T]) -> T {
    from[random.usize(0..from.len())]
}
