//! One process's part of a herd: callers parked at a gate, let go together.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use memolock::codec::Text;
use memolock::core::Backend;
use memolock::{Error, Lease, Memolock};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use super::plan::Plan;
use super::tally::{ALONE, Share};
use crate::exit::Failure;

/// How long values are kept. Nobody asks for them after the herd, and the slowest caller comes long before.
const TTL: Duration = Duration::from_secs(60);

/// One process: its connection and its memolock.
pub(super) struct Attacker {
    plan: Plan,
    process: u32,
    backend: Arc<dyn Backend>,
    memolock: Memolock<String, Text>,
}

/// Callers at the gate.
pub(super) struct Parked {
    round: Arc<Round>,
    calls: Vec<JoinHandle<Call>>,
    gate: watch::Sender<Option<Instant>>,
    /// How many more are done, from time to time. It ends when all are.
    progress: mpsc::UnboundedReceiver<u32>,
}

/// Callers that are done.
pub(super) struct Charge {
    round: Arc<Round>,
    calls: Vec<JoinHandle<Call>>,
}

/// What the callers of one process and one round share.
struct Round {
    memolock: Memolock<String, Text>,
    process: u32,
    compute: Duration,
    ids: Vec<String>,
    /// How often each key was computed here.
    computes: Vec<AtomicU32>,
    done: AtomicU32,
    step: u32,
}

/// One caller.
struct Caller {
    round: Arc<Round>,
    key: u32,
    /// Dropped when it is done, also by a panic.
    said: mpsc::UnboundedSender<u32>,
}

/// What became of one caller.
struct Call {
    key: u32,
    latency: Duration,
    result: Result<Arc<String>, Error>,
}

impl Attacker {
    pub(super) async fn new(
        plan: Plan,
        process: u32,
        backend: Arc<dyn Backend>,
    ) -> Result<Self, Failure> {
        let memolock = Memolock::<String>::builder(&plan.tag, Arc::clone(&backend))
            .codec(Text)
            .ttl(TTL)
            .wait_timeout(plan.wait)
            .lease(plan.lease)
            .build()
            .await?;
        Ok(Self {
            plan,
            process,
            backend,
            memolock,
        })
    }

    /// Starts this process's callers; returns when every one of them is at the gate.
    pub(super) async fn park(&self, round: u32) -> Parked {
        let plan = &self.plan;
        let round = Arc::new(Round {
            memolock: self.memolock.clone(),
            process: self.process,
            compute: plan.compute,
            ids: (0..plan.keys).map(|key| plan.id(round, key)).collect(),
            computes: (0..plan.keys).map(|_| AtomicU32::new(0)).collect(),
            done: AtomicU32::new(0),
            step: plan.progress_step(),
        });
        let (gate, opened) = watch::channel(None);
        let (said, progress) = mpsc::unbounded_channel();
        let arrived = Arc::new(Semaphore::new(0));
        let tasks = plan.share(self.process);
        let count = tasks.end - tasks.start;
        let calls = tasks
            .map(|task| {
                let caller = Caller {
                    round: Arc::clone(&round),
                    key: plan.key_of(task),
                    said: said.clone(),
                };
                let (arrived, opened) = (Arc::clone(&arrived), opened.clone());
                tokio::spawn(async move {
                    arrived.add_permits(1);
                    caller.run(opened).await
                })
            })
            .collect();
        // The semaphore lives here, so it is never closed.
        let _ = arrived.acquire_many(count).await;
        Parked {
            round,
            calls,
            gate,
            progress,
        }
    }

    /// Closes the connection; returns the commands that were sent over it.
    pub(super) async fn end(&self) -> u64 {
        self.memolock.close().await;
        self.backend.close().await;
        self.memolock.stats().backend.commands
    }
}

impl Caller {
    async fn run(self, mut gate: watch::Receiver<Option<Instant>>) -> Call {
        let opened = gate.wait_for(Option::is_some).await.map(|at| *at);
        let result = self.call().await;
        // A gate that was dropped unopened means that the herd was called off.
        let latency = match opened {
            Ok(Some(at)) => at.elapsed(),
            _ => Duration::ZERO,
        };
        let done = self.round.done.fetch_add(1, Relaxed) + 1;
        if done.is_multiple_of(self.round.step) {
            // Nobody listens to a herd that was called off.
            let _ = self.said.send(self.round.step);
        }
        Call {
            key: self.key,
            latency,
            result,
        }
    }

    async fn call(&self) -> Result<Arc<String>, Error> {
        let round = &*self.round;
        let key = self.key as usize;
        let compute = |lease: Lease| async move {
            let before = round.computes[key].fetch_add(1, Relaxed);
            // Asked now: a lease that is lost later was one.
            let alone = if lease.is_held() { "" } else { ALONE };
            tokio::time::sleep(round.compute).await;
            let value = format!("{} {}.{before}{alone}", round.ids[key], round.process);
            Ok::<String, Infallible>(value)
        };
        round
            .memolock
            .get_or_compute(&round.ids[key], compute)
            .await
    }
}

impl Parked {
    /// Opens the gate; returns when every caller is done. `done` hears of progress.
    pub(super) async fn release(mut self, mut done: impl FnMut(u32)) -> Charge {
        self.gate.send_replace(Some(Instant::now()));
        while let Some(more) = self.progress.recv().await {
            done(more);
        }
        Charge {
            round: self.round,
            calls: self.calls,
        }
    }
}

impl Charge {
    /// Adds up what became of the callers.
    pub(super) async fn share(self) -> Share {
        let Round {
            memolock,
            ids,
            computes,
            ..
        } = &*self.round;
        let mut share = Share::new(computes.iter().map(|n| n.load(Relaxed)));
        for call in self.calls {
            match call.await {
                Ok(Call {
                    key,
                    latency,
                    result,
                }) => share.add(&ids[key as usize], key, latency, result),
                Err(error) => share.failed(&error, false),
            }
        }
        let stats = memolock.stats();
        share.commands = stats.backend.commands;
        share.degraded = stats.degraded;
        share
    }
}
