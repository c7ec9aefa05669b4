//! What waiters weigh: the callers of one key, or of many, asleep on another holder's promise.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use memolock::codec::Text;
use memolock::core::Token;
use memolock::{Backend, Memolock};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::adapter::Adapter;
use crate::copies;

/// What the waiters wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// All for one key, which one caller of the process computes.
    OneKey,
    /// Each for a key of its own, whose lease somebody else has.
    ManyKeys,
    /// Nobody waits: as many copies in a near cache.
    NearCopies,
}

/// Bytes, for all waiters together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// Allocated more than before they came, and not freed.
    pub allocated: i64,
    /// Resident more than before they came.
    pub resident: i64,
    /// Allocated by as many tasks that wait for nothing but a [`Notify`]: what a runtime wants for a task. Of
    /// copies, by their values alone.
    pub bare: i64,
}

/// Reads the meters: bytes allocated and not freed.
pub type Meter = fn() -> i64;

const TAG: &str = "weight";

/// Callers that come at once.
const WAVE: usize = 1_000;

impl Load {
    /// As the command line has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OneKey => "one-key",
            Self::ManyKeys => "many-keys",
            Self::NearCopies => "near-copies",
        }
    }

    /// The load of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::OneKey, Self::ManyKeys, Self::NearCopies]
            .into_iter()
            .find(|load| load.name() == name)
    }
}

/// Has so many callers wait, and reads the meters before and after.
///
/// # Errors
/// If the server fails, or they do not come to wait.
pub async fn weigh(load: Load, waiters: u32, url: &str, meter: Meter) -> Result<Weight> {
    if load == Load::NearCopies {
        return copies::weigh(waiters, url, meter).await;
    }
    let bare = bare(waiters, meter).await;
    let backend = Adapter::RedisRs.connect(url).await?;
    let builder = Memolock::<String>::builder(TAG, Arc::clone(&backend));
    let memolock = builder
        .codec(Text)
        .wait_timeout(Duration::from_secs(600))
        .build()
        .await?;
    let ids: Vec<String> = match load {
        Load::OneKey => vec!["the-one".to_owned()],
        _ => (0..waiters).map(|key| format!("key-{key}")).collect(),
    };
    let shared = Arc::new(Shared { memolock, ids });
    let Shared { memolock, ids } = &*shared;
    match load {
        Load::OneKey => drop(call(&shared, 0)),
        _ => occupy(memolock, &backend, ids).await?,
    }
    let resident = resident()?;
    let before = meter();
    // In waves: a hundred thousand first looks at once would be a test of the server.
    for wave in (0..waiters).step_by(WAVE) {
        let upto = waiters.min(wave + WAVE as u32);
        for waiter in wave..upto {
            drop(call(&shared, waiter as usize));
        }
        let waiting = || match load {
            Load::OneKey => memolock.stats().joins,
            _ => backend.stats().subscriptions,
        };
        until(u64::from(upto), waiting).await?;
    }
    // The last ones have still to look once more before they sleep.
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(Weight {
        allocated: meter() - before,
        resident: resident_now(resident)?,
        bare,
    })
}

/// What the callers share, so that none of it is what a waiter weighs.
struct Shared {
    memolock: Memolock<String, Text>,
    ids: Vec<String>,
}

/// A caller in a task of its own, which computes for ever if it comes to that.
fn call(shared: &Arc<Shared>, id: usize) -> tokio::task::JoinHandle<()> {
    let (shared, id) = (Arc::clone(shared), id % shared.ids.len());
    tokio::spawn(async move {
        let compute = |_| pending::<Result<String, String>>();
        // It ends with the process.
        let called = shared.memolock.get_or_compute(&shared.ids[id], compute);
        let _ = called.await;
    })
}

/// Takes the leases of all ids, as another process would.
async fn occupy(
    memolock: &Memolock<String, Text>,
    backend: &Arc<dyn Backend>,
    ids: &[String],
) -> Result<()> {
    for chunk in ids.chunks(512) {
        let take = chunk.iter().map(async |id| {
            let key = memolock.keyspace().key(id)?;
            let token = Token::from_bits(fastrand::u128(1..));
            anyhow::Ok(
                backend
                    .acquire(&key, token, Duration::from_secs(600))
                    .await?,
            )
        });
        futures_util::future::try_join_all(take).await?;
    }
    Ok(())
}

async fn bare(waiters: u32, meter: Meter) -> i64 {
    let notify = Arc::new(Notify::new());
    let before = meter();
    let tasks: Vec<_> = (0..waiters)
        .map(|_| {
            let notify = Arc::clone(&notify);
            tokio::spawn(async move { notify.notified().await })
        })
        .collect();
    tokio::task::yield_now().await;
    let weight = meter() - before;
    for task in tasks {
        task.abort();
        // Cancelled, as it was told.
        let _ = task.await;
    }
    weight
}

async fn until(expected: u64, waiting: impl Fn() -> u64) -> Result<()> {
    let began = Instant::now();
    while waiting() != expected {
        if began.elapsed() > Duration::from_secs(20) {
            bail!("{} of {expected} have come to wait", waiting());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn resident_now(before: i64) -> Result<i64> {
    Ok(resident()? - before)
}

/// Bytes resident, as Linux says.
pub(crate) fn resident() -> Result<i64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    match kilobytes.and_then(|kilobytes| kilobytes.trim().parse::<i64>().ok()) {
        Some(kilobytes) => Ok(kilobytes * 1024),
        None => bail!("the system does not say how much memory is resident"),
    }
}
