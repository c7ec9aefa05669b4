//! When what was broken, and for whom: what excuses a lease that was not renewed in time.

use crate::facts::Facts;
use crate::fault::Fault;
use crate::history::ProcessId;
use crate::plan::Plan;
use crate::store::Millis;

/// After an error that is not known, nothing is asked again before this has passed, and the circuit breaker looks no sooner.
pub(crate) const UNKNOWN: Millis = 500;

/// Spells in which something was broken.
#[derive(Debug)]
pub(crate) struct Trouble(Vec<Spell>);

#[derive(Debug)]
struct Spell {
    from: Millis,
    until: Millis,
    /// Whose trouble; everybody's if none.
    process: Option<ProcessId>,
}

impl Trouble {
    pub(crate) fn of(plan: &Plan, facts: &Facts<'_>) -> Self {
        // Commands that were under way run into their time-out, and connections are made anew.
        let after = plan.bound + 100;
        let spell = |(when, fault): &(crate::facts::Moment, Fault)| {
            let (lasts, process) = match *fault {
                Fault::Cut { process, .. } | Fault::Kill { process } => (0, Some(process)),
                Fault::Pause { process, lasts } => (lasts, Some(process)),
                Fault::Hang { lasts }
                | Fault::Crash { lasts, .. }
                | Fault::Full { lasts }
                | Fault::Refuses { lasts, .. }
                | Fault::Lag { lasts, .. } => (lasts, None),
                Fault::Fails { lasts, .. } => (lasts + UNKNOWN, None),
                Fault::Failover { .. } => (0, None),
                Fault::Unhang
                | Fault::Return
                | Fault::Room
                | Fault::Takes
                | Fault::Works
                | Fault::NoLag
                | Fault::Resume { .. }
                | Fault::Calm => return None,
            };
            Some(Spell {
                from: when.at,
                until: when.at + lasts + after,
                process,
            })
        };
        Self(facts.faults.iter().filter_map(spell).collect())
    }

    /// When the last trouble of a process before a moment was over.
    pub(crate) fn last(&self, process: ProcessId, before: Millis) -> Millis {
        let theirs = self.0.iter().filter(|spell| {
            let theirs = spell.process.is_none_or(|whose| whose == process);
            theirs && spell.from <= before
        });
        theirs.map(|spell| spell.until).max().unwrap_or(0)
    }

    /// Whether a process was in trouble at some moment of this time.
    pub(crate) fn between(&self, process: ProcessId, from: Millis, until: Millis) -> bool {
        self.0.iter().any(|spell| {
            let theirs = spell.process.is_none_or(|whose| whose == process);
            theirs && spell.from <= until && spell.until >= from
        })
    }
}
