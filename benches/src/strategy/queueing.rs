//! Lock and sleep: a blocking lock around "look, else compute", as libraries of distributed locks offer it.

use std::time::Duration;

use anyhow::{Result, bail};
use async_trait::async_trait;
use tokio::time::Instant;

use super::store::Store;
use super::{Database, Strategy};

/// How long a caller sleeps between two tries: the default of redis-py's `Lock`.
const NAP: Duration = Duration::from_millis(100);

/// When a caller gives up, which counts as an error.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Queueing(Store);

impl Queueing {
    pub(super) async fn open(url: &str) -> Result<Self> {
        Ok(Self(Store::open(url).await?))
    }
}

#[async_trait]
impl Strategy for Queueing {
    async fn get(&self, id: &str, database: &Database) -> Result<String> {
        if let Some(value) = self.0.get(id).await? {
            return Ok(value);
        }
        let began = Instant::now();
        let token = loop {
            if let Some(token) = self.0.lock(id).await? {
                break token;
            }
            if began.elapsed() > PATIENCE {
                bail!("no lock after {PATIENCE:?}");
            }
            tokio::time::sleep(NAP).await;
        };
        // Whoever had it before may have computed.
        let value = match self.0.get(id).await? {
            Some(value) => value,
            None => {
                let value = database.query(id).await;
                self.0.set(id, &value).await?;
                value
            }
        };
        self.0.unlock(id, token).await?;
        Ok(value)
    }

    fn commands(&self) -> u64 {
        self.0.commands()
    }

    async fn close(&self) {}
}
