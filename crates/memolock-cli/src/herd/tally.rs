//! Adding up: what one process saw, and what all of them saw together.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use memolock::Error;
use serde::{Deserialize, Serialize};

use super::plan::Plan;

/// How a value ends that was computed without a lease, because the server was failing. Processes that
/// have no server have a value each, and none of them is wrong.
pub(super) const ALONE: &str = "~";

/// What the callers of one process got in one round.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Share {
    /// By key.
    computes: Vec<u32>,
    /// How many callers got which value, by key.
    values: Vec<BTreeMap<String, u64>>,
    /// Values that belong to another key.
    foreign: u64,
    errors: u64,
    timeouts: u64,
    /// One of the errors.
    example: Option<String>,
    latencies_us: Vec<u64>,
    /// Since the process began.
    pub(super) commands: u64,
    /// Since the process began.
    pub(super) degraded: u64,
}

/// What all processes saw in all rounds.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) computes: u64,
    pub(super) max_computes_per_key: u64,
    pub(super) errors: u64,
    pub(super) timeouts: u64,
    pub(super) wrong: u64,
    pub(super) degraded: u64,
    pub(super) example: Option<String>,
    pub(super) elapsed: Duration,
    pub(super) commands: u64,
    /// The most that one process sent in one round.
    pub(super) commands_max_process: u64,
    /// Of all callers, unsorted.
    latencies_us: Vec<u64>,
    /// How many commands each process had sent when its last round but one was over.
    before_last: Vec<u64>,
    /// The same of its last round.
    so_far: Vec<u64>,
    /// The most of a round that is not the last.
    most_before: u64,
}

impl Share {
    pub(super) fn new(computes: impl Iterator<Item = u32>) -> Self {
        let computes: Vec<u32> = computes.collect();
        Self {
            values: vec![BTreeMap::new(); computes.len()],
            computes,
            ..Self::default()
        }
    }

    /// Adds one caller, who asked for `id`, which is the key number `key`.
    pub(super) fn add(
        &mut self,
        id: &str,
        key: u32,
        latency: Duration,
        result: Result<Arc<String>, Error>,
    ) {
        // Half a million years fit.
        self.latencies_us.push(latency.as_micros() as u64);
        match result {
            Ok(value) => {
                // A value is its id, a blank, and which compute it was: see `Caller::call`.
                let own = value
                    .strip_prefix(id)
                    .and_then(|rest| rest.strip_prefix(' '));
                match (own, self.values.get_mut(key as usize)) {
                    (Some(compute), _) if compute.ends_with(ALONE) => {}
                    (Some(compute), Some(values)) => match values.get_mut(compute) {
                        Some(callers) => *callers += 1,
                        None => drop(values.insert(compute.to_owned(), 1)),
                    },
                    _ => self.foreign += 1,
                }
            }
            Err(error) => self.failed(&error, matches!(error, Error::Timeout { .. })),
        }
    }

    pub(super) fn failed(&mut self, error: &impl Display, timeout: bool) {
        self.errors += 1;
        self.timeouts += u64::from(timeout);
        self.example.get_or_insert_with(|| error.to_string());
    }
}

impl Tally {
    pub(super) fn new(plan: &Plan) -> Self {
        let none = vec![0; plan.processes as usize];
        Self {
            before_last: none.clone(),
            so_far: none,
            ..Self::default()
        }
    }

    /// Adds one round: the shares of all processes, in their order.
    pub(super) fn add(&mut self, elapsed: Duration, shares: Vec<Share>) {
        self.elapsed += elapsed;
        self.most_before = self.most_before.max(self.last_most());
        self.before_last.clone_from(&self.so_far);
        self.degraded = shares.iter().map(|share| share.degraded).sum();
        let mut keys = Vec::new();
        for (process, mut share) in shares.into_iter().enumerate() {
            self.errors += share.errors;
            self.timeouts += share.timeouts;
            self.wrong += share.foreign;
            self.example = self.example.take().or(share.example);
            self.latencies_us.append(&mut share.latencies_us);
            if let Some(so_far) = self.so_far.get_mut(process) {
                *so_far = share.commands;
            }
            keys.resize_with(share.computes.len().max(keys.len()), KeySeen::default);
            for (seen, (computes, values)) in keys
                .iter_mut()
                .zip(share.computes.into_iter().zip(share.values))
            {
                seen.add(computes, values);
            }
        }
        for seen in keys {
            self.computes += seen.computes;
            self.max_computes_per_key = self.max_computes_per_key.max(seen.computes);
            self.wrong += seen.wrong();
        }
    }

    /// Adds what each process sent in all, in their order. What it sent after its last round belongs
    /// to that.
    pub(super) fn end(&mut self, commands: &[u64]) {
        self.so_far.copy_from_slice(commands);
        self.commands = commands.iter().sum();
        self.commands_max_process = self.most_before.max(self.last_most());
    }

    fn last_most(&self) -> u64 {
        let sent = self.so_far.iter().zip(&self.before_last);
        // A process counts up only.
        sent.map(|(now, then)| now - then).max().unwrap_or(0)
    }

    /// The latency that `percent` of the callers did not exceed (nearest rank), for each of the given.
    pub(super) fn latencies(&self, percents: [u64; 3]) -> [Duration; 3] {
        let mut sorted = self.latencies_us.clone();
        sorted.sort_unstable();
        percents.map(|percent| {
            let rank = (sorted.len() as u64 * percent).div_ceil(100).max(1) as usize;
            let micros = sorted.get(rank - 1).copied().unwrap_or(0);
            Duration::from_micros(micros)
        })
    }
}

/// One key over all processes.
#[derive(Default)]
struct KeySeen {
    computes: u64,
    values: BTreeMap<String, u64>,
}

impl KeySeen {
    fn add(&mut self, computes: u32, values: BTreeMap<String, u64>) {
        self.computes += u64::from(computes);
        for (value, callers) in values {
            *self.values.entry(value).or_default() += callers;
        }
    }

    /// There must be one value: whoever has not what most have got a wrong one.
    fn wrong(&self) -> u64 {
        let most = self.values.values().max().copied().unwrap_or(0);
        self.values.values().sum::<u64>() - most
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Target;

    fn plan(processes: u32) -> Plan {
        Plan {
            targets: vec![Target::Memory],
            tag: "t".into(),
            prefix: "p".into(),
            tasks: 4,
            processes,
            keys: 2,
            compute: Duration::ZERO,
            wait: Duration::ZERO,
            lease: Duration::ZERO,
            timeout: Duration::ZERO,
            progress: false,
        }
    }

    fn share(computes: [u32; 2], got: &[(u32, &str)], commands: u64) -> Share {
        let mut share = Share::new(computes.into_iter());
        for (key, value) in got {
            let latency = Duration::from_millis(5);
            share.add(
                &format!("p-{key}"),
                *key,
                latency,
                Ok(Arc::new((*value).to_owned())),
            );
        }
        share.commands = commands;
        share
    }

    #[test]
    fn one_value_per_key_is_right() {
        let mut tally = Tally::new(&plan(2));
        let shares = vec![
            share([1, 0], &[(0, "p-0 0.0"), (1, "p-1 1.0")], 3),
            share([0, 1], &[(0, "p-0 0.0"), (1, "p-1 1.0")], 4),
        ];
        tally.add(Duration::from_millis(7), shares);
        tally.end(&[3, 5]);
        assert_eq!((tally.computes, tally.max_computes_per_key), (2, 1));
        assert_eq!((tally.wrong, tally.errors), (0, 0));
        assert_eq!((tally.commands, tally.commands_max_process), (8, 5));
    }

    #[test]
    fn other_values_and_other_keys_are_wrong() {
        let mut tally = Tally::new(&plan(2));
        let shares = vec![
            share([1, 0], &[(0, "p-0 0.0"), (0, "p-0 0.0"), (1, "p-0 0.0")], 1),
            share([1, 0], &[(0, "p-0 1.0"), (1, "p-10 0.0"), (1, "")], 1),
        ];
        tally.add(Duration::ZERO, shares);
        assert_eq!(tally.wrong, 1 + 3);
        assert_eq!(tally.max_computes_per_key, 2);
    }

    #[test]
    fn without_a_server_each_process_has_its_own_value() {
        let mut tally = Tally::new(&plan(2));
        let shares = vec![
            share([1, 0], &[(0, "p-0 0.0")], 1),
            share([1, 0], &[(0, "p-0 1.0~")], 1),
        ];
        tally.add(Duration::ZERO, shares);
        assert_eq!((tally.wrong, tally.computes), (0, 2));
    }

    #[test]
    fn each_round_has_its_own_commands() {
        let mut tally = Tally::new(&plan(2));
        for (a, b) in [(3, 9), (6, 13), (9, 16)] {
            tally.add(
                Duration::ZERO,
                vec![share([0; 2], &[], a), share([0; 2], &[], b)],
            );
        }
        tally.end(&[10, 16]);
        assert_eq!((tally.commands, tally.commands_max_process), (26, 9));
    }

    #[test]
    fn errors_are_counted_and_one_is_kept() {
        let mut first = share([0; 2], &[], 0);
        first.failed(&"late", true);
        first.failed(&"broken", false);
        let mut tally = Tally::new(&plan(1));
        tally.add(Duration::ZERO, vec![first]);
        assert_eq!((tally.errors, tally.timeouts), (2, 1));
        assert_eq!(tally.example.as_deref(), Some("late"));
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let tally = Tally {
            latencies_us: (1..=200).rev().collect(),
            ..Tally::default()
        };
        assert_eq!(
            tally
                .latencies([50, 99, 100])
                .map(|latency| latency.as_micros()),
            [100, 198, 200]
        );
        assert_eq!(
            Tally::default().latencies([50, 99, 100]),
            [Duration::ZERO; 3]
        );
    }
}
