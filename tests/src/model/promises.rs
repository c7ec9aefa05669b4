//! The promises R1 to R7 and R16, as properties of the model's states and steps.

use std::time::Duration;

use memolock::core::{Deadline, ErrorKind, Mode, Origin, Outcome, Output, Storage, Token};

use super::process::{End, Life, Process, Work, name, owner};
use super::scenario::{Fault, LEASE, Scenario};
use super::search::Broken;
use super::store::Made;
use super::world::{Program, World};

/// What may make a second value of one key be stored.
const AGAIN: [Fault; 3] = [Fault::Invalidate, Fault::Expire, Fault::Restart];

impl World {
    /// Looks at a state, whatever it is.
    pub(super) fn judge(&self, scenario: &Scenario) -> Result<(), Broken> {
        for (p, process) in self.processes.iter().enumerate() {
            if let Some(Work::Compute {
                under: Some(token), ..
            }) = process.work
            {
                self.judge_lease(p, token)?;
            }
        }
        for p in 0..self.processes.len() {
            self.judge_length(p, scenario)?;
        }
        if !self.is_urgent() {
            for p in 0..self.processes.len() {
                self.judge_sleep(p, scenario)?;
            }
        }
        match self.is_over() {
            true => self.judge_end(scenario),
            false => Ok(()),
        }
    }

    /// R1: who computes has the lock, unless the store took it away.
    fn judge_lease(&self, p: usize, token: Token) -> Result<(), Broken> {
        if self.store.is_held_by(token) || self.store.lost.contains(&token) {
            return Ok(());
        }
        let what = format!("p{p} computes under {}, which it gave away", name(token));
        broken("R1", what)
    }

    /// R16: no lock stands for longer than its holder may keep it.
    fn judge_length(&self, p: usize, scenario: &Scenario) -> Result<(), Broken> {
        let process = &self.processes[p];
        let (Some(lock), Some((token, since))) = (self.store.lock, process.notes.holds) else {
            return Ok(());
        };
        match lock.token == token && lock.expires > since.after(scenario.max_lease) {
            true => broken("R16", format!("{} stands for too long", name(token))),
            false => Ok(()),
        }
    }

    /// R1, R3: what a compute may be begun under, and how often.
    pub(super) fn judge_compute(&mut self, p: usize, under: Option<Token>) -> Result<(), Broken> {
        let now = self.now;
        let notes = &mut self.processes[p].notes;
        if std::mem::replace(&mut notes.computed, true) {
            return broken("R3", format!("p{p}: a caller's compute is asked for twice"));
        }
        let beside = under.is_none() && notes.rival.is_some_and(|until| now < until);
        match beside {
            true => broken("R1", format!("p{p} computes beside a holder that is at it")),
            false => Ok(()),
        }
    }

    /// R1: no second program is started over one whose lease stands.
    pub(super) fn judge_trigger(&self, p: usize, token: Token) -> Result<(), Broken> {
        let lost = |token: &Token| self.store.lost.contains(token);
        // It does not know yet: with a lost lease, two may be at it.
        if lost(&token) {
            return Ok(());
        }
        let stands = |other: &&Program| !other.disowned && !lost(&other.token);
        match self.programs.iter().find(stands) {
            Some(other) => broken(
                "R1",
                format!(
                    "p{p} triggers under {} while the program of {} is at it",
                    name(token),
                    name(other.token)
                ),
            ),
            None => Ok(()),
        }
    }

    /// R3: a value does not wait for a store that does not answer.
    pub(super) fn judge_fulfil(&mut self, p: usize) -> Result<(), Broken> {
        let process = &mut self.processes[p];
        if process.callers.is_empty() {
            return Ok(());
        }
        process.notes.fulfils += 1;
        match process.notes.fulfils > 2 {
            true => broken("R3", format!("p{p}: the value waits for a third fulfil")),
            false => Ok(()),
        }
    }

    /// R4: nothing is stored that was begun before the last put or invalidation.
    pub(super) fn judge_stored(&self, p: usize, made: Option<Made>) -> Result<(), Broken> {
        match made {
            Some(made) if made.epoch >= self.store.epoch => Ok(()),
            _ => broken("R4", format!("p{p} stored what was declared void")),
        }
    }

    /// R3, R4, R7: what callers get.
    pub(super) fn judge_landing(&self, p: usize) -> Result<(), Broken> {
        let process = &self.processes[p];
        let Some(outcome) = process.outcome() else {
            return Ok(());
        };
        // Nobody is told.
        if process.callers.is_empty() {
            return Ok(());
        }
        let fits = match process.product {
            Some(End::Value) => matches!(outcome, Outcome::Computed { .. }),
            Some(End::Unstored) => {
                let declined =
                    |storage: &Storage| matches!(storage, Storage::Declined | Storage::Degraded(_));
                matches!(outcome, Outcome::Computed { storage } if declined(storage))
            }
            Some(End::Failed) => *outcome == Outcome::Failed,
            Some(End::Panicked) => *outcome == Outcome::Panicked,
            None => !matches!(
                outcome,
                Outcome::Computed { .. } | Outcome::Failed | Outcome::Panicked
            ),
        };
        if !fits {
            let what = format!("p{p}: {:?} became {outcome:?}", process.product);
            return broken("R3", what);
        }
        match outcome {
            Outcome::Computed { storage } => judge_storage(p, process, storage),
            Outcome::Value { value, origin } => self.judge_value(p, Made::of(value), *origin),
            Outcome::Abandoned => {
                broken("R3", format!("p{p}: a caller who is there was abandoned"))
            }
            _ => Ok(()),
        }
    }

    /// R4: a call that began after an invalidation is not answered by anything older.
    fn judge_value(&self, p: usize, made: Option<Made>, origin: Origin) -> Result<(), Broken> {
        let Some(made) = made else {
            return broken("R4", format!("p{p} was answered by what nobody made"));
        };
        // A program is not fenced: it may store what it began long ago.
        if made.is_outside() {
            return Ok(());
        }
        let maker = self.processes.get(usize::from(made.by));
        if !maker.is_some_and(|maker| maker.notes.stored) {
            return broken("R4", format!("p{p} was answered by what was never stored"));
        }
        if maker.is_some_and(|maker| maker.version != self.processes[p].version) {
            return broken(
                "R4",
                format!("p{p} was answered by a value of another version"),
            );
        }
        match made.epoch < self.processes[p].notes.begun {
            true => broken(
                "R4",
                format!("p{p} was answered by what was void ({origin:?})"),
            ),
            false => Ok(()),
        }
    }

    /// R2, R7: nothing happens now, so whoever sleeps must have reason to, and something to wake it.
    fn judge_sleep(&self, p: usize, scenario: &Scenario) -> Result<(), Broken> {
        let process = &self.processes[p];
        if !process.runs() || process.work.is_some() || process.is_deaf() {
            return Ok(());
        }
        let policy = scenario.policy();
        let wake = process.machine.deadline().map(Deadline::at);
        let pause = match process.outcome() {
            // Clean-up backs off: half of the time that is left at most, and a quarter of that more.
            Some(_) => LEASE * 5 / 8,
            None if scenario.faults.contains(&Fault::Unknown) => policy.unrecognized_pause,
            None => policy.outage_pause,
        };
        let soon = wake.is_some_and(|at| at <= self.now.after(pause));
        // Asked again in a rhythm, while the store fails.
        if soon && (process.notes.failed || process.machine.output() == Output::Pause) {
            return Ok(());
        }
        if process.machine.output() == Output::Pause {
            return broken("R2", format!("p{p} pauses for longer than a pause"));
        }
        if process.machine.output() != Output::Listen {
            return Ok(());
        }
        if self
            .store
            .value
            .as_ref()
            .is_some_and(|value| self.passes(p, value))
        {
            return broken("R2", format!("p{p} sleeps although there is a value"));
        }
        // The heartbeat finds out, and before that nothing is known.
        if process.beat.is_some() {
            return Ok(());
        }
        let Some(wake) = wake else {
            return broken("R2", format!("p{p} sleeps, and nothing will wake it"));
        };
        let free = match self.store.lock {
            Some(lock) if process.notes.let_go == Some(lock.token) => lock.expires,
            Some(lock) if owner(lock.token) == Some(p) => {
                return broken("R7", format!("p{p} waits for a lease of its own"));
            }
            Some(lock) => lock.expires,
            None => self.now,
        };
        // Whoever can compute comes first.
        let triggers = scenario.processes[p].contains(&Mode::External);
        let behind = if triggers {
            policy.takeover_jitter
        } else {
            Duration::ZERO
        };
        match wake > free.after(process.notes.late).after(behind) {
            true => broken("R2", format!("p{p} sleeps for longer than the lock stands")),
            false => Ok(()),
        }
    }

    /// R1, R2, R5: nothing more will happen.
    fn judge_end(&self, scenario: &Scenario) -> Result<(), Broken> {
        for (p, process) in self.processes.iter().enumerate() {
            let live = process.life != Life::Crashed;
            if live && (process.outcome().is_none() || !process.callers.is_empty()) {
                return broken("R2", format!("p{p} never has an outcome"));
            }
            if live && process.beat.is_some() {
                return broken("R9", format!("p{p} renews a lease for nobody"));
            }
            if live && self.gave_up(p) {
                return broken(
                    "R2",
                    format!("the value of p{p} was refused, and is given up"),
                );
            }
        }
        if let Some(lock) = self.store.lock {
            let holder = owner(lock.token).and_then(|p| self.processes.get(p));
            // One that was let go is given back when the value comes after all.
            let let_go = |h: &Process| {
                let served = matches!(h.outcome(), Some(Outcome::Value { .. }));
                h.notes.let_go == Some(lock.token) && !served
            };
            let excused = |h: &Process| h.notes.excused || h.life == Life::Crashed || let_go(h);
            let excused = holder.is_some_and(excused);
            if !excused {
                return broken("R5", format!("{} is left behind", name(lock.token)));
            }
        }
        let stored = self.processes.iter().filter(|p| p.notes.stored).count();
        let again = usize::from(self.left.happened(scenario.faults, &AGAIN));
        // To each version the other's value is none.
        if !scenario.versions.is_empty() {
            return Ok(());
        }
        match stored > 1 + again {
            true => broken("R1", format!("{stored} values were stored")),
            false => Ok(()),
        }
    }
}

impl World {
    /// Whether a value that the store refused for now was never stored, though its lease was not lost.
    fn gave_up(&self, p: usize) -> bool {
        let process = &self.processes[p];
        let refused = matches!(
            process.outcome(),
            Some(Outcome::Computed { storage: Storage::Failed(error) })
                if error.kind() == ErrorKind::Refused
        );
        let lost = self.store.lost.iter().any(|token| owner(*token) == Some(p));
        refused && !process.notes.stored && !lost
    }
}

/// R7: what is said of the value's storage is so.
fn judge_storage(p: usize, process: &Process, storage: &Storage) -> Result<(), Broken> {
    let stored = process.notes.stored;
    let right = match storage {
        Storage::Stored => stored,
        Storage::LeaseLost | Storage::Declined | Storage::Degraded(_) => !stored,
        _ => true,
    };
    match right {
        true => Ok(()),
        false => broken(
            "R7",
            format!("p{p} says {storage:?}, and stored is {stored}"),
        ),
    }
}

fn broken(promise: &'static str, what: impl Into<String>) -> Result<(), Broken> {
    Err(Broken::new(promise, what))
}
