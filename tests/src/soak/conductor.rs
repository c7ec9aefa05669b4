//! The conductor: starts everybody, has them call and rest, has faults happen, and asks the checker.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use memolock_testkit::TestServer;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::checker::{Checker, Trouble};
use super::clock::now;
use super::faults::Schedule;
use super::fleet::{CONDUCTOR, FIRST_WORD, Fleet};
use super::merge::{Intake, Merge};
use super::report::{Report, Setting};
use super::strike;
use super::wire::{Fact, Order, Plant, Sample, What};
use crate::HANG;

/// How long callers call before anything else, so that everything that is opened once is open.
const WARM_UP: Duration = Duration::from_secs(3);
/// For how long everybody must be at rest before it counts.
const REST: Duration = Duration::from_millis(1_200);
/// How long a rest may take to come: the longest call, and clean-ups after an outage.
const TO_REST: Duration = Duration::from_secs(75);

/// What a soak is to be like.
#[derive(Debug, Clone)]
pub struct Terms {
    /// How long faults go on.
    pub lasts: Duration,
    /// For everything random.
    pub seed: u64,
    /// How many workers.
    pub processes: usize,
    /// Callers of each.
    pub callers: usize,
    /// A misbehaviour, to see that it is found.
    pub plant: Option<Plant>,
}

/// What faults are about.
pub(super) struct Stage {
    pub(super) server: TestServer,
    pub(super) fleet: Fleet,
    pub(super) recorder: Recorder,
    pub(super) callers: usize,
    checker: Arc<Mutex<Checker>>,
    /// What each worker held when it was warm and at rest: more it shall not hold at last.
    warm: OnceLock<Vec<Sample>>,
}

/// The conductor's own facts.
pub(super) struct Recorder(Mutex<UnboundedSender<Intake>>);

impl Recorder {
    pub(super) fn note(&self, what: What) {
        let intake = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = now();
        // As long as it notes, somebody takes in.
        let _ = intake.send(Intake::Fact(CONDUCTOR, Fact { at, what }));
    }
}

/// Conducts a soak to its end.
///
/// # Errors
/// If it could not be conducted. What was found is in the report.
pub async fn conduct(terms: Terms) -> Result<Report> {
    let (intake, coming) = unbounded_channel();
    let checker = Arc::new(Mutex::new(Checker::default()));
    let server = strike::server().await?;
    let url = strike::url(&server);
    let Terms { seed, plant, .. } = terms;
    intake.send(Intake::Enlisted(CONDUCTOR, now()))?;
    let stage = Arc::new(Stage {
        fleet: Fleet::new(url, seed, plant, terms.processes, intake.clone()),
        recorder: Recorder(Mutex::new(intake.clone())),
        server,
        callers: terms.callers,
        checker: Arc::clone(&checker),
        warm: OnceLock::new(),
    });
    let taking_in = tokio::spawn(take_in(coming, Arc::clone(&stage), seed));
    let clock = tokio::spawn({
        let stage = Arc::clone(&stage);
        async move {
            loop {
                stage.recorder.note(What::Alive { late: 0 });
                sleep(Duration::from_millis(50)).await;
            }
        }
    });
    let began = Instant::now();
    stage.begin().await?;
    let clients = stage.clients().await?;
    let interrupted = stage.soak(&terms).await?;
    let workers = stage.end(clients).await?;
    let lasted = began.elapsed();
    clock.abort();
    intake.send(Intake::Over(CONDUCTOR))?;
    timeout_join(taking_in).await?;
    let mut checker = lock(&checker);
    checker.finish();
    let setting = Setting {
        terms,
        workers,
        lasted,
        interrupted,
    };
    Ok(Report::of(&mut checker, &setting))
}

/// Puts facts in order and shows them to the checker, until there are no more. Asks other programs for values.
async fn take_in(mut coming: UnboundedReceiver<Intake>, stage: Arc<Stage>, seed: u64) {
    let mut merge = Merge::default();
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut sources = 0;
    while let Some(intake) = coming.recv().await {
        match &intake {
            Intake::Enlisted(..) => sources += 1,
            Intake::Over(_) => sources -= 1,
            Intake::Fact(_, fact) => {
                if let What::Triggered { key } = fact.what {
                    // Some programs never answer.
                    let after = Duration::from_millis(rng.u64(..400));
                    let slot = rng.usize(..stage.fleet.size());
                    if rng.u32(..10) > 0 {
                        let order = Order::Resolve { key, after };
                        // Nor do those that are dead.
                        let _ = stage.fleet.order(slot, &order).await;
                    }
                }
            }
        }
        merge.add(intake);
        let mut checker = lock(&stage.checker);
        while let Some((process, fact)) = merge.next_fact() {
            checker.observe(process, &fact);
        }
        if sources == 0 {
            return;
        }
    }
}

impl Stage {
    /// Everybody is started, warmed up and has rested.
    async fn begin(&self) -> Result<()> {
        for slot in 0..self.fleet.size() {
            let process = self.fleet.enlist(slot).await?;
            self.heard_of(process).await?;
        }
        let callers = self.callers;
        self.fleet.order_all(&Order::Go { callers }).await?;
        sleep(WARM_UP).await;
        if !self.rests().await? {
            bail!(
                "no rest before the first fault: {}",
                self.unrest().await.join("; ")
            );
        }
        let mut warm = Vec::new();
        for (_, process) in self.fleet.processes().await {
            let checker = self.checker();
            warm.extend(checker.holdings.held.get(&process).map(|held| held.last));
        }
        self.checker().holdings.begin();
        self.warm.set(warm).ok().context("it begins once")
    }

    /// Calls and faults, until the time is over or somebody wants it to be. Whether it was cut short.
    async fn soak(&self, terms: &Terms) -> Result<bool> {
        let callers = self.callers;
        self.fleet.order_all(&Order::Go { callers }).await?;
        let (stop, mut stopped) = watch::channel(false);
        let until = Instant::now() + terms.lasts;
        let left = || until.saturating_duration_since(Instant::now());
        let struck = async {
            for fault in Schedule::new(terms.seed, terms.lasts > Duration::from_secs(60)) {
                let last = fault.after + fault.lasts > left();
                let pause = if last { left() } else { fault.after };
                let _ = timeout(pause, stopped.wait_for(|stopped| *stopped)).await;
                if last || *stopped.borrow() {
                    break;
                }
                self.strike(fault).await?;
                self.muster(Some(callers)).await?;
            }
            anyhow::Ok(*stopped.borrow())
        };
        let interrupted = async {
            if tokio::signal::ctrl_c().await.is_ok() {
                eprintln!("interrupted: what there is comes in a moment");
                stop.send_replace(true);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            interrupted = struck => interrupted,
            () = self.tell_progress() => bail!("progress does not end"),
            () = interrupted => bail!("nor do interruptions"),
        }
    }

    /// Nobody calls any more: everything must be given back.
    async fn end(&self, clients: usize) -> Result<Vec<(usize, u32)>> {
        let rested = self.rests().await?;
        self.muster(None).await?;
        if !rested {
            for sentence in self.unrest().await {
                let mut checker = self.checker();
                checker.troubles.add(Trouble::Leak, || sentence);
            }
        }
        let channels = self.server.command(&["PUBSUB", "CHANNELS"]).await?;
        let channels = channels.items().len();
        let now = self.clients().await?;
        let spare: usize = (0..self.fleet.size()).map(Fleet::spare).sum();
        let clients = clients + spare;
        let leaks = [
            (channels, 0, "channels are subscribed to"),
            (now, clients, "connections"),
        ];
        for (held, before, what) in leaks {
            if held > before {
                let mut checker = self.checker();
                checker.troubles.add(Trouble::Leak, || {
                    format!("R9: {held} {what}, says the server, where {before} were enough")
                });
            }
        }
        let workers = self.fleet.processes().await;
        self.fleet.dismiss().await?;
        Ok(workers)
    }

    /// Waits until a new worker has said something.
    pub(super) async fn heard_of(&self, process: u32) -> Result<()> {
        let deadline = Instant::now() + FIRST_WORD;
        while !self.checker().holdings.held.contains_key(&process) {
            if Instant::now() > deadline {
                bail!("worker {process} says nothing");
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Has callers end their calls, and waits until nothing is left of them. Whether that came.
    async fn rests(&self) -> Result<bool> {
        self.fleet.order_all(&Order::Rest).await?;
        let deadline = Instant::now() + TO_REST;
        let mut since = None;
        while Instant::now() < deadline {
            if self.unrest().await.is_empty() {
                let since = *since.get_or_insert_with(Instant::now);
                if since.elapsed() > REST {
                    return Ok(true);
                }
            } else {
                since = None;
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(false)
    }

    /// What is left, where there should be nothing.
    async fn unrest(&self) -> Vec<String> {
        let processes = self.fleet.processes().await;
        let checker = self.checker();
        let held = &checker.holdings.held;
        let mut unrest = Vec::new();
        for (slot, process) in processes {
            let adapter = Fleet::adapter(slot);
            let Some(of) = held.get(&process) else {
                unrest.push(format!("worker {process} says nothing"));
                continue;
            };
            let warm = self.warm.get().and_then(|warm| warm.get(slot));
            let mut baseline = warm.copied().unwrap_or(of.last);
            // A connection is a file and a task.
            let spare = Fleet::spare(slot) as u64;
            baseline.files += spare;
            baseline.tasks += spare;
            let left = of.left_behind(&baseline).into_iter();
            unrest.extend(left.map(|left| format!("R9: worker {process} ({adapter}): {left}")));
        }
        unrest
    }

    /// Those that ended by themselves are replaced, and it is told.
    async fn muster(&self, callers: Option<usize>) -> Result<()> {
        for (slot, process, status) in self.fleet.deserters().await {
            self.checker().troubles.add(Trouble::Death, || {
                format!("worker {process} ended by itself: {status}")
            });
            self.recorder.note(What::Died { process });
            let process = self.fleet.enlist(slot).await?;
            self.heard_of(process).await?;
            if let Some(callers) = callers {
                self.fleet.order(slot, &Order::Go { callers }).await?;
            }
        }
        Ok(())
    }

    /// Connections of workers, as the server sees them.
    async fn clients(&self) -> Result<usize> {
        let list = self.server.command(&["CLIENT", "LIST"]).await?;
        let list = list.as_str().context("CLIENT LIST is text")?;
        let user = format!("user={}", strike::USER);
        Ok(list.lines().filter(|line| line.contains(&user)).count())
    }

    /// A line a minute, for ever.
    async fn tell_progress(&self) {
        let began = Instant::now();
        loop {
            sleep(Duration::from_secs(60)).await;
            let minutes = began.elapsed().as_secs() / 60;
            let checker = self.checker();
            let calls: u64 = checker.counts.calls.values().sum();
            let (computes, values) = (checker.counts.computes, checker.counts.values);
            let troubles = &checker.troubles.sentences;
            eprintln!(
                "{minutes} min: {calls} calls, {computes} computes, {values} values, {} troubles{}",
                troubles.len(),
                troubles
                    .last()
                    .map_or_else(String::new, |last| format!("; the last: {last}"))
            );
        }
    }

    fn checker(&self) -> MutexGuard<'_, Checker> {
        lock(&self.checker)
    }
}

async fn timeout_join(task: tokio::task::JoinHandle<()>) -> Result<()> {
    let joined = timeout(HANG, task).await;
    Ok(joined.context("facts do not end")??)
}

fn lock(checker: &Mutex<Checker>) -> MutexGuard<'_, Checker> {
    checker.lock().unwrap_or_else(PoisonError::into_inner)
}
