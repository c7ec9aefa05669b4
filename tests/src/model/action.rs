//! Actions: everything that can happen next in the model, and which of it can happen in a state.

use std::fmt;

use memolock::core::{ErrorKind, Mode, Output};

use super::process::{End, Life, Work, name};
use super::scenario::Fault;
use super::world::World;

/// One step. `p` numbers a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The first caller calls.
    Start(usize),
    /// The store takes the next command of the process.
    Effect(usize),
    /// The process reads the answer.
    Reply(usize),
    /// The process hears the next thing that its subscription has.
    Hear(usize),
    /// The process wakes at its deadline.
    Elapse(usize),
    /// The process is told that its lease is lost.
    LeaseLost(usize),
    /// The heartbeat renews.
    Renew(usize),
    /// A compute or a trigger ends.
    End(usize, Ending),
    /// A program outside stores and publishes a value, says that it failed, or comes to nothing.
    Program(usize, Answer),
    /// Time goes on to the next moment at which something is due.
    Advance,
    /// A pause is over.
    Resume(usize),
    /// A gap is over.
    Reconnect(usize),
    /// A caller's time runs out, since nobody will answer.
    RunOut(usize),
    /// A fault; the process, where it is one's.
    Fault(Trouble, usize),
}

/// How work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a value.
    Value,
    /// With a value that is not to be stored.
    Unstored,
    /// With an error.
    Failed,
    /// With a panic.
    Panicked,
    /// A trigger: the program has been started.
    Triggered,
}

/// What a program outside does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Stores and publishes.
    Resolves,
    /// Says that it failed.
    Fails,
    /// Ends without a word.
    Vanishes,
}

/// A fault, and how exactly it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// What is on the wire arrives, or does not.
    Crash(Wire),
    /// A caller leaves; its command arrives, or does not.
    Cancel(Wire),
    /// A command never arrives.
    Request(ErrorKind),
    /// A command takes effect, and its reply is lost, or a proxy's error comes in its place.
    Reply(ErrorKind),
    /// A command times out, and takes effect later.
    Late,
    /// A renewal fails; with effect or without.
    Renewal(Wire),
    /// A command is refused.
    Refuse,
    /// The subscription breaks; so many of the messages that are under way are still heard.
    Gap(u8),
    /// The subscription ends.
    Silence,
    /// The process does nothing for a time.
    Pause,
    /// Somebody invalidates.
    Invalidate,
    /// Somebody puts.
    Put,
    /// The value expires.
    Expire,
    /// The stored value is published once more.
    Repeat,
    /// Somebody puts the very value that is stored.
    Same,
    /// The store begins anew.
    Restart,
}

/// What becomes of a command on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// It arrives.
    Kept,
    /// It does not.
    Cut,
}

const LOST: [ErrorKind; 2] = [ErrorKind::Unavailable, ErrorKind::Timeout];

impl World {
    /// Adds what can happen next.
    pub(super) fn actions(&self, actions: &mut Vec<Action>) {
        for p in 0..self.processes.len() {
            self.steps(p, actions);
        }
        for i in 0..self.programs.len() {
            let answers = [Answer::Resolves, Answer::Fails, Answer::Vanishes];
            actions.extend(answers.map(|answer| Action::Program(i, answer)));
        }
        if self.advances() {
            actions.push(Action::Advance);
        }
        // Once all have what they came for, nothing can go wrong for them.
        if !self.is_over() {
            self.troubles(actions);
        }
    }

    fn steps(&self, p: usize, actions: &mut Vec<Action>) {
        let process = &self.processes[p];
        if !process.wire.is_empty() {
            actions.push(Action::Effect(p));
        }
        let mut may = |may: bool, action| {
            if may {
                actions.push(action);
            }
        };
        may(process.life == Life::Ahead, Action::Start(p));
        may(process.life == Life::Paused, Action::Resume(p));
        may(self.has_reply(p), Action::Reply(p));
        may(self.has_mail(p), Action::Hear(p));
        may(self.knows_loss(p), Action::LeaseLost(p));
        may(self.is_due(p), Action::Elapse(p));
        may(self.must_renew(p), Action::Renew(p));
        may(self.runs_out(p), Action::RunOut(p));
        may(process.runs() && process.is_deaf(), Action::Reconnect(p));
        if !process.runs() {
            return;
        }
        match process.work {
            Some(Work::Compute { .. }) => {
                let ends = [
                    Ending::Value,
                    Ending::Unstored,
                    Ending::Failed,
                    Ending::Panicked,
                ];
                actions.extend(ends.map(|end| Action::End(p, end)));
            }
            Some(Work::Trigger) => {
                actions.push(Action::End(p, Ending::Triggered));
                // A trigger that has started its program has not failed.
                actions.push(Action::End(p, Ending::Failed));
            }
            None => {}
        }
    }

    fn troubles(&self, actions: &mut Vec<Action>) {
        let allow = |fault| self.left.allow(fault);
        let mut all = |fault: bool, trouble| {
            if fault {
                actions.push(Action::Fault(trouble, 0));
            }
        };
        all(allow(Fault::Invalidate), Trouble::Invalidate);
        all(allow(Fault::Put), Trouble::Put);
        all(allow(Fault::Restart), Trouble::Restart);
        all(
            allow(Fault::Expire) && self.store.value.is_some(),
            Trouble::Expire,
        );
        all(
            allow(Fault::Repeat) && self.store.value.is_some(),
            Trouble::Repeat,
        );
        all(
            allow(Fault::Same) && self.store.value.is_some(),
            Trouble::Same,
        );
        for (p, process) in self.processes.iter().enumerate() {
            if process.runs() && !process.rests() {
                self.own_troubles(p, |trouble| actions.push(Action::Fault(trouble, p)));
            }
        }
    }

    fn own_troubles(&self, p: usize, mut push: impl FnMut(Trouble)) {
        let allow = |fault| self.left.allow(fault);
        let process = &self.processes[p];
        // The command that is waited for, if it has had no effect yet.
        let asked = process.wire.back().filter(|letter| letter.awaited);
        let fates: &[Wire] = match asked {
            Some(_) => &[Wire::Kept, Wire::Cut],
            None => &[Wire::Kept],
        };
        if allow(Fault::Crash) {
            fates.iter().for_each(|fate| push(Trouble::Crash(*fate)));
        }
        if allow(Fault::Cancel) && !process.callers.is_empty() {
            fates.iter().for_each(|fate| push(Trouble::Cancel(*fate)));
        }
        if allow(Fault::Lose) && asked.is_some() {
            LOST.iter().for_each(|kind| push(Trouble::Request(*kind)));
            push(Trouble::Late);
        }
        if allow(Fault::Lose)
            && process
                .reply
                .as_ref()
                .is_some_and(|reply| !failed(&reply.input))
        {
            LOST.iter().for_each(|kind| push(Trouble::Reply(*kind)));
        }
        if allow(Fault::Lose) && self.must_renew(p) {
            push(Trouble::Renewal(Wire::Kept));
            push(Trouble::Renewal(Wire::Cut));
        }
        if allow(Fault::Refuse) && asked.is_some() {
            push(Trouble::Refuse);
        }
        if allow(Fault::Unknown) && asked.is_some() {
            push(Trouble::Request(ErrorKind::Unrecognized));
        }
        let answered = process.reply.as_ref();
        if allow(Fault::Unknown) && answered.is_some_and(|reply| !failed(&reply.input)) {
            push(Trouble::Reply(ErrorKind::Unrecognized));
        }
        if allow(Fault::Pause) {
            push(Trouble::Pause);
        }
        let Some(ear) = process.ear.as_ref().filter(|ear| !ear.deaf) else {
            return;
        };
        if allow(Fault::Gap) {
            let most = u8::try_from(ear.mail.len()).unwrap_or(u8::MAX);
            (0..=most).for_each(|heard| push(Trouble::Gap(heard)));
        }
        if allow(Fault::Silence) && process.listens() {
            push(Trouble::Silence);
        }
    }
}

/// Whether it says that a command failed.
fn failed(input: &memolock::core::Input) -> bool {
    use memolock::core::Input;
    matches!(
        input,
        Input::Probed(Err(_))
            | Input::Acquired(Err(_))
            | Input::Subscribed(Err(_))
            | Input::Fulfilled(Err(_))
            | Input::Released(Err(_))
    )
}

impl Ending {
    pub(super) fn end(self) -> Option<End> {
        match self {
            Self::Value => Some(End::Value),
            Self::Unstored => Some(End::Unstored),
            Self::Failed => Some(End::Failed),
            Self::Panicked => Some(End::Panicked),
            Self::Triggered => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(p) => write!(f, "p{p} is called"),
            Self::Effect(p) => write!(f, "the store takes the command of p{p}"),
            Self::Reply(p) => write!(f, "p{p} reads the answer"),
            Self::Hear(p) => write!(f, "p{p} hears a message"),
            Self::Elapse(p) => write!(f, "p{p} wakes at its deadline"),
            Self::LeaseLost(p) => write!(f, "p{p} is told that its lease is lost"),
            Self::Renew(p) => write!(f, "p{p} renews"),
            Self::End(p, how) => write!(f, "the work of p{p} ends: {how:?}"),
            Self::Program(i, how) => write!(f, "program {i} {how:?}"),
            Self::Advance => write!(f, "time goes on"),
            Self::Resume(p) => write!(f, "p{p} goes on after a pause"),
            Self::Reconnect(p) => write!(f, "the gap of p{p} ends"),
            Self::RunOut(p) => write!(f, "the time of p{p}'s caller runs out"),
            Self::Fault(trouble, p) => match trouble {
                Trouble::Invalidate
                | Trouble::Put
                | Trouble::Expire
                | Trouble::Repeat
                | Trouble::Same
                | Trouble::Restart => {
                    write!(f, "FAULT {trouble:?}")
                }
                _ => write!(f, "FAULT {trouble:?} of p{p}"),
            },
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t={}", self.now.since_origin().as_millis())?;
        for (p, process) in self.processes.iter().enumerate() {
            let state = match process.life {
                Life::Running => process.machine.state_name(),
                Life::Ahead => "-",
                Life::Paused => "paused",
                Life::Crashed => "crashed",
            };
            write!(f, "  p{p} {state}")?;
            if let (Some(deadline), true) = (process.machine.deadline(), process.runs()) {
                write!(f, " until {}", deadline.at().since_origin().as_millis())?;
            }
            if let Some(Output::Acquire { token, .. }) = process.wire.back().map(|l| &l.command) {
                write!(f, " by {}", name(*token))?;
            }
            if process.callers.len() > 1 || process.callers.first() == Some(&Mode::External) {
                write!(f, " for {:?}", process.callers)?;
            }
        }
        match self.store.lock {
            Some(lock) => {
                let until = lock.expires.since_origin().as_millis();
                write!(f, "  lock {} until {until}", name(lock.token))?;
            }
            None => write!(f, "  no lock")?,
        }
        match &self.store.value {
            Some(value) => write!(f, "  value {:?}", &value[..]),
            None => write!(f, "  no value"),
        }
    }
}
