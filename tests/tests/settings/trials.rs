//! Trials: a memolock with one setting, and calls over it that need all of it.

use std::sync::Arc;
use std::time::Duration;

use memolock::codec::{Codec, Json};
use memolock::core::Backend;
use memolock::fred::{FredBackend, FredBackendBuilder};
use memolock::memory::MemoryBackend;
use memolock::postgres::{PgBackend, PgBackendBuilder};
use memolock::redis_rs::{RedisBackend, RedisBackendBuilder};
use memolock::{Builder, Memolock};
use memolock_testkit::{PgServer, TestServer, unique_tag};

/// Time enough for anything on a loaded machine.
const AMPLE: Duration = Duration::from_secs(30);

/// Where trials take place.
#[derive(Clone)]
pub(crate) struct Places(Arc<Servers>);

struct Servers {
    redis: TestServer,
    postgres: Option<PgServer>,
}

impl Places {
    pub(crate) async fn new() -> Self {
        let redis = memolock_tests::server().await;
        let postgres = match PgServer::is_there() {
            true => Some(PgServer::start().await.unwrap_or_else(|e| panic!("{e}"))),
            false => None,
        };
        if let Some(server) = &postgres {
            let builder = PgBackend::builder(server.url()).connect_timeout(AMPLE);
            let made = builder.create_table().await;
            made.unwrap_or_else(|e| panic!("{e}"));
        }
        Self(Arc::new(Servers { redis, postgres }))
    }

    /// Whether a setting cannot be tried here.
    pub(crate) fn lacks(&self, setting: &str) -> bool {
        self.0.postgres.is_none() && setting.starts_with("PgBackendBuilder")
    }

    /// A memolock with a setting works, over the embedded store and over a server.
    pub(crate) async fn memolock(
        self,
        set: impl Fn(Builder<u64>) -> Builder<u64>,
    ) -> Result<(), String> {
        works_with(MemoryBackend::new(), &set).await?;
        let server = ample_redis(self.0.redis.url());
        let server = server.connect().await.map_err(|e| e.to_string())?;
        works_with(server, &set).await
    }

    /// A memolock with a setting computes while its store cannot be reached.
    pub(crate) async fn outage(
        self,
        set: impl Fn(Builder<u64>) -> Builder<u64>,
    ) -> Result<(), String> {
        works_with(MemoryBackend::new(), &set).await?;
        let nobody = ample_redis("redis://127.0.0.1:1");
        let nobody = nobody.connect_lazy().map_err(|e| e.to_string())?;
        let memolock = set(Memolock::<u64>::builder(unique_tag("settings"), nobody));
        let memolock = memolock.build().await.map_err(|e| e.to_string())?;
        let value = memolock.get_or_compute("a", |_| async { Ok::<_, String>(42) });
        let value = value.await.map_err(|e| e.to_string())?;
        memolock.close().await;
        equal(*value, 42)
    }

    /// A memolock with a setting stores a value of one byte.
    pub(crate) async fn one_byte(
        self,
        set: impl Fn(Builder<u64>) -> Builder<u64>,
    ) -> Result<(), String> {
        let server = ample_redis(self.0.redis.url());
        let server = server.connect().await.map_err(|e| e.to_string())?;
        let memolock = set(Memolock::<u64>::builder(unique_tag("settings"), server));
        let memolock = memolock.build().await.map_err(|e| e.to_string())?;
        let value = memolock.get_or_compute("a", |_| async { Ok::<_, String>(7) });
        equal(*value.await.map_err(|e| e.to_string())?, 7)?;
        let stored = memolock.get("a").await.map_err(|e| e.to_string())?;
        memolock.close().await;
        equal(stored.map_or(0, |value| *value), 7)
    }

    /// One memolock, for trials of an entry.
    pub(crate) async fn built(&self) -> Memolock<u64> {
        let server = ample_redis(self.0.redis.url());
        let server = server.connect().await.unwrap_or_else(|e| panic!("{e}"));
        let built = Memolock::<u64>::builder(unique_tag("settings"), server).build();
        built.await.unwrap_or_else(|e| panic!("{e}"))
    }

    pub(crate) async fn redis_rs(
        self,
        set: impl Fn(RedisBackendBuilder) -> RedisBackendBuilder,
    ) -> Result<(), String> {
        let builder = set(ample_redis(self.0.redis.url()));
        let backend = builder.connect().await.map_err(|e| e.to_string())?;
        works_with(backend, |b| b).await
    }

    pub(crate) async fn fred(
        self,
        set: impl Fn(FredBackendBuilder) -> FredBackendBuilder,
    ) -> Result<(), String> {
        let builder = FredBackend::builder(self.0.redis.url());
        let builder = set(builder.connect_timeout(AMPLE).command_timeout(AMPLE));
        let backend = builder.connect().await.map_err(|e| e.to_string())?;
        works_with(backend, |b| b).await
    }

    pub(crate) async fn postgres(
        self,
        set: impl Fn(PgBackendBuilder) -> PgBackendBuilder,
    ) -> Result<(), String> {
        let server = self.0.postgres.as_ref().expect("asked for before");
        let builder = PgBackend::builder(server.url());
        let builder = set(builder.connect_timeout(AMPLE).command_timeout(AMPLE));
        let backend = builder.connect().await.map_err(|e| e.to_string())?;
        works_with(backend, |b| b).await
    }
}

fn ample_redis(url: &str) -> RedisBackendBuilder {
    let builder = RedisBackend::builder(url);
    builder.connect_timeout(AMPLE).command_timeout(AMPLE)
}

/// Two memolocks of one tag over one backend: one computes, the other waits for it and is woken; then a value that is
/// stored and read; and all of it under leases.
pub(crate) async fn works_with(
    backend: impl Backend + Clone,
    set: impl Fn(Builder<u64>) -> Builder<u64>,
) -> Result<(), String> {
    let tag = unique_tag("settings");
    let memolock = || async {
        let builder = set(Memolock::<u64>::builder(tag.clone(), backend.clone()));
        builder.build().await.map_err(|e| e.to_string())
    };
    let (holder, waiter) = (memolock().await?, memolock().await?);
    let work = |_| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok::<_, String>(42)
    };
    let (one, other) = tokio::join!(
        holder.get_or_compute("a", work),
        waiter.get_or_compute("a", work)
    );
    equal(*one.map_err(|e| e.to_string())?, 42)?;
    equal(*other.map_err(|e| e.to_string())?, 42)?;
    let later = holder.get_or_compute("b", |_| async { Ok::<_, String>(43) });
    equal(*later.await.map_err(|e| e.to_string())?, 43)?;
    waiter.get("b").await.map_err(|e| e.to_string())?;
    waiter.invalidate("b").await.map_err(|e| e.to_string())?;
    for memolock in [holder, waiter] {
        let stats = memolock.stats();
        if (stats.degraded, stats.timeouts) != (0, 0) {
            return Err(format!("calls ran without the store: {stats:?}"));
        }
        memolock.close().await;
    }
    backend.close().await;
    Ok(())
}

/// A codec with a setting reads what it writes.
pub(crate) async fn codes(codec: impl Codec<String>) -> Result<(), String> {
    for value in ["", "short", &"long ".repeat(1000)] {
        let bytes = codec.encode(&value.to_owned()).map_err(|e| e.to_string())?;
        let read = codec.decode(&bytes).map_err(|e| e.to_string())?;
        if read != value {
            return Err(format!("{} bytes came back as others", value.len()));
        }
    }
    Ok(())
}

pub(crate) fn json() -> Json {
    Json
}

pub(crate) fn equal(got: u64, expected: u64) -> Result<(), String> {
    match got == expected {
        true => Ok(()),
        false => Err(format!("{got}, and not {expected}")),
    }
}
