//! Computes of one key at the same time, and why that may be.

use std::collections::{HashMap, VecDeque};

use super::lates::Lates;
use super::weather::Weather;
use super::{Trouble, Troubles};
use crate::soak::clock::{Micros, SECOND};
use crate::soak::stamp::Maker;
use crate::soak::wire::{How, Outcome, What};

/// With so little of a lease's time lost to a late runtime, heartbeats still come in time.
const STARVED: Micros = SECOND / 2;
/// A lease is there before its compute begins: how long before at most, in fair weather. A write in between ends it.
const LEAD: Micros = SECOND / 10;
/// A compute that was dropped hands its lease over to the next one of its process, within this.
const HANDOVER: Micros = SECOND / 20;
/// How many writes to one key are remembered.
const WRITES: usize = 64;

/// Computes under way, and writes that end their leases.
#[derive(Debug, Default)]
pub(super) struct Overlaps {
    pub(super) seen: Overlapping,
    computes: HashMap<u32, Vec<Compute>>,
    keys: HashMap<Maker, u32>,
    writes: HashMap<u32, VecDeque<(Maker, Micros, Option<Micros>)>>,
    /// By key, the last compute that was dropped, when that was, and when its lease was there.
    dropped: HashMap<u32, (u32, Micros, Micros)>,
}

/// Computes that overlapped an earlier one of the same key, both under a lease, by the likely cause.
#[derive(Debug, Default, Clone)]
pub(crate) struct Overlapping {
    /// A fault was there, or not long over.
    pub(crate) faults: u64,
    /// The value was put or invalidated meanwhile, which ends leases.
    pub(crate) writes: u64,
    /// The runtime of the earlier one was too late to renew its lease.
    pub(crate) starved: u64,
    /// None of these.
    pub(crate) unexplained: u64,
}

#[derive(Debug)]
struct Compute {
    maker: Maker,
    began: Micros,
    /// When its lease was there at the earliest.
    leased: Micros,
    /// One that began beside it, when nothing explained that yet.
    rival: Option<(Maker, Micros)>,
}

impl Overlaps {
    pub(super) fn observe(
        &mut self,
        process: u32,
        at: Micros,
        what: &What,
        weather: &Weather,
        lates: &Lates,
        troubles: &mut Troubles,
    ) {
        let maker = |number| Maker { process, number };
        match *what {
            What::Computing {
                number,
                key,
                leased: true,
            } => {
                self.begin(maker(number), key, at, weather);
            }
            What::Computed {
                number, outcome, ..
            } => {
                if let Some(key) = self.keys.remove(&maker(number)) {
                    if outcome == Outcome::Dropped {
                        self.drop_one(key, maker(number), at);
                    }
                    self.end(key, lates, troubles, |compute| {
                        compute.maker == maker(number)
                    });
                }
            }
            What::Writing {
                number, key, how, ..
            } if how != How::Resolve => {
                let writes = self.writes.entry(key).or_default();
                writes.push_back((maker(number), at, None));
                if writes.len() > WRITES {
                    writes.pop_front();
                }
                self.keys.insert(maker(number), key);
            }
            What::Wrote { number, .. } => {
                let key = self.keys.remove(&maker(number));
                let writes = key.and_then(|key| self.writes.get_mut(&key));
                let mut writes = writes.into_iter().flatten();
                if let Some(write) = writes.find(|(by, ..)| *by == maker(number)) {
                    write.2 = Some(at);
                }
            }
            What::Died { process } => {
                let keys: Vec<u32> = self.computes.keys().copied().collect();
                for key in keys {
                    self.end(key, lates, troubles, |compute| {
                        compute.maker.process == process
                    });
                }
            }
            _ => {}
        }
    }

    pub(super) fn finish(&mut self, lates: &Lates, troubles: &mut Troubles) {
        let keys: Vec<u32> = self.computes.keys().copied().collect();
        for key in keys {
            self.end(key, lates, troubles, |_| true);
        }
    }

    fn begin(&mut self, maker: Maker, key: u32, at: Micros, weather: &Weather) {
        let writes = self.writes.get(&key);
        let written = |since: Micros| {
            let mut writes = writes.into_iter().flatten();
            writes.any(|(_, _, over)| over.is_none_or(|over| over >= since))
        };
        let inherited = self
            .dropped
            .get(&key)
            .filter(|(process, over, _)| *process == maker.process && at - over < HANDOVER);
        let leased = inherited.map_or(at.saturating_sub(LEAD), |(_, _, leased)| *leased);
        let computes = self.computes.entry(key).or_default();
        for earlier in computes.iter_mut() {
            let since = earlier.leased.min(leased);
            if !weather.is_fair(since, at) {
                self.seen.faults += 1;
            } else if written(since) {
                self.seen.writes += 1;
            } else {
                earlier.rival = Some((maker, at));
            }
        }
        computes.push(Compute {
            maker,
            began: at,
            leased,
            rival: None,
        });
        self.keys.insert(maker, key);
    }

    fn drop_one(&mut self, key: u32, maker: Maker, at: Micros) {
        let computes = self.computes.get(&key);
        let mut computes = computes.into_iter().flatten();
        if let Some(compute) = computes.find(|compute| compute.maker == maker) {
            let leased = compute.leased;
            self.dropped.insert(key, (maker.process, at, leased));
        }
    }

    /// Computes are over: what is left to explain is explained now, or never.
    fn end(
        &mut self,
        key: u32,
        lates: &Lates,
        troubles: &mut Troubles,
        over: impl Fn(&Compute) -> bool,
    ) {
        let Some(computes) = self.computes.get_mut(&key) else {
            return;
        };
        for compute in computes.extract_if(.., |compute| over(compute)) {
            let Some((rival, at)) = compute.rival else {
                continue;
            };
            let window = (compute.began, at);
            let starved = lates.starved(compute.maker.process, window);
            if starved > STARVED {
                self.seen.starved += 1;
                continue;
            }
            self.seen.unexplained += 1;
            troubles.add(Trouble::Overlap, || {
                let (first, second) = (compute.maker.name(), rival.name());
                let after = at - compute.began;
                format!(
                    "R1: k{key} was computed as {first} when {second} began, {after} us later \
                     (at {at} us; the runtime of the first was late by {starved} us)"
                )
            });
        }
        if computes.is_empty() {
            self.computes.remove(&key);
        }
    }
}
