//! What processes hold, at first, in between and at last.

use std::collections::BTreeMap;

use crate::soak::clock::Micros;
use crate::soak::wire::{Sample, What};

/// What memory may grow by in percent, and in KiB on top.
const GROWTH: (u64, u64) = (20, 16 * 1024);
/// Fewer samples say nothing of growth: 10 minutes have 1,200.
const ENOUGH: usize = 1_100;

/// Samples of every process.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    /// By incarnation.
    pub(crate) held: BTreeMap<u32, Held>,
}

/// What one process held.
#[derive(Debug, Default, Clone)]
pub(crate) struct Held {
    /// The first sample; for those that were warmed up, the last one before the first fault.
    pub(crate) first: Sample,
    /// The last one, and when it came.
    pub(crate) last: Sample,
    /// When that was.
    pub(crate) at: Micros,
    /// The most of each.
    pub(crate) most: Sample,
    /// Memory by the half second.
    rss: Vec<u64>,
}

impl Holdings {
    pub(super) fn observe(&mut self, process: u32, at: Micros, what: &What) {
        match what {
            What::Sample(sample) => self.held.entry(process).or_default().add(at, *sample),
            What::Died { process } => drop(self.held.remove(process)),
            _ => {}
        }
    }

    /// Everybody is warm and at rest: it begins here.
    pub(crate) fn begin(&mut self) {
        for held in self.held.values_mut() {
            held.first = held.last;
            held.rss.clear();
        }
    }
}

impl Held {
    fn add(&mut self, at: Micros, sample: Sample) {
        if self.at == 0 {
            self.first = sample;
        }
        (self.last, self.at) = (sample, at);
        let most = &mut self.most;
        most.flights = most.flights.max(sample.flights);
        most.leases = most.leases.max(sample.leases);
        most.subscriptions = most.subscriptions.max(sample.subscriptions);
        most.tasks = most.tasks.max(sample.tasks);
        most.files = most.files.max(sample.files);
        most.rss_kib = most.rss_kib.max(sample.rss_kib);
        self.rss.push(sample.rss_kib);
    }

    /// What is there at rest that should not be, in words.
    #[must_use]
    pub(crate) fn left_behind(&self, baseline: &Sample) -> Vec<String> {
        let last = &self.last;
        let zeros = [
            ("callers", last.callers),
            ("flights", last.flights),
            ("leases", last.leases),
            ("tasks of memolocks", last.tracked),
            ("subscriptions", last.subscriptions),
        ];
        let mut left: Vec<_> = zeros
            .into_iter()
            .filter(|(_, held)| *held > 0)
            .map(|(what, held)| format!("{held} {what}"))
            .collect();
        for (what, held, before) in [
            ("tasks", last.tasks, baseline.tasks),
            ("open files", last.files, baseline.files),
        ] {
            if held > before {
                left.push(format!("{held} {what}, where {before} were enough"));
            }
        }
        left
    }

    /// The medians of memory in the second quarter, when all is warm, and in the last one, in KiB. Medians,
    /// because allocators give memory back when they like, and large values come and go. None if it is too
    /// early to tell.
    #[must_use]
    pub(crate) fn memory(&self) -> Option<(u64, u64)> {
        if self.rss.len() < ENOUGH {
            return None;
        }
        let quarter = self.rss.len() / 4;
        let median = |from: usize| {
            let mut of = self.rss[from..from + quarter].to_vec();
            of.sort_unstable();
            of[quarter / 2]
        };
        Some((median(quarter), median(3 * quarter)))
    }

    /// Whether memory grew.
    #[must_use]
    pub(crate) fn grew(&self) -> bool {
        self.memory().is_some_and(|(warm, last)| {
            let (percent, more) = GROWTH;
            last > warm + warm * percent / 100 + more
        })
    }
}
