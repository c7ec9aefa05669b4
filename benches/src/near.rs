//! The near cache against moka's asynchronous cache: sweeps over all keys, so that no clock is read between two hits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use memolock::codec::Text;
use memolock::{Coherence, Memolock, NearCache};
use moka::future::Cache;

use crate::adapter::Adapter;
use crate::hits::{BYTES, TTL, value};
use crate::rounds::{Work, ids};

/// How long the cache may take to hear of changes, and to have all values.
const PATIENCE: Duration = Duration::from_secs(10);

/// memolock's `get`, answered by its near cache. One turn is one sweep over all keys.
#[derive(Clone)]
pub struct Near {
    memolock: Memolock<String, Text>,
    ids: Arc<[String]>,
}

/// moka's `get`, over the same ids and as much room.
#[derive(Clone)]
pub struct Moka {
    cache: Cache<String, Arc<String>>,
    ids: Arc<[String]>,
}

impl Near {
    /// Connects, stores so many values, and waits until the near cache has all of them and hears of changes.
    ///
    /// # Errors
    /// If it cannot, or does not within ten seconds.
    pub async fn open(url: &str, keys: usize) -> Result<Self> {
        let backend = Adapter::RedisRs.connect(url).await?;
        let near = NearCache::entries(keys as u64 * 2).max_age(TTL);
        let builder = Memolock::<String>::builder("near", backend);
        let memolock = builder.codec(Text).ttl(TTL).near_cache(near).build();
        let memolock = memolock.await?;
        let began = Instant::now();
        while memolock.stats().near.coherence != Coherence::Live {
            ensure!(began.elapsed() < PATIENCE, "the near cache stays deaf");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let ids = ids(keys);
        for id in ids.iter() {
            memolock.put(id, &value()).await?;
        }
        let mut near = Self { memolock, ids };
        // The server still tells of these writes, and each is read back: until a sweep asks nobody.
        loop {
            let before = near.asked();
            near.once(0).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
            if near.asked() == before {
                return Ok(near);
            }
            if began.elapsed() > PATIENCE {
                bail!("the near cache does not come to hold {keys} values");
            }
        }
    }

    /// How often the store was asked so far. It stays as it is while the near cache answers.
    #[must_use]
    pub fn asked(&self) -> u64 {
        let stats = self.memolock.stats();
        stats.hits + stats.misses
    }
}

impl Work for Near {
    /// A sweep goes over all of them.
    fn keys(&self) -> usize {
        1
    }

    async fn once(&mut self, _: usize) -> Result<()> {
        for id in self.ids.iter() {
            let value = self.memolock.get(id).await?.context("no value")?;
            ensure!(value.len() == BYTES, "another value");
        }
        Ok(())
    }
}

impl Moka {
    /// Fills a cache with so many values, which end as memolock's do.
    pub async fn open(keys: usize) -> Self {
        let cache = Cache::builder().max_capacity(keys as u64 * 2);
        let cache = cache.time_to_live(TTL).build();
        let ids = ids(keys);
        for id in ids.iter() {
            cache.insert(id.clone(), Arc::new(value())).await;
        }
        Self { cache, ids }
    }
}

impl Work for Moka {
    /// A sweep goes over all of them.
    fn keys(&self) -> usize {
        1
    }

    async fn once(&mut self, _: usize) -> Result<()> {
        for id in self.ids.iter() {
            let value = self.cache.get(id).await.context("no value")?;
            ensure!(value.len() == BYTES, "another value");
        }
        Ok(())
    }
}
