//! Paths over the redis crate: what our adapter costs over the client itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use memolock::Memolock;
use memolock::codec::Text;
use memolock::core::{Backend, Key, Keyspace, Layout, Tag};
use memolock::redis_rs::RedisBackend;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo};

use crate::wire;

/// The client, the adapter and a memolock over it, each with a server in this very thread.
pub(crate) struct Remote {
    client: MultiplexedConnection,
    backend: RedisBackend,
    memolock: Memolock<String, Text>,
    key: Key,
}

impl Remote {
    pub(crate) async fn new() -> Result<Self> {
        let settings = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
        // As the adapter has it: replies are bounded in time.
        let config =
            AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(1)));
        let (client, driver) =
            MultiplexedConnection::new_with_config(&settings, wire::dial(), config).await?;
        // It ends with the client.
        drop(tokio::spawn(driver));
        let builder = RedisBackend::builder("redis://in.this.thread");
        let builder = builder.connector(|| async { Ok(wire::dial()) });
        let backend = builder.connect().await?;
        let memolock = Memolock::<String>::builder("paths", backend.clone());
        let space = Keyspace::new(Tag::new("paths")?, Layout::Classic)?;
        Ok(Self {
            client,
            backend,
            memolock: memolock.codec(Text).build().await?,
            key: space.key("id")?,
        })
    }

    pub(crate) async fn client(&mut self, times: u64) -> Result<()> {
        for _ in 0..times {
            let mut get = redis::cmd("GET");
            get.arg("paths:id");
            let value: Vec<u8> = get.query_async(&mut self.client).await?;
            ensure!(value == wire::VALUE, "another value");
        }
        Ok(())
    }

    pub(crate) async fn adapter(&self, times: u64) -> Result<()> {
        for _ in 0..times {
            let value = self.backend.get(&self.key).await?;
            ensure!(
                value.is_some_and(|value| value == wire::VALUE),
                "another value"
            );
        }
        Ok(())
    }

    pub(crate) async fn hit(&self, times: u64) -> Result<()> {
        for _ in 0..times {
            let value = self.memolock.get("id").await?.context("stored")?;
            ensure!(value.as_bytes() == wire::VALUE, "another value");
        }
        Ok(())
    }
}
