//! Callers who never stop asking, and what they saw.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memolock::{Error, Source};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::{HANG, Ours};

/// What a compute takes.
const COMPUTE: Duration = Duration::from_millis(5);

/// Between two calls of one caller, so that callers are not the load.
const PACE: Duration = Duration::from_millis(5);

/// What a call saw.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Saw {
    /// A stored value.
    Hit,
    /// Its own value, which was stored.
    Stored,
    /// Its own value, which could not be stored.
    Unstored,
    /// Its own value, made without a lease.
    Degraded,
    /// Somebody else's.
    Awaited,
    /// An error, of this kind.
    Failed(String),
    /// A value that is not of this id, or never was: there must be none.
    Wrong(String),
    /// No end within [`HANG`]: there must be none.
    Hung,
}

/// A call.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// By how much it took longer than its compute.
    pub(super) over: Duration,
    pub(super) saw: Saw,
}

/// Which ids a caller asks for.
pub(super) enum Ids {
    /// Another each time, with this prefix.
    Fresh(String),
    /// The same each time.
    One(String),
}

/// A caller in a task of its own.
pub(super) struct Caller {
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Caller {
    /// Starts to ask. `ours` is the caller's alone, so that its counters tell what became of each value.
    pub(super) fn start(ours: Ours, ids: Ids) -> Self {
        let (seen, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let asker = Asker {
            ours,
            ids,
            seen: Arc::clone(&seen),
            stop: Arc::clone(&stop),
        };
        let task = tokio::spawn(asker.ask_on());
        Self { seen, stop, task }
    }

    /// Whether there was such a call since `begin`.
    pub(super) fn has(&self, begin: Instant, saw: &Saw) -> Option<Instant> {
        let seen = lock(&self.seen);
        let mut found = seen.iter().filter(|s| s.began >= begin && s.saw == *saw);
        found.next().map(|s| s.ended)
    }

    /// Ends it, and says what it has seen.
    pub(super) async fn stop(self) -> Vec<Seen> {
        self.stop.store(true, SeqCst);
        let ended = timeout(2 * HANG, self.task).await;
        let ended = ended.expect("each of its calls is bounded");
        ended.unwrap_or_else(|e| panic!("a caller: {e}"));
        std::mem::take(&mut *lock(&self.seen))
    }
}

/// Calls by what they saw, for the table.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<Saw, u32>);

impl Tally {
    pub(super) fn add(&mut self, saw: &Saw) {
        *self.0.entry(saw.clone()).or_default() += 1;
    }

    pub(super) fn of(&self, saw: &Saw) -> u32 {
        self.0.get(saw).copied().unwrap_or(0)
    }

    /// What no call may see.
    pub(super) fn faults(&self) -> impl Iterator<Item = &Saw> {
        let bad = |saw: &&Saw| matches!(saw, Saw::Failed(_) | Saw::Wrong(_) | Saw::Hung);
        self.0.keys().filter(bad)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for (saw, count) in &self.0 {
            match saw {
                Saw::Failed(kind) => write!(f, "{before}{count} errors ({kind})")?,
                Saw::Wrong(value) => write!(f, "{before}{count} WRONG ({value})")?,
                Saw::Hung => write!(f, "{before}{count} HUNG")?,
                Saw::Hit if *count == 1 => write!(f, "{before}1 hit")?,
                Saw::Hit => write!(f, "{before}{count} hits")?,
                saw => write!(f, "{before}{count} {}", format!("{saw:?}").to_lowercase())?,
            }
            before = ", ";
        }
        Ok(())
    }
}

struct Asker {
    ours: Ours,
    ids: Ids,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
}

impl Asker {
    async fn ask_on(self) {
        for n in 0_u64.. {
            if self.stop.load(SeqCst) {
                return;
            }
            let (id, maker) = match &self.ids {
                Ids::Fresh(prefix) => (format!("{prefix}-{n}"), format!("caller {n}")),
                Ids::One(id) => (id.clone(), format!("caller {n}")),
            };
            let began = Instant::now();
            let (saw, computed) = self.ask(&id, &maker, n).await;
            let ended = Instant::now();
            let seen = Seen {
                began,
                ended,
                over: (ended - began).saturating_sub(computed),
                saw,
            };
            lock(&self.seen).push(seen);
            sleep(PACE).await;
        }
    }

    /// Asks once: what it saw, and how long it computed.
    async fn ask(&self, id: &str, maker: &str, n: u64) -> (Saw, Duration) {
        let likes = &self.ours.likes;
        let (own, before) = (value(id, maker), likes.stats());
        let computed = Mutex::new(Duration::ZERO);
        let compute = |_| async {
            let began = Instant::now();
            sleep(COMPUTE).await;
            *lock(&computed) = began.elapsed();
            Ok::<_, String>(own.clone())
        };
        let called = timeout(HANG, likes.entry(id).or_compute(compute)).await;
        let after = likes.stats();
        let saw = match called {
            Err(_) => Saw::Hung,
            Ok(Err(error)) => Saw::Failed(kind(&error)),
            Ok(Ok(got)) => match got.source() {
                Source::Computed if *got != own => Saw::Wrong(got.to_string()),
                _ if !is_known(&got, id, n) => Saw::Wrong(got.to_string()),
                Source::Computed if after.degraded > before.degraded => Saw::Degraded,
                Source::Computed if after.unstored > before.unstored => Saw::Unstored,
                Source::Computed => Saw::Stored,
                Source::Hit => Saw::Hit,
                _ => Saw::Awaited,
            },
        };
        let computed = *lock(&computed);
        (saw, computed)
    }
}

/// The value of `id` as `maker` makes it.
pub(super) fn value(id: &str, maker: &str) -> String {
    format!("{id} by {maker}")
}

/// Whether this caller, or who prepared the stage, can have made such a value by its `n`th call.
fn is_known(got: &str, id: &str, n: u64) -> bool {
    let maker = got
        .strip_prefix(id)
        .and_then(|rest| rest.strip_prefix(" by "));
    maker.is_some_and(|maker| match maker.strip_prefix("caller ") {
        Some(nth) => nth.parse::<u64>().is_ok_and(|nth| nth <= n),
        None => maker == "put",
    })
}

fn kind(error: &Error) -> String {
    match error {
        Error::Backend(error) => format!("{:?}", error.kind()),
        Error::Timeout { phase, .. } => format!("timeout while {phase}"),
        other => other.to_string(),
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
