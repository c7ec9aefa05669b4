//! memolock, as its README shows it.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use memolock::codec::Text;
use memolock::{Backend, Memolock, Notifications};

use super::{Database, LOCK, Strategy, TTL};
use crate::adapter::Adapter;

pub(super) struct Ours {
    memolock: Memolock<String, Text>,
    backend: Arc<dyn Backend>,
}

impl Ours {
    pub(super) async fn open(adapter: Adapter, url: &str, told: Notifications) -> Result<Self> {
        let backend = adapter.connect(url).await?;
        let memolock = Memolock::<String>::builder("bench", Arc::clone(&backend))
            .codec(Text)
            .ttl(TTL)
            .lease(LOCK)
            .notifications(told)
            .build()
            .await?;
        Ok(Self { memolock, backend })
    }
}

#[async_trait]
impl Strategy for Ours {
    async fn get(&self, id: &str, database: &Database) -> Result<String> {
        let compute = |_| async { Ok::<_, Infallible>(database.query(id).await) };
        // A copy for each caller, as the rivals' clients make one.
        Ok((*self.memolock.get_or_compute(id, compute).await?).clone())
    }

    fn commands(&self) -> u64 {
        self.backend.stats().commands
    }

    async fn close(&self) {
        self.memolock.close().await;
        self.backend.close().await;
    }
}
