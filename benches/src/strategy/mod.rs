//! What a user would otherwise pick, and memolock: ways to get a value that many want at once.

mod coalescing;
mod memolock;
mod polling;
mod queueing;
mod store;
mod unprotected;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ::memolock::Notifications;
use anyhow::Result;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::adapter::Adapter;

/// How long values are kept, with every strategy: longer than any run.
const TTL: Duration = Duration::from_secs(60);

/// How long a lock is held at most, with every strategy that has one: memolock's default.
const LOCK: Duration = Duration::from_secs(5);

/// One way to get a value, as one process has it.
#[async_trait]
pub trait Strategy: Send + Sync + 'static {
    /// The value of `id`, from the cache or from the database.
    ///
    /// # Errors
    /// If the server fails, or the strategy gives up.
    async fn get(&self, id: &str, database: &Database) -> Result<String>;

    /// Commands that this process has sent.
    fn commands(&self) -> u64;

    /// Ends what it has under way.
    async fn close(&self);
}

/// Which strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// GET; who finds nothing asks the database.
    Unprotected,
    /// `SET NX`, and whoever loses looks again every 50 ms.
    Polling,
    /// A lock that everybody must get, one after another, asleep in between.
    Queueing,
    /// Coalescing within each process, by moka, over a GET.
    Coalescing,
    /// memolock over this adapter.
    Memolock(Adapter),
    /// The same with sharded notifications, for clusters.
    Sharded(Adapter),
}

impl Kind {
    /// Every strategy that needs one server alone, the most careless first.
    pub const ALL: [Self; 5] = [
        Self::Unprotected,
        Self::Coalescing,
        Self::Queueing,
        Self::Polling,
        Self::Memolock(Adapter::RedisRs),
    ];

    /// Connects one process.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn open(self, url: &str) -> Result<Arc<dyn Strategy>> {
        Ok(match self {
            Self::Unprotected => Arc::new(unprotected::Unprotected::open(url).await?),
            Self::Polling => Arc::new(polling::Polling::open(url).await?),
            Self::Queueing => Arc::new(queueing::Queueing::open(url).await?),
            Self::Coalescing => Arc::new(coalescing::Coalescing::open(url).await?),
            Self::Memolock(adapter) => {
                Arc::new(memolock::Ours::open(adapter, url, Notifications::Classic).await?)
            }
            Self::Sharded(adapter) => {
                Arc::new(memolock::Ours::open(adapter, url, Notifications::Sharded).await?)
            }
        })
    }
}

/// For tables and plots.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unprotected => f.write_str("no protection"),
            Self::Polling => f.write_str("SET NX, polling at 50 ms"),
            Self::Queueing => f.write_str("lock and sleep"),
            Self::Coalescing => f.write_str("in-process only (moka)"),
            Self::Memolock(Adapter::RedisRs) => f.write_str("memolock"),
            Self::Memolock(adapter) => write!(f, "memolock ({adapter})"),
            Self::Sharded(adapter) => write!(f, "memolock ({adapter}, sharded)"),
        }
    }
}

/// What is behind the cache: it takes a while, and counts.
#[derive(Debug)]
pub struct Database {
    takes: Duration,
    queries: AtomicU64,
}

impl Database {
    /// A database whose queries take so long.
    #[must_use]
    pub fn new(takes: Duration) -> Self {
        Self {
            takes,
            queries: AtomicU64::new(0),
        }
    }

    /// The value of `id`.
    pub async fn query(&self, id: &str) -> String {
        self.queries.fetch_add(1, Relaxed);
        tokio::time::sleep(self.takes).await;
        Self::value(id)
    }

    /// What a query for `id` answers.
    #[must_use]
    pub fn value(id: &str) -> String {
        format!("the value of {id}")
    }

    /// Queries so far.
    pub fn queries(&self) -> u64 {
        self.queries.load(Relaxed)
    }
}
