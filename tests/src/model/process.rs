//! A process of the model: the real machine, and what a driver keeps beside it.

use std::collections::VecDeque;

use bytes::Bytes;
use memolock::core::{
    Entropy, Event, Input, LeaseClock, Machine, Message, Mode, Outcome, Output, Policy, Timestamp,
    Token,
};

/// One flight in one process. What the driver, the engine and the heartbeat do is in `drive`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) machine: Machine,
    pub(super) life: Life,
    /// Who shares the flight, the one who drives first. Empty once all have left or been answered.
    pub(super) callers: Vec<Mode>,
    /// Callers have their outcome.
    pub(super) landed: bool,
    /// Commands that have not taken effect yet. The store takes them in this order.
    pub(super) wire: VecDeque<Letter>,
    /// The answer to the command that is waited for, on its way.
    pub(super) reply: Option<Reply>,
    pub(super) ear: Option<Ear>,
    pub(super) work: Option<Work>,
    pub(super) beat: Option<Beat>,
    pub(super) product: Option<End>,
    /// Of the type of its values: those of another version are passed over.
    pub(super) version: u8,
    /// The last value that was passed over.
    pub(super) passed: Option<Bytes>,
    pub(super) notes: Notes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Life {
    /// Nobody has called yet.
    Ahead,
    Running,
    /// It does nothing until it is resumed; not even its heartbeat.
    Paused,
    Crashed,
}

/// A command on its way to the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Letter {
    pub(super) command: Output,
    /// Somebody waits for the answer.
    pub(super) awaited: bool,
    /// The value that a lease is tried for over.
    pub(super) over: Option<Bytes>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Reply {
    pub(super) input: Input,
    /// When the command took effect, or failed.
    pub(super) at: Timestamp,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Ear {
    pub(super) mail: VecDeque<Event>,
    /// In a gap.
    pub(super) deaf: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Work {
    /// A compute, the lease that it runs under, and the epoch in which it began.
    Compute { under: Option<Token>, epoch: u8 },
    /// A trigger that has not returned.
    Trigger,
}

/// A lease that the heartbeat keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Beat {
    pub(super) token: Token,
    pub(super) since: Timestamp,
    /// The real one.
    pub(super) clock: LeaseClock,
    pub(super) lost: bool,
}

/// How a caller's work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum End {
    Value,
    Unstored,
    Failed,
    Panicked,
}

/// What promises are judged by, and nobody acts on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Notes {
    /// Tokens drawn.
    pub(super) draws: u8,
    /// The epoch in which the flight began.
    pub(super) begun: u8,
    /// The caller who drives has computed; it can do so once.
    pub(super) computed: bool,
    /// A value of ours was stored.
    pub(super) stored: bool,
    /// Fulfils that the present caller has waited for.
    pub(super) fulfils: u8,
    /// The last command failed.
    pub(super) failed: bool,
    /// Until when somebody else is known to hold the lease.
    pub(super) rival: Option<Timestamp>,
    /// When the lock that the last try found was to expire, as the store had it, and how late that was told.
    pub(super) late: std::time::Duration,
    /// The lease may be left to expire.
    pub(super) excused: bool,
    /// The lock of a program that did not answer in time, which is left to expire.
    pub(super) let_go: Option<Token>,
    /// The lease that is held, and since when it is known to be.
    pub(super) holds: Option<(Token, Timestamp)>,
}

impl Process {
    pub(super) fn new(policy: Policy, callers: &[Mode], version: u8) -> Self {
        let mode = callers.first().copied().unwrap_or(Mode::Compute);
        Self {
            machine: Machine::new(policy, mode),
            life: Life::Ahead,
            callers: callers.to_vec(),
            landed: false,
            wire: VecDeque::new(),
            reply: None,
            ear: None,
            work: None,
            beat: None,
            product: None,
            version,
            passed: None,
            notes: Notes::default(),
        }
    }

    /// Takes steps of its own.
    pub(super) fn runs(&self) -> bool {
        self.life == Life::Running
    }

    pub(super) fn listens(&self) -> bool {
        self.runs() && self.work.is_none() && self.machine.output() == Output::Listen
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.ear.as_ref().is_some_and(|ear| ear.deaf)
    }

    /// Nothing is left that it has to do.
    pub(super) fn rests(&self) -> bool {
        match self.life {
            Life::Ahead => false,
            Life::Crashed => true,
            Life::Running | Life::Paused => {
                self.machine.output() == Output::Rest && self.reply.is_none()
            }
        }
    }

    pub(super) fn hear(&mut self, event: &Event) {
        if let Some(ear) = self.ear.as_mut().filter(|ear| !ear.deaf) {
            ear.mail.push_back(event.clone());
        }
    }

    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.machine.outcome()
    }

    /// Forgets what makes no difference any more, so that states are told apart by what does.
    pub(super) fn forget(&mut self) {
        if self.life != Life::Crashed && !(self.rests() && self.wire.is_empty()) {
            return;
        }
        self.ear = None;
        self.passed = None;
        self.notes = Notes {
            stored: self.notes.stored,
            excused: self.notes.excused,
            let_go: self.notes.let_go,
            ..Notes::default()
        };
    }

    /// Notes what a promise may be judged by when this comes in.
    pub(super) fn note(&mut self, now: Timestamp, input: &Input) {
        use memolock::core::{Acquired, Remaining};
        match input {
            Input::Acquired(Ok(Acquired::Held(Remaining::Expires(left)))) => {
                self.notes.rival = Some(now.after(*left));
            }
            Input::Heard(Event::Message(Message::Value(_) | Message::Notice(_)))
            | Input::PassedOver { known: false } => {
                self.notes.rival = None;
            }
            _ => {}
        }
        match input {
            Input::Probed(Err(_))
            | Input::Acquired(Err(_))
            | Input::Subscribed(Err(_))
            | Input::Fulfilled(Err(_))
            | Input::Released(Err(_))
            | Input::Silenced(_) => self.notes.failed = true,
            Input::Acquired(Ok(_)) => self.notes.failed = false,
            _ => {}
        }
    }
}

/// Random bits that are not: a token tells whose it is and which of theirs, and no jitter is drawn, since
/// whoever is due at one moment goes in every order anyhow.
pub(super) struct Draws<'a> {
    pub(super) process: usize,
    pub(super) draws: &'a mut u8,
}

impl Entropy for Draws<'_> {
    fn bits(&mut self) -> u128 {
        *self.draws = self.draws.wrapping_add(1);
        let owner = self.process as u128 + 1;
        (owner << 120) | (u128::from(*self.draws) << 96)
    }
}

/// Whose token it is, by its number; none if nobody drew it.
pub(super) fn owner(token: Token) -> Option<usize> {
    let wire = token.to_wire();
    usize::from_str_radix(&wire[..2], 16).ok()?.checked_sub(1)
}

/// A token for people to read: its owner and its number.
pub(super) fn name(token: Token) -> String {
    let wire = token.to_wire();
    let number = u8::from_str_radix(&wire[2..8], 16).unwrap_or(u8::MAX);
    match owner(token) {
        Some(owner) => format!("p{owner}#{number}"),
        None => format!("nobody's #{number}"),
    }
}
