//! Scenarios: who calls, and what goes wrong at most how often.

use memolock::core::{FailurePolicy, Mode, OutagePolicy, Policy};
use std::time::Duration;

/// A third of it is a beat.
pub(super) const LEASE: Duration = Duration::from_millis(12);

/// What can go wrong. Each may happen at any point, to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A process ends without a word.
    Crash,
    /// A command or a renewal fails: it never arrived, or its reply was lost, or it still arrives later.
    Lose,
    /// A command is refused.
    Refuse,
    /// A proxy answers a command with an error of its own, before the store took it or after.
    Unknown,
    /// A subscription breaks, with what was on its way, and comes back.
    Gap,
    /// A subscription ends.
    Silence,
    /// Somebody invalidates.
    Invalidate,
    /// Somebody puts a value.
    Put,
    /// The stored value expires, without a word.
    Expire,
    /// The store begins anew, empty; what is under way to it or from it is lost, and so are subscriptions.
    Restart,
    /// A process does nothing for a time, its heartbeat included.
    Pause,
    /// The stored value is published once more.
    Repeat,
    /// Somebody puts the very value that is stored: equal bytes, and the lock is gone.
    Same,
    /// A caller leaves: another one who joined takes over, or the flight is cleaned up.
    Cancel,
    /// A moment passes although commands, replies or messages are under way.
    Lag,
}

/// How many kinds of faults there are.
const KINDS: usize = Fault::Lag as usize + 1;

/// How often each fault may still happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Faults([u8; KINDS]);

impl Faults {
    pub(super) fn of(faults: &[Fault]) -> Self {
        let mut left = Self::default();
        for fault in faults {
            left.0[*fault as usize] += 1;
        }
        left
    }

    pub(super) fn allow(&self, fault: Fault) -> bool {
        self.0[fault as usize] > 0
    }

    pub(super) fn take(&mut self, fault: Fault) {
        self.0[fault as usize] -= 1;
    }

    /// How many of them have happened, of those that were allowed in the beginning.
    pub(super) fn happened(&self, allowed: &[Fault], which: &[Fault]) -> u8 {
        let allowed = Self::of(allowed);
        let of = |fault: &Fault| allowed.0[*fault as usize] - self.0[*fault as usize];
        which.iter().map(of).sum()
    }
}

/// One thing to search through.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What it is about.
    pub name: &'static str,
    /// The callers of each process, the one who drives first. They begin at any time.
    pub processes: &'static [&'static [Mode]],
    /// What may go wrong.
    pub faults: &'static [Fault],
    /// The version of the values of each process; 0 where it is not given.
    pub versions: &'static [u8],
    /// Whether a value that none of them reads is stored at first.
    pub foreign: bool,
    /// How many moments (beats of a heartbeat, expiries) work may take in all. Three beats are a lease.
    pub moments: u8,
    /// How long callers wait for a program outside.
    pub trigger_timeout: Duration,
    /// How long a lease is kept.
    pub max_lease: Duration,
    /// What waiters make of failures.
    pub failures: FailurePolicy,
    /// What is done when the store fails.
    pub outage: OutagePolicy,
    /// What must be reached, or the scenario shows nothing.
    pub marks: &'static [&'static str],
    /// What must not be reached, since nothing that may go wrong is reason for it.
    pub never: &'static [&'static str],
    /// States that there are at least. Fewer mean that something has switched itself off.
    pub least: usize,
}

impl Scenario {
    pub(super) fn policy(&self) -> Policy {
        let mut policy = Policy::default();
        policy.lease = LEASE;
        policy.takeover_jitter = Duration::from_millis(1);
        policy.retry_jitter = Duration::from_millis(1);
        policy.outage_pause = Duration::from_millis(2);
        policy.unrecognized_pause = Duration::from_millis(3);
        policy.limits.trigger_timeout = self.trigger_timeout;
        policy.limits.max_lease = self.max_lease;
        policy.failures = self.failures;
        policy.outage = self.outage;
        policy
    }
}
