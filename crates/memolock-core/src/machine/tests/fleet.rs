//! A fleet at one store: random schedules with lost replies, crashes, gaps and invalidations, and
//! then a fair end in which everybody must get an outcome.

mod store;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;

use super::fixture::{Rig, TTL, draw, input};
use crate::{
    Acquired, Completion, Deadline, Event, Input, Mode, Outcome, Output, Policy, Remaining,
    Timestamp, Token,
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
    /// A node's subscription ends, although the store is not closed.
    CutOff(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The command never reached the store.
    LostBefore,
    /// It did, and the reply was lost.
    LostAfter,
    Refused,
    /// Refused for want of memory.
    Full,
    /// A proxy answered with an error of its own, before the store took the command, or after.
    UnknownBefore,
    UnknownAfter,
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
    /// Until when it knows somebody else to hold the lease.
    rival: Option<Timestamp>,
    /// Its last command failed.
    failed: bool,
}

impl Node {
    /// Takes what came of its output, and looks at what it makes of that.
    fn take(&mut self, input: Input) {
        let now = self.rig.now;
        match &input {
            Input::Acquired(Ok(Acquired::Held(Remaining::Expires(left)))) => {
                self.rival = Some(now.after(*left));
            }
            // The rival has given up.
            Input::Heard(Event::Message(_)) => self.rival = None,
            _ => {}
        }
        match &input {
            Input::Probed(Err(_))
            | Input::Acquired(Err(_))
            | Input::Subscribed(Err(_))
            | Input::Fulfilled(Err(_))
            | Input::Released(Err(_))
            | Input::Silenced(_) => self.failed = true,
            Input::Acquired(Ok(_)) => self.failed = false,
            _ => {}
        }
        let before = self.rig.output();
        self.rig.feed(input);
        let after = self.rig.output();
        if after == (Output::Compute { lease: None }) && before != after {
            // Every fault here is one that passes, so an outage is no reason while a rival is at it.
            let alive = self.rival.is_some_and(|until| now < until);
            assert!(!alive, "R1: computing beside a rival");
        }
    }
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
            rival: None,
            failed: false,
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
            Output::Pause => match self.nodes[n].rig.machine.deadline() {
                Some(deadline) if deadline.at() <= self.now => Input::Elapsed,
                _ => return false,
            },
            Output::Compute { .. } => match self.nodes[n].compute.take() {
                Some(number) => Input::Computed(self.completion(n, number, end)),
                None => {
                    self.computes += 1;
                    self.nodes[n].compute = Some(self.computes);
                    return true;
                }
            },
            Output::Fulfil { token, value, .. } => {
                self.excuse_a_last_try(token, fault);
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
        self.nodes[n].take(input);
        true
    }

    /// There is no time for another try when a fulfil fails shortly before the lock expires: it is left to do so.
    fn excuse_a_last_try(&mut self, token: Token, fault: Fault) {
        let first = match fault {
            Fault::None | Fault::Full => return,
            Fault::UnknownBefore | Fault::UnknownAfter => Policy::default().unrecognized_pause,
            _ => Policy::default().outage_pause,
        };
        let last = |until: Timestamp| until.since(self.now) < first * 2;
        if self.lock.as_ref().is_some_and(|(_, until)| last(*until)) {
            self.excused.insert(token);
        }
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

    fn cut_off(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        if node.crashed || node.rig.output() != Output::Listen {
            return;
        }
        (node.listening, node.deaf) = (false, false);
        node.mail.clear();
        node.rig.now = self.now;
        node.take(input("cut-off"));
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
            Act::CutOff(n) => self.cut_off(n % count),
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
            // Until the lock is free, a little later, or, after a try that failed, for one pause.
            let free = self.lock.map_or(self.now, |(_, until)| until);
            let mut next = None;
            for node in live().filter(|n| n.rig.output() != Output::Rest) {
                let Some(at) = node.rig.machine.deadline().map(Deadline::at) else {
                    return Err(TestCaseError::fail("R2: asleep, and nothing will wake it"));
                };
                // Clean-up backs off, and callers have their outcome by then.
                let most = match node.rig.outcome() {
                    Some(_) => policy.unrecognized_pause * 5,
                    None => policy.unrecognized_pause,
                };
                let paused = node.failed && at <= self.now.after(most);
                let waits = self.value.is_none() && at <= free.after(policy.takeover_jitter);
                prop_assert!(paused || waits, "R2: asleep for {:?}", at.since(self.now));
                next = next.into_iter().chain([at]).min();
            }
            self.advance(next.map_or(Duration::ZERO, |at| at.since(self.now)));
        }
        Err(TestCaseError::fail("R2: there is no end of it"))
    }
}

fn act() -> impl Strategy<Value = Act> {
    let fault = || {
        prop_oneof![
            6 => Just(Fault::None),
            1 => select(&[
                Fault::LostBefore,
                Fault::LostAfter,
                Fault::Refused,
                Fault::Full,
                Fault::UnknownBefore,
                Fault::UnknownAfter,
            ]),
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
        1 => (0..4_usize).prop_map(Act::CutOff),
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
