//! Which backend is measured.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use memolock::Backend;
use memolock::fred::FredBackend;
use memolock::memory::MemoryBackend;
use memolock::redis_rs::RedisBackend;
use serde::{Deserialize, Serialize};

/// A backend of memolock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Adapter {
    /// The embedded one, which has no server.
    Memory,
    /// Over the `redis` crate.
    RedisRs,
    /// Over the `fred` crate.
    Fred,
}

impl Adapter {
    /// Those over a server.
    pub const SERVED: [Self; 2] = [Self::RedisRs, Self::Fred];

    /// All of them.
    pub const ALL: [Self; 3] = [Self::Memory, Self::RedisRs, Self::Fred];

    /// Connects, with the adapter's defaults.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn connect(self, url: &str) -> Result<Arc<dyn Backend>> {
        Ok(match self {
            Self::Memory => Arc::new(MemoryBackend::new()),
            Self::RedisRs => Arc::new(RedisBackend::connect(url).await?),
            Self::Fred => Arc::new(FredBackend::connect(url).await?),
        })
    }
}

/// As `memolock --backend` knows them.
impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::RedisRs => "redis-rs",
            Self::Fred => "fred",
        })
    }
}
