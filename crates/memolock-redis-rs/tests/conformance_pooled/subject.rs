//! The adapter with a pool, with the builder that the suite of the other adapters expects.

use std::time::Duration;

use memolock_core::BackendError;
use memolock_redis_rs::deadpool_redis::redis::AsyncConnectionConfig;
use memolock_redis_rs::deadpool_redis::{Manager, Pool, PoolBuilder, Runtime};
use memolock_redis_rs::{RedisBackend, RedisBackendBuilder};

/// Enough for the suite's crowds, and few enough that they queue.
const CONNECTIONS: usize = 16;

/// A pool as an application makes one.
pub(crate) fn pool(url: &str, connections: usize) -> Pool {
    pool_builder(url, connections).build().unwrap()
}

/// The same, for one that wants hooks besides.
pub(crate) fn pool_builder(url: &str, connections: usize) -> PoolBuilder {
    // Its default of 500 ms is short for 16 MiB on a busy machine; memolock has a bound of its own.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let manager = Manager::new_with_config(url, config).unwrap();
    let builder = Pool::builder(manager).max_size(connections);
    builder.runtime(Runtime::Tokio1)
}

/// The adapter, as the suite asks for it.
pub(crate) struct Adapter;

/// Builds it over a pool of its own.
pub(crate) struct AdapterBuilder(RedisBackendBuilder);

impl Adapter {
    pub(crate) fn builder(url: impl Into<String>) -> AdapterBuilder {
        let url = url.into();
        AdapterBuilder(RedisBackend::builder(&url).pool(pool(&url, CONNECTIONS)))
    }
}

impl AdapterBuilder {
    pub(crate) fn connect_timeout(self, bound: Duration) -> Self {
        Self(self.0.connect_timeout(bound))
    }

    /// Calls queue for a connection: of ten thousand at once the last waits for all the others, and a busy
    /// machine takes a while. A bound that is meant to be met stays short.
    pub(crate) fn command_timeout(self, bound: Duration) -> Self {
        let queues = bound > Duration::from_secs(1);
        let bound = if queues { 6 * bound } else { bound };
        Self(self.0.command_timeout(bound))
    }

    pub(crate) fn reconnect_delay(self, least: Duration, most: Duration) -> Self {
        Self(self.0.reconnect_delay(least, most))
    }

    pub(crate) async fn connect(self) -> Result<RedisBackend, BackendError> {
        self.0.connect().await
    }
}
