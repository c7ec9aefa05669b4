//! A worker: a process of its own with its connections, its memolocks and many callers.

use std::io::{stdin, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result};
use memolock::codec::Text;
use memolock::{Backend, FailurePolicy, Memolock, OutagePolicy};
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::clock::{micros, now};
use super::compute::PLANNED;
use super::recorder::Recorder;
use super::wire::{Enlisted, Order, Sample, What};
use crate::Adapter;

/// Short, so that computes outlive it and crashes cost little of the soak's time.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// Half of the default: a call that is at a command when its time is up may end by so much later.
pub(crate) const COMMAND_TIMEOUT: Duration = Duration::from_millis(500);
/// For calls that do not say.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(3);
/// The ticker's step; being late by less is a timer's nature.
const STEP: Duration = Duration::from_millis(20);
const UNREMARKABLE: Duration = Duration::from_millis(10);
/// How often the conductor hears that time goes on, in steps.
const STEPS_A_WORD: u32 = 4;
/// How often a worker counts what it holds.
const SAMPLES: Duration = Duration::from_millis(500);

/// What callers share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(super) me: Enlisted,
    pub(super) recorder: Recorder,
    pub(super) going: watch::Sender<bool>,
    backend: Arc<dyn Backend>,
    memos: [Memolock<String, Text>; 2],
    numbers: AtomicU64,
    nonces: std::sync::Mutex<fastrand::Rng>,
}

/// What a worker process does, until it is told to leave or its conductor is gone.
///
/// # Errors
/// If it cannot begin.
pub async fn work(enlisted: &str) -> Result<()> {
    // Even a stopped one must not outlive its conductor.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let me: Enlisted = serde_json::from_str(enlisted).context("what it is enlisted for")?;
    let mut orders = orders();
    let worker = Arc::new(Worker::new(me).await?);
    worker.watch_panics();
    worker.recorder.note(What::Hello);
    tokio::spawn(Arc::clone(&worker).tick());
    tokio::spawn(Arc::clone(&worker).count());
    let mut callers = JoinSet::new();
    while let Some(order) = orders.recv().await {
        let worker = Arc::clone(&worker);
        match order {
            Order::Go { callers: number } => {
                worker.going.send_replace(true);
                for _ in 0..number {
                    let seed = worker.nonce();
                    callers.spawn(Arc::clone(&worker).call_on(seed));
                }
            }
            Order::Rest => {
                worker.going.send_replace(false);
                while callers.join_next().await.is_some() {}
            }
            Order::Resolve { key, after } => drop(tokio::spawn(worker.resolve(key, after))),
            Order::Herd { key, size } => {
                for _ in 0..3 {
                    tokio::spawn(Arc::clone(&worker).ask_for_much(key, size));
                }
            }
            Order::Leave => {
                // Its last word; whatever it said before is in the pipe then.
                worker.recorder.deliver(What::Sample(worker.sample())).await;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Orders, from a thread that reads them.
fn orders() -> mpsc::UnboundedReceiver<Order> {
    let (tell, orders) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in stdin().lines().map_while(Result::ok) {
            let order = serde_json::from_str(&line).expect("the conductor speaks plainly");
            let _ = tell.send(order);
        }
    });
    orders
}

impl Worker {
    async fn new(me: Enlisted) -> Result<Self> {
        let adapter = Adapter::named(&me.adapter).context("the name of an adapter")?;
        // In the background: it may be enlisted while the server is away.
        let backend = adapter.connect_lazy(&me.url, COMMAND_TIMEOUT)?;
        let builder = |tag| {
            let builder = Memolock::<String>::builder(tag, Arc::clone(&backend));
            let builder = builder.codec(Text).lease(LEASE);
            builder.wait_timeout(WAIT_TIMEOUT)
        };
        let share = FailurePolicy::Share;
        let strict = builder("strict").on_outage(OutagePolicy::Fail);
        let memos = [
            builder("soak").build().await?,
            strict.on_remote_failure(share).build().await?,
        ];
        let nonces = std::sync::Mutex::new(fastrand::Rng::with_seed(me.seed));
        Ok(Self {
            me,
            recorder: Recorder::to(stdout()),
            going: watch::Sender::new(false),
            backend,
            memos,
            numbers: AtomicU64::new(1),
            nonces,
        })
    }

    /// Most keys belong to the memolock with the default policies, some to the one with the others.
    pub(super) fn memos(&self, key: u32) -> &Memolock<String, Text> {
        &self.memos[usize::from(key % 4 == 3)]
    }

    /// The next number of a value.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed)
    }

    /// Something random.
    pub(super) fn nonce(&self) -> u64 {
        let nonces = self.nonces.lock();
        nonces
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .u64(..)
    }

    /// Tells how late the runtime is: how far a machine without time for us is to blame for slowness.
    async fn tick(self: Arc<Self>) {
        loop {
            let mut late = 0;
            for _ in 0..STEPS_A_WORD {
                let due = now() + micros(STEP);
                sleep(STEP).await;
                let by = now().saturating_sub(due);
                late += if by > micros(UNREMARKABLE) { by } else { 0 };
            }
            self.recorder.note(What::Alive { late });
        }
    }

    async fn count(self: Arc<Self>) {
        loop {
            sleep(SAMPLES).await;
            self.recorder.note(What::Sample(self.sample()));
        }
    }

    fn sample(&self) -> Sample {
        let mut sample = Sample {
            callers: u64::try_from(self.going.receiver_count()).unwrap_or(u64::MAX),
            subscriptions: self.backend.stats().subscriptions,
            tasks: Handle::current().metrics().num_alive_tasks() as u64,
            files: std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
            rss_kib: rss_kib().unwrap_or_default(),
            ..Sample::default()
        };
        for memos in &self.memos {
            let held = memos.in_flight();
            sample.flights += held.flights as u64;
            sample.leases += held.leases as u64;
            sample.tracked += held.tasks as u64;
        }
        sample
    }

    /// Panics that were not planned are told, planned ones are not shown.
    fn watch_panics(self: &Arc<Self>) {
        let (worker, shown) = (Arc::downgrade(self), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload().downcast_ref() == Some(&PLANNED) {
                return;
            }
            if let Some(worker) = worker.upgrade() {
                let message = panic.to_string().replace('\n', " ");
                worker.recorder.note(What::Panicked { message });
            }
            shown(panic);
        }));
    }
}

/// `VmRSS` of this process.
fn rss_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
