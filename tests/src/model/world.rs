//! The world of the model: processes, one store, time, and what may still go wrong.

use memolock::core::{Deadline, Event, Message, Mode, Output, Timestamp, Token};

use super::process::{Life, Process, owner};
use super::scenario::{Fault, Faults, Scenario};
use super::store::{Made, Store};

/// One state of everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub(super) now: Timestamp,
    pub(super) store: Store,
    pub(super) processes: Vec<Process>,
    /// Programs that triggers have started.
    pub(super) programs: Vec<Program>,
    pub(super) left: Faults,
    /// Moments that work may still take.
    pub(super) moments: u8,
}

/// A program outside that is to store and publish a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Program {
    pub(super) process: usize,
    /// The lease under which it was started.
    pub(super) token: Token,
    /// Whoever started it believes it to be over. Messages do not tell which program they are about, so
    /// one that an earlier program caused is taken for its own.
    pub(super) disowned: bool,
}

impl World {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let policy = scenario.policy();
        let process = |(p, callers): (usize, &&[Mode])| {
            let version = scenario.versions.get(p).copied().unwrap_or(0);
            Process::new(policy.clone(), callers, version)
        };
        let store = Store {
            value: scenario.foreign.then(|| Made::foreign().bytes()),
            ..Store::default()
        };
        Self {
            now: Timestamp::ZERO,
            store,
            processes: scenario.processes.iter().enumerate().map(process).collect(),
            programs: Vec::new(),
            left: Faults::of(scenario.faults),
            moments: scenario.moments,
        }
    }

    /// Tells all who listen.
    pub(super) fn publish(&mut self, message: &Message) {
        let event = Event::Message(message.clone());
        for process in &mut self.processes {
            process.hear(&event);
        }
    }

    /// Forgets what makes no difference any more.
    pub(super) fn tidy(&mut self) {
        self.processes.iter_mut().for_each(Process::forget);
        let (processes, programs) = (&self.processes, &self.programs);
        self.store.lost.retain(|token| {
            let owner = owner(*token).and_then(|p| processes.get(p));
            owner.is_some_and(|process| !process.rests())
                || programs.iter().any(|program| program.token == *token)
        });
    }

    /// Whether something happens now, unless the store, a process or the network dawdles.
    pub(super) fn is_urgent(&self) -> bool {
        (0..self.processes.len()).any(|p| {
            !self.processes[p].wire.is_empty()
                || self.has_reply(p)
                || self.has_mail(p)
                || self.is_due(p)
                || self.knows_loss(p)
                || self.must_renew(p)
        })
    }

    /// Whether something takes its time: work, a pause, a gap, somebody who has not called yet.
    pub(super) fn is_busy(&self) -> bool {
        !self.programs.is_empty()
            || self.processes.iter().any(|process| match process.life {
                Life::Ahead | Life::Paused => true,
                Life::Running => process.work.is_some() || process.is_deaf(),
                Life::Crashed => false,
            })
            || (0..self.processes.len()).any(|p| self.runs_out(p))
    }

    /// Nothing more has to happen.
    pub(super) fn is_over(&self) -> bool {
        !self.is_urgent() && self.processes.iter().all(Process::rests)
    }

    /// The next moment at which something is due.
    pub(super) fn next_moment(&self) -> Option<Timestamp> {
        if self.processes.iter().all(Process::rests) {
            return None;
        }
        let lock = self.store.lock.map(|lock| lock.expires);
        let mut moments: Vec<_> = lock.into_iter().collect();
        for process in self.processes.iter().filter(|process| process.runs()) {
            let beat = process.beat.filter(|beat| !beat.lost);
            moments.extend(beat.map(|beat| beat.clock.due()));
            if process.work.is_none() {
                moments.extend(process.machine.deadline().map(Deadline::at));
            }
        }
        moments.into_iter().filter(|at| *at > self.now).min()
    }

    /// Whether time may go on: of itself when all sleep, while work lasts, or because something lags.
    pub(super) fn advances(&self) -> bool {
        self.next_moment().is_some()
            && match (self.is_urgent(), self.is_busy()) {
                (true, _) => self.left.allow(Fault::Lag),
                (false, true) => self.moments > 0,
                (false, false) => true,
            }
    }

    pub(super) fn has_reply(&self, p: usize) -> bool {
        let process = &self.processes[p];
        process.runs() && process.reply.is_some()
    }

    pub(super) fn has_mail(&self, p: usize) -> bool {
        let process = &self.processes[p];
        process.listens() && process.ear.as_ref().is_some_and(|ear| !ear.mail.is_empty())
    }

    /// Whether the moment has come that the machine wants to be woken at.
    pub(super) fn is_due(&self, p: usize) -> bool {
        let process = &self.processes[p];
        let sleeps = matches!(process.machine.output(), Output::Listen | Output::Pause);
        let at = process.machine.deadline().map(Deadline::at);
        process.runs() && process.work.is_none() && sleeps && at.is_some_and(|at| at <= self.now)
    }

    pub(super) fn knows_loss(&self, p: usize) -> bool {
        let process = &self.processes[p];
        process.listens() && process.beat.is_some_and(|beat| beat.lost)
    }

    pub(super) fn must_renew(&self, p: usize) -> bool {
        let process = &self.processes[p];
        process.runs()
            && process
                .beat
                .is_some_and(|beat| !beat.lost && beat.clock.due() <= self.now)
    }

    /// Whether a caller waits for a program that will not answer: its deadline is all that is left.
    pub(super) fn runs_out(&self, p: usize) -> bool {
        let process = &self.processes[p];
        let waits = process.listens() && process.machine.held().is_some();
        waits && !process.callers.is_empty() && self.programs.is_empty()
    }
}
