//! A fleet at one store: random schedules with lost replies, crashes, gaps and invalidations, and
//! then a fair end in which everybody must get an outcome.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;

use super::fixture::{Rig, TTL, draw, error};
use crate::{
    Acquired, BackendError, Completion, Deadline, ErrorKind, Event, Fulfilled, Input, Message,
    Mode, Notice, Outcome, Output, Policy, Remaining, Timestamp, Token,
};

/// Draws that each node has for itself, so that tokens tell whose they are.
const DRAWS: u128 = 10_000;

#[derive(Debug, Clone, Copy)]
enum Act {
    /// A node does what its machine says; the fault and the end of a compute are chosen.
    Step(usize, Fault, usize),
    Advance(u64),
    Invalidate,
    Crash(usize),
    Abandon(usize),
    Gap(usize),
    Resume(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The command never reached the store.
    LostBefore,
    /// It did, and the reply was lost.
    LostAfter,
    Refused,
}

struct Node {
    rig: Rig,
    listening: bool,
    deaf: bool,
    mail: VecDeque<Event>,
    /// The compute that runs, by its number in the fleet.
    compute: Option<u64>,
    computed: bool,
    crashed: bool,
}

struct Fleet {
    nodes: Vec<Node>,
    now: Timestamp,
    value: Option<Bytes>,
    lock: Option<(Token, Timestamp)>,
    computes: u64,
    /// Computes up to this one began before the last invalidation.
    fenced: u64,
    /// Tokens of leases that an invalidation took away.
    revoked: BTreeSet<Token>,
    /// Tokens that may stay in the lock until they expire, since giving them back failed.
    excused: BTreeSet<Token>,
}

impl Fleet {
    fn new(nodes: usize) -> Self {
        let node = |n: usize| Node {
            rig: Rig::new(Mode::Compute).drawing_from(n as u128 * DRAWS + 1),
            listening: false,
            deaf: false,
            mail: VecDeque::new(),
            compute: None,
            computed: false,
            crashed: false,
        };
        Self {
            nodes: (0..nodes).map(node).collect(),
            now: Timestamp::ZERO,
            value: None,
            lock: None,
            computes: 0,
            fenced: 0,
            revoked: BTreeSet::new(),
            excused: BTreeSet::new(),
        }
    }

    /// Time passes, and the heartbeats of living nodes keep their leases.
    fn advance(&mut self, step: Duration) {
        self.now = self.now.after(step);
        if let Some((token, until)) = &mut self.lock {
            let live = self.nodes.iter().filter(|n| !n.crashed);
            let mut held = live.filter_map(|n| n.rig.machine.held());
            if held.any(|h| h.token == *token) {
                *until = self.now.after(Policy::default().lease);
            } else if *until <= self.now {
                self.lock = None;
            }
        }
    }

    fn tell(&mut self, message: &Message) {
        for node in &mut self.nodes {
            if node.listening && !node.deaf && !node.crashed {
                node.mail.push_back(message.clone().into());
            }
        }
    }

    fn holds(&self, token: Token) -> bool {
        self.lock.is_some_and(|(t, _)| t == token)
    }

    /// Carries out `effect` as far as the fault lets it.
    fn command<R>(
        &mut self,
        fault: Fault,
        effect: impl FnOnce(&mut Self) -> R,
    ) -> Result<R, BackendError> {
        match fault {
            Fault::None => Ok(effect(self)),
            Fault::LostBefore => Err(error(ErrorKind::Timeout)),
            Fault::LostAfter => {
                effect(self);
                Err(error(ErrorKind::Unavailable))
            }
            Fault::Refused => Err(error(ErrorKind::Refused)),
        }
    }

    /// One node does what its machine says. Says whether there was anything to do.
    fn step(&mut self, n: usize, fault: Fault, end: usize) -> bool {
        if self.nodes[n].crashed {
            return false;
        }
        self.nodes[n].rig.now = self.now;
        let input = match self.nodes[n].rig.output() {
            Output::Probe => Input::Probed(self.command(fault, |f| f.value.clone())),
            Output::Acquire { token, lease } => {
                Input::Acquired(self.command(fault, |f| f.acquire(token, lease)))
            }
            Output::Subscribe => Input::Subscribed(self.command(fault, |f| {
                f.nodes[n].listening = true;
            })),
            Output::Listen => {
                let node = &mut self.nodes[n];
                let due = node
                    .rig
                    .machine
                    .deadline()
                    .is_some_and(|d| d.at() <= self.now);
                match node.mail.pop_front() {
                    Some(event) => Input::Heard(event),
                    None if due => Input::Elapsed,
                    None => return false,
                }
            }
            Output::Compute { .. } => match self.nodes[n].compute.take() {
                Some(number) => Input::Computed(self.completion(n, number, end)),
                None => {
                    self.computes += 1;
                    self.nodes[n].compute = Some(self.computes);
                    return true;
                }
            },
            Output::Fulfil { token, value, .. } => {
                Input::Fulfilled(self.command(fault, |f| f.fulfil(token, value)))
            }
            Output::Release { token, notice } => {
                if fault != Fault::None {
                    self.excused.insert(token);
                }
                Input::Released(self.command(fault, |f| f.release(token, notice)))
            }
            Output::Trigger => unreachable!("nobody is external"),
            Output::Rest => return false,
        };
        self.nodes[n].rig.feed(input);
        true
    }

    fn acquire(&mut self, token: Token, lease: Duration) -> Acquired {
        if let Some(value) = &self.value {
            return Acquired::Value(value.clone());
        }
        match self.lock {
            Some((holder, until)) if holder != token => {
                Acquired::Held(Remaining::Expires(until.since(self.now)))
            }
            _ => {
                self.lock = Some((token, self.now.after(lease)));
                Acquired::Granted
            }
        }
    }

    fn fulfil(&mut self, token: Token, value: Bytes) -> Fulfilled {
        if !self.holds(token) {
            return Fulfilled::Lost;
        }
        let number = std::str::from_utf8(&value).unwrap().parse::<u64>().unwrap();
        assert!(number > self.fenced, "R4: compute {number} was fenced off");
        self.lock = None;
        self.tell(&Message::Value(value.clone()));
        self.value = Some(value);
        Fulfilled::Stored
    }

    fn release(&mut self, token: Token, notice: Option<Notice>) -> bool {
        let ours = self.holds(token);
        if ours {
            self.lock = None;
            if let Some(notice) = notice {
                self.tell(&Message::Notice(notice));
            }
        }
        ours
    }

    fn invalidate(&mut self) {
        self.revoked.extend(self.lock.map(|(token, _)| token));
        (self.value, self.lock) = (None, None);
        self.fenced = self.computes;
        self.tell(&Message::Notice(Notice::Invalidated));
    }

    fn completion(&mut self, n: usize, number: u64, end: usize) -> Completion {
        match end % 8 {
            0 => Completion::Failed("no".to_owned()),
            1 => Completion::Panicked,
            2 => Completion::Unstored,
            _ => {
                self.nodes[n].computed = true;
                Completion::Value {
                    value: Bytes::from(number.to_string()),
                    ttl: TTL,
                }
            }
        }
    }

    fn resume(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        if std::mem::take(&mut node.deaf) {
            node.mail.push_back(Event::Resumed);
        }
    }

    fn act(&mut self, act: Act) {
        let count = self.nodes.len();
        match act {
            Act::Step(n, fault, end) => drop(self.step(n % count, fault, end)),
            Act::Advance(ms) => self.advance(Duration::from_millis(ms)),
            Act::Invalidate => self.invalidate(),
            Act::Crash(n) => self.nodes[n % count].crashed = true,
            Act::Abandon(n) => drop(self.nodes[n % count].rig.feed(Input::Abandoned)),
            Act::Gap(n) => {
                let node = &mut self.nodes[n % count];
                if node.listening && !node.deaf {
                    node.deaf = true;
                    node.mail.push_back(Event::Gap);
                }
            }
            Act::Resume(n) => self.resume(n % count),
        }
    }

    /// Computes that run under a lease which nobody took away.
    fn running(&self) -> usize {
        let live = self
            .nodes
            .iter()
            .filter(|n| !n.crashed && n.compute.is_some());
        let held = live.filter_map(|n| match n.rig.output() {
            Output::Compute { lease } => lease,
            _ => None,
        });
        held.filter(|h| !self.revoked.contains(&h.token)).count()
    }

    /// From now on nothing fails: everybody steps in turn, and time passes only when all sleep.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        let policy = Policy::default();
        (0..self.nodes.len()).for_each(|n| self.resume(n));
        for _ in 0..1000 {
            let mut busy = false;
            for n in 0..self.nodes.len() {
                busy |= self.step(n, Fault::None, 7);
                prop_assert!(self.running() <= 1, "R1");
            }
            if busy {
                continue;
            }
            let live = || self.nodes.iter().filter(|n| !n.crashed);
            if live().all(|n| n.rig.output() == Output::Rest) {
                return Ok(());
            }
            let deadlines = live().filter_map(|n| n.rig.machine.deadline());
            let Some(next) = deadlines.map(Deadline::at).min() else {
                return Err(TestCaseError::fail(
                    "R2: all sleep, and nothing will wake them",
                ));
            };
            prop_assert!(self.value.is_none(), "R2: asleep beside a value");
            let step = next.since(self.now);
            let most = match self.lock {
                Some((_, until)) => until.since(self.now) + policy.takeover_jitter,
                None => policy.takeover_jitter,
            };
            prop_assert!(step <= most, "R2: asleep for {:?}", step);
            self.advance(step);
        }
        Err(TestCaseError::fail("R2: there is no end of it"))
    }
}

fn act() -> impl Strategy<Value = Act> {
    let fault = || {
        prop_oneof![
            6 => Just(Fault::None),
            1 => select(&[Fault::LostBefore, Fault::LostAfter, Fault::Refused]),
        ]
    };
    prop_oneof![
        60 => (0..4_usize, fault(), 0..8_usize).prop_map(|(n, f, end)| Act::Step(n, f, end)),
        6 => (0..7000_u64).prop_map(Act::Advance),
        2 => Just(Act::Invalidate),
        1 => (0..4_usize).prop_map(Act::Crash),
        1 => (0..4_usize).prop_map(Act::Abandon),
        2 => (0..4_usize).prop_map(Act::Gap),
        2 => (0..4_usize).prop_map(Act::Resume),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn r1_to_r5_hold_in_a_fleet_with_every_fault(
        count in 1..5_usize,
        acts in prop::collection::vec(act(), 0..120),
    ) {
        let mut fleet = Fleet::new(count);
        for act in acts {
            fleet.act(act);
            prop_assert!(fleet.running() <= 1, "R1");
        }
        fleet.settle()?;
        for node in fleet.nodes.iter().filter(|n| !n.crashed) {
            let outcome = node.rig.outcome();
            prop_assert!(outcome.is_some(), "R2");
            if node.computed {
                prop_assert!(matches!(outcome, Some(Outcome::Computed { .. })), "R3: {:?}", outcome);
            }
        }
        if let Some((token, _)) = fleet.lock {
            let owner = usize::try_from((draw(token) - 1) / DRAWS).unwrap();
            let excused = fleet.excused.contains(&token) || fleet.nodes[owner].crashed;
            prop_assert!(excused, "R5: a lock was left behind");
        }
    }

    #[test]
    fn r1_without_faults_a_herd_computes_once(
        count in 1..9_usize,
        order in prop::collection::vec(0..8_usize, 0..200),
    ) {
        let mut fleet = Fleet::new(count);
        for n in order {
            fleet.act(Act::Step(n, Fault::None, 7));
        }
        fleet.settle()?;
        prop_assert_eq!(fleet.computes, 1);
        prop_assert_eq!(fleet.now, Timestamp::ZERO, "nobody had to wait for a deadline");
    }
}
