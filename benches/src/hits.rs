//! Hits: the same value out of the raw clients, and out of memolock over them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use fred::clients::Client;
use fred::interfaces::KeysInterface;
use memolock::Memolock;
use memolock::codec::Text;
use redis::aio::MultiplexedConnection;

use crate::adapter::Adapter;
use crate::raw;
use crate::rounds::{Work, ids};

/// Bytes of each value.
pub const BYTES: usize = 256;

/// The tag of the values.
const TAG: &str = "hits";

/// Longer than any run.
pub(crate) const TTL: Duration = Duration::from_secs(3600);

/// memolock's `get_or_compute`.
#[derive(Clone)]
pub struct Ours {
    memolock: Memolock<String, Text>,
    ids: Arc<[String]>,
}

/// The `redis` crate's GET.
#[derive(Clone)]
pub struct RawRedis {
    connection: MultiplexedConnection,
    names: Arc<[String]>,
}

/// The `fred` crate's GET.
#[derive(Clone)]
pub struct RawFred {
    client: Client,
    names: Arc<[String]>,
}

impl Ours {
    /// Connects, and stores so many values.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn open(adapter: Adapter, url: &str, keys: usize) -> Result<Self> {
        let backend = adapter.connect(url).await?;
        let builder = Memolock::<String>::builder(TAG, backend);
        let memolock = builder.codec(Text).ttl(TTL).build().await?;
        let ids = ids(keys);
        for id in ids.iter() {
            memolock.put(id, &value()).await?;
        }
        Ok(Self { memolock, ids })
    }

    /// The names of its values, as the raw clients ask for them.
    ///
    /// # Errors
    /// If an id cannot be one.
    pub fn names(&self) -> Result<Arc<[String]>> {
        let name = |id: &String| Ok(self.memolock.keyspace().key(id)?.value_name());
        self.ids.iter().map(name).collect()
    }

    /// The ids of its values.
    #[must_use]
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The memolock.
    #[must_use]
    pub fn memolock(&self) -> &Memolock<String, Text> {
        &self.memolock
    }
}

impl Work for Ours {
    fn keys(&self) -> usize {
        self.ids.len()
    }

    async fn once(&mut self, key: usize) -> Result<()> {
        let id = &self.ids[key];
        // Nobody deletes the values: a compute would be seen by its length.
        let compute = |_| async { Ok::<_, Infallible>(String::new()) };
        let value = self.memolock.get_or_compute(id, compute).await?;
        ensure!(value.len() == BYTES, "a hit that is none");
        Ok(())
    }
}

impl RawRedis {
    /// Connects to where the values of `ours` are.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn open(url: &str, ours: &Ours) -> Result<Self> {
        Ok(Self {
            connection: raw::redis_rs(url).await?,
            names: ours.names()?,
        })
    }
}

impl Work for RawRedis {
    fn keys(&self) -> usize {
        self.names.len()
    }

    async fn once(&mut self, key: usize) -> Result<()> {
        let mut get = redis::cmd("GET");
        get.arg(&self.names[key]);
        let value: Option<String> = get.query_async(&mut self.connection).await?;
        ensure!(value.is_some_and(|value| value.len() == BYTES), "no value");
        Ok(())
    }
}

impl RawFred {
    /// Connects to where the values of `ours` are.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn open(url: &str, ours: &Ours) -> Result<Self> {
        Ok(Self {
            client: raw::fred(url).await?,
            names: ours.names()?,
        })
    }
}

impl Work for RawFred {
    fn keys(&self) -> usize {
        self.names.len()
    }

    async fn once(&mut self, key: usize) -> Result<()> {
        let name = self.names[key].as_str();
        let value: Option<String> = self.client.get(name).await?;
        ensure!(value.is_some_and(|value| value.len() == BYTES), "no value");
        Ok(())
    }
}

pub(crate) fn value() -> String {
    "x".repeat(BYTES)
}
