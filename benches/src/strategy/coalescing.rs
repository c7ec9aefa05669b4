//! Coalescing in each process: moka's `try_get_with` over a GET, and the database where that finds nothing.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use async_trait::async_trait;
use moka::future::Cache;

use super::store::Store;
use super::{Database, Strategy, TTL};

/// More than any run has keys.
const ENTRIES: u64 = 100_000;

pub(super) struct Coalescing {
    store: Store,
    near: Cache<String, String>,
}

impl Coalescing {
    pub(super) async fn open(url: &str) -> Result<Self> {
        let near = Cache::builder().max_capacity(ENTRIES).time_to_live(TTL);
        Ok(Self {
            store: Store::open(url).await?,
            near: near.build(),
        })
    }

    async fn fetch(&self, id: &str, database: &Database) -> Result<String> {
        if let Some(value) = self.store.get(id).await? {
            return Ok(value);
        }
        let value = database.query(id).await;
        self.store.set(id, &value).await?;
        Ok(value)
    }
}

#[async_trait]
impl Strategy for Coalescing {
    async fn get(&self, id: &str, database: &Database) -> Result<String> {
        let value = self.near.try_get_with_by_ref(id, self.fetch(id, database));
        value
            .await
            .map_err(|error: Arc<anyhow::Error>| anyhow!("{error}"))
    }

    fn commands(&self) -> u64 {
        self.store.commands()
    }

    async fn close(&self) {}
}
