//! Faults as they come and go, and how soon everybody is well again after each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::soak::clock::{Micros, SECOND};
use crate::soak::wire::{Call, Does, End, What};

/// How long a fault may still be felt: reconnecting takes up to 2 s, then a lease that nobody renewed must expire.
const AFTERMATH: Micros = 6 * SECOND;
/// Faults that are remembered: more than there are in the longest compute.
const MEMORY: usize = 64;

/// Faults, and who still suffers.
#[derive(Debug, Default)]
pub(super) struct Weather {
    faults: VecDeque<(Micros, Option<Micros>)>,
    workers: BTreeSet<u32>,
    /// The last fault, when it was over, and who has not done well since.
    recovering: Option<(String, Micros, BTreeSet<u32>)>,
    recoveries: BTreeMap<String, Vec<Option<Micros>>>,
}

/// Recoveries from one kind of fault: from its end to when every worker was served by the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// How many faults of the kind there were.
    pub(crate) faults: usize,
    /// How many had the next fault come before everybody was well.
    pub(crate) cut_short: usize,
    /// The median of the others.
    pub(crate) median: Option<Micros>,
    /// The longest.
    pub(crate) longest: Option<Micros>,
}

impl Weather {
    pub(super) fn observe(&mut self, process: u32, at: Micros, what: &What) {
        match what {
            What::FaultBegan { .. } => {
                self.cut_short();
                self.faults.push_back((at, None));
                if self.faults.len() > MEMORY {
                    self.faults.pop_front();
                }
            }
            What::FaultEnded { fault } => {
                if let Some((_, over)) = self.faults.back_mut() {
                    *over = Some(at);
                }
                self.recovering = Some((fault.clone(), at, self.workers.clone()));
            }
            What::Hello => drop(self.workers.insert(process)),
            What::Died { process } => {
                self.workers.remove(process);
                self.well(*process, at);
            }
            What::Called(call) => {
                let since = self.recovering.as_ref().map(|(_, since, _)| *since);
                if since.is_some_and(|since| call.began >= since) && served(call) {
                    self.well(process, at);
                }
            }
            _ => {}
        }
    }

    /// Whether no fault can have been felt in this stretch of time, up to now.
    pub(super) fn is_fair(&self, from: Micros, to: Micros) -> bool {
        let felt = |(began, over): &(Micros, Option<Micros>)| {
            let over = over.map_or(Micros::MAX, |over| over + AFTERMATH);
            *began <= to && over >= from
        };
        !self.faults.iter().any(felt)
    }

    pub(super) fn recoveries(&self) -> BTreeMap<String, Recovery> {
        let of = |(fault, times): (&String, &Vec<Option<Micros>>)| {
            let mut known: Vec<_> = times.iter().copied().flatten().collect();
            known.sort_unstable();
            let recovery = Recovery {
                faults: times.len(),
                cut_short: times.len() - known.len(),
                median: known.get(known.len() / 2).copied(),
                longest: known.last().copied(),
            };
            (fault.clone(), recovery)
        };
        self.recoveries.iter().map(of).collect()
    }

    fn well(&mut self, process: u32, at: Micros) {
        let Some((fault, since, suffering)) = &mut self.recovering else {
            return;
        };
        suffering.remove(&process);
        if suffering.is_empty() {
            let times = self.recoveries.entry(fault.clone()).or_default();
            times.push(Some(at - *since));
            self.recovering = None;
        }
    }

    fn cut_short(&mut self) {
        if let Some((fault, ..)) = self.recovering.take() {
            self.recoveries.entry(fault).or_default().push(None);
        }
    }
}

/// Whether the store must have answered, and well.
fn served(call: &Call) -> bool {
    let writes = matches!(call.does, Does::Put | Does::Resolve | Does::Invalidate);
    match (&call.end, call.does) {
        (End::Nothing, Does::Get) => true,
        (End::Nothing, _) => writes,
        // Without an own compute it came from elsewhere; from a neighbour's compute perhaps, but not by a look.
        (End::Value(_), Does::Get | Does::External) => true,
        _ => false,
    }
}
