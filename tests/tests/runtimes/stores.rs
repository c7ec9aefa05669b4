//! The backends, each with its server.

use std::sync::Arc;

use memolock::Backend;
use memolock::fred::FredBackend;
use memolock::memory::MemoryBackend;
use memolock::postgres::PgBackend;
use memolock::redis_rs::RedisBackend;
use memolock_testkit::{PgServer, TestServer};
use memolock_tests::{Adapter, server};
use tokio::runtime::{Handle, Runtime};

use crate::{HANG, threaded};

/// Servers, and the runtime that looks after them.
pub(crate) struct Servers {
    // In this order: they end on it.
    redis: TestServer,
    postgres: Option<PgServer>,
    _runtime: Runtime,
}

/// One kind of backend.
pub(crate) enum Store {
    Memory(MemoryBackend),
    Redis(Adapter, String),
    Postgres(String),
}

impl Servers {
    pub(crate) fn start() -> Self {
        let runtime = threaded();
        let redis = runtime.block_on(server());
        let postgres = match PgServer::is_there() {
            true => Some(runtime.block_on(PgServer::start()).unwrap()),
            false => {
                eprintln!("not run over PostgreSQL: there is none (apt-get install postgresql)");
                None
            }
        };
        if let Some(postgres) = &postgres {
            let builder = PgBackend::builder(postgres.url()).connect_timeout(HANG);
            runtime.block_on(builder.create_table()).unwrap();
        }
        Self {
            redis,
            postgres,
            _runtime: runtime,
        }
    }

    /// Every backend.
    pub(crate) fn stores(&self) -> Vec<Store> {
        let url = || self.redis.url().to_owned();
        let mut stores = vec![Store::Memory(MemoryBackend::new())];
        stores.extend(Adapter::ALL.map(|adapter| Store::Redis(adapter, url())));
        let postgres = self.postgres.as_ref();
        stores.extend(postgres.map(|server| Store::Postgres(server.url().to_owned())));
        stores
    }
}

impl Store {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Memory(_) => "memory".to_owned(),
            Self::Redis(adapter, _) => adapter.to_string(),
            Self::Postgres(_) => "postgres".to_owned(),
        }
    }

    /// Whether it has connections that a runtime drives.
    pub(crate) fn connects(&self) -> bool {
        !matches!(self, Self::Memory(_))
    }

    /// Connects, at home on the runtime that polls this.
    pub(crate) async fn connect(&self) -> Arc<dyn Backend> {
        match self {
            Self::Memory(memory) => Arc::new(memory.clone()),
            Self::Redis(adapter, url) => adapter.connect_within(url, Some(HANG)).await,
            Self::Postgres(url) => {
                let builder = PgBackend::builder(url.as_str());
                let builder = builder.connect_timeout(HANG).command_timeout(HANG);
                Arc::new(builder.connect().await.unwrap())
            }
        }
    }

    /// Connects with its home given, whoever polls this.
    pub(crate) async fn connect_on(&self, home: Handle) -> Arc<dyn Backend> {
        match self {
            Self::Memory(memory) => Arc::new(memory.clone()),
            Self::Redis(Adapter::Fred, url) => {
                let builder = FredBackend::builder(url)
                    .connect_timeout(HANG)
                    .runtime(home);
                Arc::new(builder.connect().await.unwrap())
            }
            Self::Redis(adapter, url) => {
                let mut builder = RedisBackend::builder(url)
                    .connect_timeout(HANG)
                    .runtime(home);
                if *adapter == Adapter::Pooled {
                    builder = builder.pool(memolock_tests::pool(url, Some(HANG)));
                }
                Arc::new(builder.connect().await.unwrap())
            }
            Self::Postgres(url) => {
                let builder = PgBackend::builder(url.as_str())
                    .connect_timeout(HANG)
                    .runtime(home);
                builder.create_table().await.unwrap();
                Arc::new(builder.connect().await.unwrap())
            }
        }
    }
}
