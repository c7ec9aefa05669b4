//! A server that hangs (SIGSTOP) while many call: what a call costs over its compute before the circuit breaker
//! is open, while it is, and after it has closed by itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use memolock::Memolock;
use memolock::codec::Text;
use memolock_testkit::TestServer;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::{Adapter, eventually};

/// What one compute takes; callers of different ids run side by side.
const COMPUTE: Duration = Duration::from_millis(5);

/// How the server and the breaker are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// All is well.
    Healthy,
    /// The server hangs, and calls find out.
    Hanging,
    /// The server hangs, and is not asked.
    Open,
    /// The server goes on, and the probe has not come back.
    Resumed,
    /// All is well again.
    Closed,
}

impl Phase {
    /// In order.
    pub const ALL: [Self; 5] = [
        Self::Healthy,
        Self::Hanging,
        Self::Open,
        Self::Resumed,
        Self::Closed,
    ];
}

/// What calls that began in one phase cost over their compute.
#[derive(Debug, Clone)]
pub struct Row {
    /// The adapter.
    pub adapter: Adapter,
    /// When they began.
    pub phase: Phase,
    /// How long the phase lasted.
    pub lasted: Duration,
    /// From the least to the greatest.
    pub over: Vec<Duration>,
    /// How many had no lease.
    pub degraded: u64,
    /// How many failed, which none shall.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Tally {
    over: Vec<Duration>,
    failed: u64,
}

struct Load {
    likes: Memolock<String, Text>,
    phase: AtomicU64,
    next: AtomicU64,
    over: AtomicBool,
}

/// Lets `callers` ask for fresh ids all the time, stops the server, and continues it. Each phase that has no
/// end of its own lasts for `phase`.
///
/// # Panics
/// If there is no server to be had, or the breaker does not open or close.
pub async fn measure(adapter: Adapter, callers: usize, phase: Duration) -> Vec<Row> {
    let server = TestServer::start_local()
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let likes =
        Memolock::<String>::builder("hang", adapter.connect_within(server.url(), None).await)
            .codec(Text)
            .build()
            .await
            .unwrap_or_else(|e| panic!("{e}"));
    let load = Arc::new(Load {
        likes,
        phase: AtomicU64::new(0),
        next: AtomicU64::new(0),
        over: AtomicBool::new(false),
    });
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        tasks.spawn(call(Arc::clone(&load)));
    }
    let mut stages = Stages::new(&load);
    sleep(phase).await;
    stages.next(Phase::Hanging);
    server.pause().await.unwrap_or_else(|e| panic!("{e}"));
    let open = || load.likes.stats().circuit_open;
    eventually("an open breaker", || async { open() }).await;
    stages.next(Phase::Open);
    sleep(phase).await;
    stages.next(Phase::Resumed);
    server.resume().await.unwrap_or_else(|e| panic!("{e}"));
    eventually("a closed breaker", || async { !open() }).await;
    stages.next(Phase::Closed);
    sleep(phase).await;
    load.over.store(true, Relaxed);
    let (lasted, degraded) = stages.end();
    let mut tallies = Phase::ALL.map(|_| Tally::default());
    for of_task in tasks.join_all().await {
        for (all, some) in tallies.iter_mut().zip(of_task) {
            all.over.extend(some.over);
            all.failed += some.failed;
        }
    }
    let rows = Phase::ALL.into_iter().zip(tallies).enumerate();
    rows.map(|(i, (phase, mut tally))| {
        tally.over.sort_unstable();
        Row {
            adapter,
            phase,
            lasted: lasted[i],
            over: tally.over,
            degraded: degraded[i],
            failed: tally.failed,
        }
    })
    .collect()
}

/// Calls for fresh ids until the end; a tally for each phase.
async fn call(load: Arc<Load>) -> [Tally; 5] {
    let mut tallies = Phase::ALL.map(|_| Tally::default());
    while !load.over.load(Relaxed) {
        let at = usize::try_from(load.phase.load(Relaxed)).unwrap_or(0);
        let tally = &mut tallies[at];
        let id = load.next.fetch_add(1, Relaxed).to_string();
        let computed = OnceLock::new();
        let began = Instant::now();
        let compute = |_| async {
            let began = Instant::now();
            sleep(COMPUTE).await;
            // Once: a call computes once.
            let _ = computed.set(began.elapsed());
            Ok::<_, String>(id.clone())
        };
        match load.likes.get_or_compute(&id, compute).await {
            Ok(value) if *value == id => tally.over.push(
                began
                    .elapsed()
                    .saturating_sub(computed.into_inner().unwrap_or_default()),
            ),
            _ => tally.failed += 1,
        }
    }
    tallies
}

/// The phases so far.
struct Stages<'a> {
    load: &'a Load,
    began: Instant,
    degraded: u64,
    done: Vec<(Duration, u64)>,
}

impl<'a> Stages<'a> {
    fn new(load: &'a Load) -> Self {
        Self {
            load,
            began: Instant::now(),
            degraded: 0,
            done: Vec::new(),
        }
    }

    fn next(&mut self, phase: Phase) {
        self.finish();
        let at = Phase::ALL.iter().position(|p| *p == phase).unwrap_or(0);
        self.load.phase.store(at as u64, Relaxed);
    }

    fn finish(&mut self) {
        let degraded = self.load.likes.stats().degraded;
        self.done
            .push((self.began.elapsed(), degraded - self.degraded));
        (self.began, self.degraded) = (Instant::now(), degraded);
    }

    fn end(mut self) -> (Vec<Duration>, Vec<u64>) {
        self.finish();
        self.done.into_iter().unzip()
    }
}

impl Row {
    /// The head of the table.
    pub const HEAD: &'static str = "adapter          server and breaker    lasted     calls   without a lease   failed   over the compute: p50       p99       max";

    /// The least of those that `part` of all do not exceed.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        let last = self.over.len().saturating_sub(1);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let at = (last as f64 * part).round() as usize;
        self.over.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.phase {
            Phase::Healthy => "well, closed",
            Phase::Hanging => "hangs, closed",
            Phase::Open => "hangs, open",
            Phase::Resumed => "goes on, open",
            Phase::Closed => "well, closed again",
        };
        let ms = |part| format!("{:.2} ms", self.quantile(part).as_secs_f64() * 1e3);
        write!(
            f,
            "{:<16} {what:<20} {:>5.2} s {:>9} {:>17} {:>8} {:>23} {:>9} {:>9}",
            self.adapter.to_string(),
            self.lasted.as_secs_f64(),
            self.over.len(),
            self.degraded,
            self.failed,
            ms(0.5),
            ms(0.99),
            ms(1.0)
        )
    }
}
