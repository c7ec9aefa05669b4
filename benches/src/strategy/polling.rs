//! `SET NX`: who gets the lock computes, who does not looks again every 50 ms. What most do.

use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;

use super::store::Store;
use super::{Database, Strategy};

/// How often whoever waits looks.
const INTERVAL: Duration = Duration::from_millis(50);

pub(super) struct Polling(Store);

impl Polling {
    pub(super) async fn open(url: &str) -> Result<Self> {
        Ok(Self(Store::open(url).await?))
    }
}

#[async_trait]
impl Strategy for Polling {
    async fn get(&self, id: &str, database: &Database) -> Result<String> {
        loop {
            if let Some(value) = self.0.get(id).await? {
                return Ok(value);
            }
            // Tried each time: its holder may have died.
            if let Some(token) = self.0.lock(id).await? {
                let value = database.query(id).await;
                self.0.set(id, &value).await?;
                self.0.unlock(id, token).await?;
                return Ok(value);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn commands(&self) -> u64 {
        self.0.commands()
    }

    async fn close(&self) {}
}
