//! Cancellation as a matrix: the phase that a flight is in x whether its command takes effect x what becomes of
//! the key meanwhile x who is dropped. In every cell whoever is left gets an answer, nothing of the flight
//! is left (R5, R9), computes of one process do not overlap (R1), and the key works again.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod phase;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{Fault, SECOND, Spy, builder, key, locked, process, settle, value};
use memolock::core::{Backend, ErrorKind, Operation, PutMode, Token};
use memolock::{Error, Memo, Memolock};
use phase::Phase::*;
use phase::{DROPPED, Dropped, Meanwhile, PHASES, Phase};
use tokio::sync::watch;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{sleep, timeout};

#[tokio::test(start_paused = true)]
async fn whoever_is_dropped_at_whatever_point_leaves_nothing_behind() {
    let mut cells = 0;
    for phase in PHASES {
        let effects: &[bool] = match phase.command() {
            Some(_) => &[false, true],
            None => &[true],
        };
        for &effect in effects {
            for meanwhile in [Meanwhile::Nothing, Meanwhile::Put, Meanwhile::Invalidated] {
                for dropped in DROPPED {
                    Cell::new(phase, effect, meanwhile, dropped)
                        .await
                        .play()
                        .await;
                    cells += 1;
                }
            }
        }
    }
    println!("{cells} cells");
    assert_eq!(cells, 360);
}

type Call = JoinHandle<Result<Memo<String>, Error>>;

struct Cell {
    name: String,
    phase: Phase,
    effect: bool,
    meanwhile: Meanwhile,
    dropped: Dropped,
    spy: Spy,
    here: Memolock<String>,
    /// Computes and triggers go on when it is open.
    gate: watch::Sender<bool>,
    begun: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
}

impl Cell {
    async fn new(phase: Phase, effect: bool, meanwhile: Meanwhile, dropped: Dropped) -> Self {
        let spy = Spy::new();
        let here = builder(&spy).local_computes(1).build().await.unwrap();
        let shut = matches!(phase, Computing | Triggering);
        Self {
            name: format!("{phase:?}, effect {effect}, {meanwhile:?}, {dropped:?} dropped"),
            gate: watch::Sender::new(!shut),
            begun: Arc::default(),
            running: Arc::default(),
            phase,
            effect,
            meanwhile,
            dropped,
            spy,
            here,
        }
    }

    async fn play(self) {
        let occupant = self.set().await;
        let leader = self.call("leader's", self.dropped == Dropped::Detached);
        self.reached(&leader).await;
        let joiner = match self.dropped {
            Dropped::LeaderOfJoiner | Dropped::Joiner | Dropped::Both => {
                let joined = self.here.stats().joins + 1;
                let joiner = self.call("joiner's", false);
                settle("joined", || self.here.stats().joins == joined).await;
                Some(joiner)
            }
            _ => None,
        };
        let key = key(&self.here, "kristoff");
        let store = self.spy.store();
        let put = |text: &'static str, mode| store.put(&key, json(text), 60 * SECOND, mode);
        match self.meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Put => put("put", PutMode::Override).await.unwrap(),
            Meanwhile::Invalidated => store.invalidate(&key).await.unwrap(),
        }
        let left = self.strike(leader, joiner).await;
        self.spy.break_with(None);
        self.gate.send_replace(true);
        if self.phase.is_external() {
            // The program had been started, and does its work.
            yield_now().await;
            put("external", PutMode::Resolve).await.unwrap();
        }
        for call in left {
            self.judge(call).await;
        }
        if let Some(occupant) = occupant {
            self.judge(occupant).await;
        }
        self.ended().await;
        // A rival's lease, and that of a program that may still be at it, are left to expire.
        if self.phase.has_rival() || self.phase.is_external() {
            sleep(10 * SECOND).await;
        }
        assert!(
            !locked(&self.spy, &self.here, "kristoff").await,
            "{}: a lock is left",
            self.name
        );
        let after = process(&self.spy).await;
        let works = after.get_or_compute("kristoff", |_| value("after")).await;
        works.unwrap_or_else(|e| panic!("{}: {e}", self.name));
    }

    /// Sets the stage; somebody has the only place for local computes if the leader is to queue.
    async fn set(&self) -> Option<Call> {
        let fault = Fault::TimesOut {
            effect: self.effect,
        };
        if self.phase.has_rival() {
            let (key, rival) = (key(&self.here, "kristoff"), Token::from_bits(7));
            self.spy
                .store()
                .acquire(&key, rival, 2 * SECOND)
                .await
                .unwrap();
        }
        match self.phase {
            Rechecking => {
                self.spy
                    .tamper(Operation::Acquire, Fault::Late(Duration::ZERO));
                self.spy.tamper(Operation::Acquire, fault);
            }
            Pausing => {
                for _ in 0..2 {
                    let down = Fault::Fails(ErrorKind::Unavailable);
                    self.spy.tamper(Operation::Subscribe, down);
                }
            }
            Queueing => {
                self.spy.break_with(Some(ErrorKind::Unavailable));
                let (here, mut gate) = (self.here.clone(), self.gate.subscribe());
                self.gate.send_replace(false);
                let occupant = tokio::spawn(async move {
                    let compute = |_| async move {
                        gate.wait_for(|open| *open).await.unwrap();
                        value("occupant's").await
                    };
                    here.entry("occupant").or_compute(compute).await
                });
                settle("the place is taken", || self.here.stats().degraded == 1).await;
                return Some(occupant);
            }
            // After it attends.
            Verifying => {}
            _ => {
                if let Some(command) = self.phase.command() {
                    self.spy.tamper(command, fault);
                }
            }
        }
        None
    }

    /// Waits until the leader is there.
    async fn reached(&self, leader: &Call) {
        let spy = &self.spy;
        match self.phase {
            Waiting => spy.called(Operation::Acquire, 2).await,
            Rechecking => spy.called(Operation::Acquire, 2).await,
            Pausing => spy.called(Operation::Subscribe, 2).await,
            Queueing => spy.called(Operation::Get, 4).await,
            Computing | Triggering | Attending | Verifying => {
                settle("begun", || self.begun.load(SeqCst) == 1).await;
            }
            _ => {
                let command = self.phase.command().unwrap();
                spy.called(command, 1).await;
            }
        }
        if self.phase == Verifying {
            quiet().await;
            let acquires = spy.count(Operation::Acquire);
            let fault = Fault::TimesOut {
                effect: self.effect,
            };
            spy.cut(true);
            quiet().await;
            spy.tamper(Operation::Acquire, fault);
            spy.cut(false);
            spy.called(Operation::Acquire, acquires + 1).await;
        }
        // Without time going on, into the sleep that it is about.
        quiet().await;
        assert!(!leader.is_finished(), "{}: it is over", self.name);
    }

    /// Drops who is to be dropped; the calls that are left.
    async fn strike(&self, leader: Call, joiner: Option<Call>) -> Vec<Call> {
        let drops_leader = !matches!(self.dropped, Dropped::Joiner | Dropped::Closed);
        let drops_joiner = matches!(self.dropped, Dropped::Joiner | Dropped::Both);
        let mut left = Vec::new();
        let calls = [(Some(leader), drops_leader), (joiner, drops_joiner)];
        for (call, drops) in calls {
            match call {
                Some(call) if drops => call.abort(),
                Some(call) => left.push(call),
                None => {}
            }
        }
        if self.dropped == Dropped::Closed {
            let closed = timeout(60 * SECOND, self.here.close()).await;
            closed.unwrap_or_else(|_| panic!("{}: it does not close", self.name));
        }
        left
    }

    /// What a call that was not dropped gets.
    async fn judge(&self, call: Call) {
        let name = &self.name;
        let end = timeout(300 * SECOND, call).await;
        let end = end.unwrap_or_else(|_| panic!("{name}: it never ends"));
        match end.unwrap() {
            Ok(memo) => {
                let known = ["leader's", "joiner's", "occupant's", "put", "external"];
                assert!(known.contains(&memo.as_str()), "{name}: {}", *memo);
            }
            Err(Error::Compute(error)) => {
                assert_eq!(
                    (self.phase, error.to_string().as_str()),
                    (Releasing, "no luck"),
                    "{name}"
                );
            }
            Err(Error::Closed) => assert_eq!(self.dropped, Dropped::Closed, "{name}"),
            Err(error) => panic!("{name}: {error}"),
        }
    }

    /// R9: what goes on without a caller ends, too.
    async fn ended(&self) {
        for _ in 0..600 {
            let left = self.here.in_flight();
            let listens = self.spy.stats().subscriptions;
            if (left.flights, left.leases, left.tasks, listens) == (0, 0, 0, 0) {
                return;
            }
            sleep(SECOND / 10).await;
        }
        panic!("{}: {:?} is left", self.name, self.here.in_flight());
    }

    fn call(&self, text: &'static str, detached: bool) -> Call {
        let here = self.here.clone();
        let fails = self.phase == Releasing && text == "leader's";
        let (begun, running) = (Arc::clone(&self.begun), Arc::clone(&self.running));
        let (gate, name) = (self.gate.subscribe(), self.name.clone());
        let work = async move || {
            begun.fetch_add(1, SeqCst);
            let alone = Running::new(&running);
            assert!(alone.is_some(), "{name}: computes overlap");
            gate.clone().wait_for(|open| *open).await.unwrap();
        };
        if self.phase.is_external() {
            let trigger = move || {
                let work = work.clone();
                async move {
                    work().await;
                    Ok::<_, String>(())
                }
            };
            return tokio::spawn(async move {
                match detached {
                    true => here.entry("kristoff").detach().or_external(trigger).await,
                    false => here.entry("kristoff").or_external(trigger).await,
                }
            });
        }
        let compute = move |_| async move {
            work().await;
            match fails {
                true => Err("no luck".to_owned()),
                false => Ok(text.to_owned()),
            }
        };
        tokio::spawn(async move {
            match detached {
                true => here.entry("kristoff").detach().or_compute(compute).await,
                false => here.entry("kristoff").or_compute(compute).await,
            }
        })
    }
}

/// One compute at a time, while it lives.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(running: &Arc<AtomicUsize>) -> Option<Self> {
        let alone = running.fetch_add(1, SeqCst) == 0;
        let this = Self(Arc::clone(running));
        alone.then_some(this)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

fn json(text: &str) -> bytes::Bytes {
    format!("{text:?}").into()
}

/// Lets everything run that can run at this moment.
async fn quiet() {
    for _ in 0..50 {
        yield_now().await;
    }
}
