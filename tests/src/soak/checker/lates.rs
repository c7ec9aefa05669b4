//! Calls that ended too late, and how much of that is the machine's doing.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{Trouble, Troubles};
use crate::soak::clock::{Micros, SECOND};
use crate::soak::wire::{Call, End, What};

/// What a call may be past its deadline.
const GRACE: Micros = SECOND;
/// How long the past is remembered: longer than any call.
const MEMORY: Micros = 120 * SECOND;

/// A stretch of time.
type Stretch = (Micros, Micros);

/// What is known of the time that processes did not have, and of calls that needed it.
#[derive(Debug, Default)]
pub(super) struct Lates {
    pub(super) seen: Lateness,
    processes: HashMap<u32, Process>,
}

/// How late calls were.
#[derive(Debug, Default, Clone)]
pub(crate) struct Lateness {
    /// Past their deadline and the grace, while their process ran.
    pub(crate) late: u64,
    /// Of those, the ones that would have been in time had the runtime not been late itself.
    pub(crate) starved: u64,
    /// The most that a call was past its deadline; less what the runtime was late.
    pub(crate) worst: Micros,
    /// The worst that each process's runtime was late between two words of its ticker, stops aside.
    pub(crate) runtime: BTreeMap<u32, Micros>,
}

#[derive(Debug, Default)]
struct Process {
    stopped: VecDeque<Stretch>,
    stopped_since: Option<Micros>,
    starved: VecDeque<Stretch>,
    /// Late ones, to be judged when the runtime has said how late it was meanwhile.
    suspects: Vec<(Micros, Call)>,
}

impl Lates {
    pub(super) fn observe(
        &mut self,
        process: u32,
        at: Micros,
        what: &What,
        troubles: &mut Troubles,
    ) {
        let known = match what {
            What::Stopped { process } | What::Continued { process } | What::Died { process } => {
                *process
            }
            _ => process,
        };
        let entry = self.processes.entry(known).or_default();
        match what {
            What::Stopped { .. } => entry.stopped_since = Some(at),
            What::Continued { .. } => {
                if let Some(since) = entry.stopped_since.take() {
                    remember(&mut entry.stopped, (since, at));
                }
            }
            What::Alive { late } if *late > 0 => {
                let stretch = (at.saturating_sub(*late), at);
                remember(&mut entry.starved, stretch);
                let awake = uncovered(stretch, entry.stopped.iter().copied());
                let worst = self.seen.runtime.entry(known).or_default();
                *worst = (*worst).max(awake);
                self.judge(known, at, troubles);
            }
            What::Alive { .. } => self.judge(known, at, troubles),
            What::Called(call) if call.end != End::Left => {
                // A cheap look first: hardly any is late.
                if at - call.began > call.limit + GRACE {
                    entry.suspects.push((at, call.clone()));
                }
                let past = (at - call.began).saturating_sub(call.limit);
                if call.own.is_empty() && entry.stopped.is_empty() {
                    self.seen.worst = self.seen.worst.max(past.min(GRACE));
                }
            }
            What::Died { .. } => {
                self.judge(known, Micros::MAX, troubles);
                self.processes.remove(&known);
            }
            _ => {}
        }
    }

    pub(super) fn finish(&mut self, troubles: &mut Troubles) {
        let processes: Vec<u32> = self.processes.keys().copied().collect();
        for process in processes {
            self.judge(process, Micros::MAX, troubles);
        }
    }

    /// For how long a process's runtime was late in a stretch of time, stops aside.
    pub(super) fn starved(&self, process: u32, stretch: Stretch) -> Micros {
        let Some(process) = self.processes.get(&process) else {
            return 0;
        };
        let stopped = || process.stopped.iter().copied();
        let starved = process.starved.iter().copied();
        uncovered(stretch, stopped()) - uncovered(stretch, stopped().chain(starved))
    }

    /// Judges those that ended long enough before `now`.
    fn judge(&mut self, process: u32, now: Micros, troubles: &mut Troubles) {
        let Some(entry) = self.processes.get_mut(&process) else {
            return;
        };
        let ripe = |(ended, _): &(Micros, Call)| *ended < now.saturating_sub(SECOND / 2);
        let (ripe, rest) = entry.suspects.drain(..).partition(ripe);
        entry.suspects = rest;
        let ripe: Vec<(Micros, Call)> = ripe;
        for (ended, call) in ripe {
            let window = (call.began, ended);
            let excused = || {
                let stopped = entry.stopped.iter().copied();
                let stopped = stopped.chain(entry.stopped_since.map(|since| (since, now)));
                call.own.iter().copied().chain(stopped)
            };
            let waited = uncovered(window, excused());
            if waited <= call.limit + GRACE {
                continue;
            }
            self.seen.late += 1;
            let starved = entry.starved.iter().copied();
            let awake = uncovered(window, excused().chain(starved));
            self.seen.worst = self.seen.worst.max(awake.saturating_sub(call.limit));
            if awake <= call.limit + GRACE {
                self.seen.starved += 1;
                continue;
            }
            troubles.add(Trouble::LateCall, || {
                let (waited, late) = (waited / 1_000, (waited - awake) / 1_000);
                let call = sentence(&call);
                format!(
                    "R2: {call} of worker {process} waited {waited} ms until {ended} us; \
                     the runtime was late by {late} ms of it"
                )
            });
        }
    }
}

fn sentence(call: &Call) -> String {
    let (limit, own) = (call.limit / 1_000, call.own.len());
    format!(
        "{:?} of k{} with {limit} ms and {own} own computes, which ended with {:?},",
        call.does, call.key, call.end
    )
}

fn remember(stretches: &mut VecDeque<Stretch>, stretch: Stretch) {
    stretches.push_back(stretch);
    let old = |first: &Stretch| first.1 + MEMORY < stretch.1;
    while stretches.front().is_some_and(old) {
        stretches.pop_front();
    }
}

/// How much of `window` no cover covers.
fn uncovered(window: Stretch, covers: impl Iterator<Item = Stretch>) -> Micros {
    let clip = |(from, to): Stretch| (from.max(window.0), to.min(window.1));
    let mut covers: Vec<_> = covers.map(clip).filter(|(from, to)| from < to).collect();
    covers.sort_unstable();
    let (mut free, mut seen) = (0, window.0);
    for (from, to) in covers {
        free += from.saturating_sub(seen);
        seen = seen.max(to);
    }
    free + window.1.saturating_sub(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_count_once() {
        let of = |covers: &[Stretch]| uncovered((10, 20), covers.iter().copied());
        assert_eq!(of(&[]), 10);
        assert_eq!(of(&[(0, 12), (11, 13)]), 7);
        assert_eq!(of(&[(14, 16), (15, 15), (18, 40)]), 6);
        assert_eq!(of(&[(0, 100), (12, 14)]), 0);
        assert_eq!(of(&[(30, 40)]), 10);
    }
}
