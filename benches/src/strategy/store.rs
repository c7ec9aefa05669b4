//! The server as the rivals use it: one multiplexed connection a process, at its best, with every command counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Result;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Script, cmd};

use super::{LOCK, TTL};
use crate::raw;

/// Ten thousand callers at once may have to wait for a reply; a rival is not failed for that.
const PATIENCE: Duration = Duration::from_secs(60);

/// Deletes a lock if it is ours: the textbook's release.
const RELEASE: &str =
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";

pub(super) struct Store {
    connection: MultiplexedConnection,
    commands: AtomicU64,
    release: Script,
}

impl Store {
    pub(super) async fn open(url: &str) -> Result<Self> {
        Ok(Self {
            connection: raw::redis_rs_within(url, PATIENCE).await?,
            commands: AtomicU64::new(0),
            release: Script::new(RELEASE),
        })
    }

    pub(super) async fn get(&self, id: &str) -> Result<Option<String>> {
        self.send(cmd("GET").arg(id)).await
    }

    pub(super) async fn set(&self, id: &str, value: &str) -> Result<()> {
        let ttl = TTL.as_secs();
        self.send(cmd("SET").arg(id).arg(value).arg("EX").arg(ttl))
            .await
    }

    /// Takes the lock of `id`; the token that holds it, if it was free.
    pub(super) async fn lock(&self, id: &str) -> Result<Option<u64>> {
        let token = fastrand::u64(..);
        let mut set = cmd("SET");
        set.arg(lock(id)).arg(token).arg("NX");
        let taken: Option<String> = self
            .send(set.arg("PX").arg(LOCK.as_millis() as u64))
            .await?;
        Ok(taken.map(|_| token))
    }

    /// Frees the lock of `id` if `token` holds it.
    pub(super) async fn unlock(&self, id: &str, token: u64) -> Result<()> {
        self.commands.fetch_add(1, Relaxed);
        let mut release = self.release.key(lock(id));
        let mut connection = self.connection.clone();
        let _: u32 = release.arg(token).invoke_async(&mut connection).await?;
        Ok(())
    }

    pub(super) fn commands(&self) -> u64 {
        self.commands.load(Relaxed)
    }

    async fn send<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        self.commands.fetch_add(1, Relaxed);
        let mut connection = self.connection.clone();
        Ok(command.query_async(&mut connection).await?)
    }
}

fn lock(id: &str) -> String {
    format!("{id}:lock")
}
