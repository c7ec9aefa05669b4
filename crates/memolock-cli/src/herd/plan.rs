//! What a herd is to do: the same for all its processes.

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::connect::Target;

/// A herd's figures.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Dealt to the processes in turn; at least one.
    pub(super) targets: Vec<Target>,
    pub(super) tag: String,
    /// What this herd's ids begin with, and no other's.
    pub(super) prefix: String,
    pub(super) tasks: u32,
    pub(super) processes: u32,
    pub(super) keys: u32,
    pub(super) compute: Duration,
    pub(super) wait: Duration,
    pub(super) lease: Duration,
    /// For commands to the store.
    pub(super) timeout: Duration,
    /// Whether anybody looks at the progress.
    pub(super) progress: bool,
}

impl Plan {
    /// The tasks of one process, as numbers within the whole herd: as even as can be.
    pub(super) fn share(&self, process: u32) -> Range<u32> {
        let begin = |process: u32| {
            let begin = u64::from(self.tasks) * u64::from(process) / u64::from(self.processes);
            // Not above the tasks, which are a u32.
            begin as u32
        };
        begin(process)..begin(process + 1)
    }

    /// The backend of one process.
    pub(super) fn target_of(&self, process: u32) -> &Target {
        &self.targets[process as usize % self.targets.len()]
    }

    /// The key that a task asks for: dealt in turn over the whole herd.
    pub(super) fn key_of(&self, task: u32) -> u32 {
        task % self.keys
    }

    /// The id of a key.
    pub(super) fn id(&self, round: u32, key: u32) -> String {
        format!("{}-{round}-{key}", self.prefix)
    }

    /// How often a process says how far it is, in tasks.
    pub(super) fn progress_step(&self) -> u32 {
        (self.tasks / 200).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(tasks: u32, processes: u32) -> Plan {
        Plan {
            targets: vec![Target::Memory],
            tag: "t".into(),
            prefix: "p".into(),
            tasks,
            processes,
            keys: 3,
            compute: Duration::ZERO,
            wait: Duration::ZERO,
            lease: Duration::ZERO,
            timeout: Duration::ZERO,
            progress: false,
        }
    }

    #[test]
    fn every_task_has_one_process() {
        for (tasks, processes) in [(10_000, 8), (7, 3), (5, 5), (u32::MAX, 1024)] {
            let plan = plan(tasks, processes);
            let mut next = 0;
            for process in 0..processes {
                let share = plan.share(process);
                assert_eq!(share.start, next);
                let even = tasks / processes;
                assert!((even..=even + 1).contains(&(share.end - share.start)));
                next = share.end;
            }
            assert_eq!(next, tasks);
        }
    }

    #[test]
    fn ids_differ_by_round_and_key() {
        let plan = plan(1, 1);
        assert_eq!(plan.id(0, 12), "p-0-12");
        assert_ne!(plan.id(1, 2), plan.id(12, 0));
    }
}
