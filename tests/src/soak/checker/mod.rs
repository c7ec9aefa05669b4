//! The checker: it sees everything that happened, in order, and says what should not have.

mod holdings;
mod lates;
mod overlaps;
#[cfg(test)]
mod tests;
mod values;
mod weather;

use std::collections::BTreeMap;

pub(super) use holdings::Holdings;
pub(super) use lates::Lateness;
use lates::Lates;
pub(super) use overlaps::Overlapping;
use overlaps::Overlaps;
use values::Values;
pub(super) use weather::Recovery;
use weather::Weather;

use super::clock::Micros;
use super::wire::{Does, End, Fact, What};

/// What is said of each kind of trouble at most.
const SENTENCES: usize = 12;

/// Everything that was seen.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// What happened, counted.
    pub(crate) counts: Counts,
    /// Troubles: how many of each kind, and the first of them in words.
    pub(crate) troubles: Troubles,
    /// What processes held.
    pub(crate) holdings: Holdings,
    values: Values,
    lates: Lates,
    overlaps: Overlaps,
    weather: Weather,
}

/// How often what happened.
#[derive(Debug, Default, Clone)]
#[allow(missing_docs)]
pub(crate) struct Counts {
    pub(crate) calls: BTreeMap<Does, u64>,
    pub(crate) left: u64,
    pub(crate) values: u64,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) computes: u64,
    pub(crate) unleased: u64,
    pub(crate) unleased_in_fair_weather: u64,
    pub(crate) lost_leases: u64,
    pub(crate) triggers: u64,
    pub(crate) writes: u64,
}

/// Kinds of trouble: none of them may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // See their names below.
pub(crate) enum Trouble {
    WrongValue,
    StaleValue,
    LostResult,
    LateCall,
    Overlap,
    Panic,
    OddError,
    Death,
    Leak,
    Growth,
}

impl Trouble {
    /// Every kind, and what it is called.
    pub(crate) const ALL: [(Self, &str); 10] = [
        (Self::WrongValue, "wrong values"),
        (Self::StaleValue, "values older than a write before (R4)"),
        (
            Self::LostResult,
            "results that did not reach their caller (R3)",
        ),
        (Self::LateCall, "callers past their deadline + 1 s (R2)"),
        (Self::Overlap, "overlapping computes in fair weather (R1)"),
        (Self::Panic, "panics that nobody planned (R8)"),
        (Self::OddError, "errors that nobody should get"),
        (Self::Death, "workers that ended by themselves"),
        (Self::Leak, "things left behind (R9)"),
        (Self::Growth, "workers whose memory grew"),
    ];
}

/// Troubles, counted and told.
#[derive(Debug, Default, Clone)]
pub(crate) struct Troubles {
    counts: BTreeMap<Trouble, u64>,
    /// The first of each kind, a sentence each.
    pub(crate) sentences: Vec<String>,
}

impl Troubles {
    /// One more.
    pub(crate) fn add(&mut self, trouble: Trouble, sentence: impl FnOnce() -> String) {
        let count = self.counts.entry(trouble).or_default();
        *count += 1;
        if *count <= SENTENCES as u64 {
            self.sentences.push(sentence());
        }
    }

    /// How many of a kind.
    #[must_use]
    pub(crate) fn of(&self, trouble: Trouble) -> u64 {
        self.counts.get(&trouble).copied().unwrap_or_default()
    }
}

impl Checker {
    /// Takes the next fact.
    pub(crate) fn observe(&mut self, process: u32, Fact { at, what }: &Fact) {
        let at = *at;
        self.count(at, what);
        self.weather.observe(process, at, what);
        self.lates.observe(process, at, what, &mut self.troubles);
        self.overlaps.observe(
            process,
            at,
            what,
            &self.weather,
            &self.lates,
            &mut self.troubles,
        );
        self.values.observe(process, at, what, &mut self.troubles);
        self.holdings.observe(process, at, what);
        if let What::Panicked { message } = what {
            self.troubles.add(Trouble::Panic, || {
                format!("worker {process} panicked: {message}")
            });
        }
        if let What::Called(call) = what
            && let End::Error(kind) = &call.end
            && ["codec", "closed", "another"].contains(&kind.as_str())
        {
            self.troubles.add(Trouble::OddError, || {
                format!("{:?} of k{} ended with `{kind}`", call.does, call.key)
            });
        }
    }

    /// There are no more facts: judges what was left open.
    pub(crate) fn finish(&mut self) {
        self.lates.finish(&mut self.troubles);
        self.overlaps.finish(&self.lates, &mut self.troubles);
    }

    /// Calls that were late, and how late.
    #[must_use]
    pub(crate) fn lateness(&self) -> &Lateness {
        &self.lates.seen
    }

    /// Computes that overlapped, and why.
    #[must_use]
    pub(crate) fn overlapping(&self) -> &Overlapping {
        &self.overlaps.seen
    }

    /// How faults were recovered from.
    #[must_use]
    pub(crate) fn recoveries(&self) -> BTreeMap<String, Recovery> {
        self.weather.recoveries()
    }

    fn count(&mut self, at: Micros, what: &What) {
        let counts = &mut self.counts;
        match what {
            What::Called(call) => {
                *counts.calls.entry(call.does).or_default() += 1;
                match &call.end {
                    End::Value(_) | End::Garbage(_) => counts.values += 1,
                    End::Error(kind) => *counts.errors.entry(kind.clone()).or_default() += 1,
                    End::Left => counts.left += 1,
                    End::Nothing | End::Hung => {}
                }
            }
            What::Computing { leased, .. } => {
                counts.computes += 1;
                counts.unleased += u64::from(!leased);
                let fair = self.weather.is_fair(at, at);
                counts.unleased_in_fair_weather += u64::from(!leased && fair);
            }
            What::Computed { lost, .. } => counts.lost_leases += u64::from(*lost),
            What::Triggered { .. } => counts.triggers += 1,
            What::Writing { .. } => counts.writes += 1,
            _ => {}
        }
    }
}
