//! The report: what was asked for, what happened, and what should not have.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::checker::{Checker, Trouble};
use super::conductor::Terms;
use super::fleet::Fleet;
use super::wire::Sample;

/// How it was done.
pub(super) struct Setting {
    pub(super) terms: Terms,
    pub(super) lasted: Duration,
    pub(super) interrupted: bool,
    /// Slots and processes at the end.
    pub(super) workers: Vec<(usize, u32)>,
}

/// What came of a soak.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)] // The names say it; `Display` says it better.
pub struct Report {
    pub(crate) seed: u64,
    pub(crate) seconds: u64,
    pub(crate) interrupted: bool,
    pub(crate) processes: usize,
    pub(crate) callers: usize,
    pub(crate) faults: BTreeMap<String, Recovered>,
    pub(crate) calls: BTreeMap<String, u64>,
    pub(crate) calls_dropped: u64,
    pub(crate) values: u64,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) computes: u64,
    pub(crate) computes_without_a_lease: u64,
    pub(crate) computes_without_a_lease_in_fair_weather: u64,
    pub(crate) leases_lost: u64,
    pub(crate) triggers: u64,
    pub(crate) writes: u64,
    pub(crate) overlaps: BTreeMap<&'static str, u64>,
    pub(crate) late_calls: u64,
    pub(crate) late_calls_of_a_starved_runtime: u64,
    pub(crate) worst_past_deadline_ms: u64,
    pub(crate) runtime_late_ms: BTreeMap<u32, u64>,
    pub(crate) workers: Vec<Worker>,
    /// Each must be 0.
    pub(crate) troubles: BTreeMap<&'static str, u64>,
    /// The first ones in words.
    pub(crate) sentences: Vec<String>,
}

/// How a kind of fault was recovered from.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub(crate) struct Recovered {
    pub(crate) faults: usize,
    pub(crate) next_came_first: usize,
    pub(crate) p50_ms: Option<u64>,
    pub(crate) max_ms: Option<u64>,
}

/// What a worker held.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub(crate) struct Worker {
    pub(crate) process: u32,
    pub(crate) adapter: String,
    pub(crate) first: Sample,
    pub(crate) most: Sample,
    pub(crate) last: Sample,
    /// Medians of the second quarter and the last.
    pub(crate) memory_kib: Option<(u64, u64)>,
    pub(crate) grew: bool,
}

impl Report {
    pub(super) fn of(checker: &mut Checker, setting: &Setting) -> Self {
        let workers = workers(checker, setting);
        for worker in workers.iter().filter(|worker| worker.grew) {
            checker.troubles.add(Trouble::Growth, || {
                let Worker {
                    process,
                    memory_kib,
                    ..
                } = worker;
                format!("R9: the memory of worker {process} grew: {memory_kib:?} KiB")
            });
        }
        let Checker {
            counts, troubles, ..
        } = &*checker;
        let (late, overlapping) = (checker.lateness(), checker.overlapping());
        let millis = |micros: u64| micros.div_ceil(1_000);
        let faults = checker.recoveries().into_iter().map(|(fault, of)| {
            let recovered = Recovered {
                faults: of.faults,
                next_came_first: of.cut_short,
                p50_ms: of.median.map(millis),
                max_ms: of.longest.map(millis),
            };
            (fault, recovered)
        });
        let calls = counts.calls.iter();
        let runtime = late.runtime.iter();
        Self {
            seed: setting.terms.seed,
            seconds: setting.lasted.as_secs(),
            interrupted: setting.interrupted,
            processes: setting.terms.processes,
            callers: setting.terms.callers,
            faults: faults.collect(),
            calls: calls
                .map(|(does, n)| (format!("{does:?}").to_lowercase(), *n))
                .collect(),
            calls_dropped: counts.left,
            values: counts.values,
            errors: counts.errors.clone(),
            computes: counts.computes,
            computes_without_a_lease: counts.unleased,
            computes_without_a_lease_in_fair_weather: counts.unleased_in_fair_weather,
            leases_lost: counts.lost_leases,
            triggers: counts.triggers,
            writes: counts.writes,
            overlaps: BTreeMap::from([
                ("near a fault", overlapping.faults),
                ("after a put or an invalidation", overlapping.writes),
                ("the first one's runtime was late", overlapping.starved),
                ("unexplained", overlapping.unexplained),
            ]),
            late_calls: late.late,
            late_calls_of_a_starved_runtime: late.starved,
            worst_past_deadline_ms: millis(late.worst),
            runtime_late_ms: runtime
                .map(|(process, by)| (*process, millis(*by)))
                .collect(),
            workers,
            troubles: Trouble::ALL
                .iter()
                .map(|(trouble, name)| (*name, troubles.of(*trouble)))
                .collect(),
            sentences: troubles.sentences.clone(),
        }
    }

    /// Whether everything that must be 0 is.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.troubles.values().all(|count| *count == 0)
    }

    fn sum(counts: &BTreeMap<String, u64>) -> u64 {
        counts.values().sum()
    }
}

fn workers(checker: &Checker, setting: &Setting) -> Vec<Worker> {
    let of = |&(slot, process): &(usize, u32)| {
        let held = checker.holdings.held.get(&process)?;
        Some(Worker {
            process,
            adapter: Fleet::adapter(slot).to_string(),
            first: held.first,
            most: held.most,
            last: held.last,
            memory_kib: held.memory(),
            grew: held.grew(),
        })
    };
    setting.workers.iter().filter_map(of).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = if self.interrupted {
            ", interrupted"
        } else {
            ""
        };
        let (minutes, seconds) = (self.seconds / 60, self.seconds % 60);
        writeln!(
            f,
            "soak of {minutes} min {seconds} s, {} processes of {} callers, seed {}{cut}\n",
            self.processes, self.callers, self.seed
        )?;
        for (what, count) in [
            ("calls", Self::sum(&self.calls)),
            ("values received", self.values),
            ("calls dropped midway", self.calls_dropped),
            ("errors", Self::sum(&self.errors)),
            ("computes", self.computes),
            ("computes without a lease", self.computes_without_a_lease),
            (
                "  of them in fair weather",
                self.computes_without_a_lease_in_fair_weather,
            ),
            ("leases lost under a compute", self.leases_lost),
            ("puts and invalidations", self.writes),
            ("triggers of other programs", self.triggers),
        ] {
            writeln!(f, "  {what:<30} {count:>9}")?;
        }
        self.table(f, "calls", &self.calls)?;
        self.table(f, "errors", &self.errors)?;
        writeln!(
            f,
            "\n  {:<30} {:>9} {:>11} {:>11} {:>11}",
            "faults", "", "well after", "at most", "next sooner"
        )?;
        for (fault, of) in &self.faults {
            let millis = |ms: Option<u64>| ms.map_or_else(|| "-".into(), |ms| format!("{ms} ms"));
            let (p50, max) = (millis(of.p50_ms), millis(of.max_ms));
            let (count, sooner) = (of.faults, of.next_came_first);
            writeln!(
                f,
                "  {fault:<30} {count:>9} {p50:>11} {max:>11} {sooner:>11}"
            )?;
        }
        writeln!(
            f,
            "\n  computes of one key at a time with another, under leases"
        )?;
        for (cause, count) in &self.overlaps {
            writeln!(f, "  {cause:<36} {count:>3}")?;
        }
        writeln!(
            f,
            "\n  calls past their deadline + 1 s {:>8}",
            self.late_calls
        )?;
        writeln!(
            f,
            "  of them with a starved runtime  {:>8}",
            self.late_calls_of_a_starved_runtime
        )?;
        writeln!(
            f,
            "  the worst past its deadline     {:>5} ms",
            self.worst_past_deadline_ms
        )?;
        let runtime = self
            .runtime_late_ms
            .values()
            .max()
            .copied()
            .unwrap_or_default();
        writeln!(f, "  the worst of runtimes           {runtime:>5} ms late")?;
        self.held(f)?;
        writeln!(f, "\n  must be 0")?;
        for (_, name) in Trouble::ALL {
            let count = self.troubles.get(name).copied().unwrap_or_default();
            writeln!(f, "  {name:<42} {count:>5}")?;
        }
        for sentence in &self.sentences {
            writeln!(f, "  - {sentence}")?;
        }
        Ok(())
    }
}

impl Report {
    fn table(
        &self,
        f: &mut fmt::Formatter<'_>,
        what: &str,
        counts: &BTreeMap<String, u64>,
    ) -> fmt::Result {
        writeln!(f, "\n  {what}")?;
        for (kind, count) in counts {
            writeln!(f, "  {kind:<36} {count:>3}")?;
        }
        Ok(())
    }

    fn held(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n  {:<24} {:>17} {:>14} {:>14} {:>17} {:>21}",
            "worker: first/most/last", "tasks", "files", "subscriptions", "leases", "memory, MiB"
        )?;
        for worker in &self.workers {
            let of = |get: fn(&Sample) -> u64| {
                let samples = [&worker.first, &worker.most, &worker.last];
                samples.map(|sample| get(sample).to_string()).join("/")
            };
            let name = format!("{} {}", worker.process, worker.adapter);
            let (tasks, files) = (of(|s| s.tasks), of(|s| s.files));
            let (subscriptions, leases) = (of(|s| s.subscriptions), of(|s| s.leases));
            let memory = of(|s| s.rss_kib / 1024);
            writeln!(
                f,
                "  {name:<24} {tasks:>17} {files:>14} {subscriptions:>14} {leases:>17} {memory:>21}"
            )?;
            if let Some((warm, last)) = worker.memory_kib {
                writeln!(
                    f,
                    "  {:<24} memory: median of the second quarter {} MiB, of the last {} MiB",
                    "",
                    warm / 1024,
                    last / 1024
                )?;
            }
        }
        Ok(())
    }
}
