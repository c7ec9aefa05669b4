//! One process of ours behind a proxy of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use memolock::codec::Text;
use memolock::core::BackendError;
use memolock::fred::FredBackend;
use memolock::redis_rs::RedisBackend;
use memolock::redis_rs::deadpool_redis::{Config, PoolConfig, Runtime};
use memolock::{Backend, Memolock};
use memolock_testkit::{Faults, Proxy, TestServer};
use memolock_tests::{Adapter, HANG};
use tokio::time::Instant;

use crate::cases::Case;

/// The bound of each step; leases are several of these.
const BRISK: Duration = Duration::from_millis(500);
pub(crate) const LEASE: Duration = Duration::from_secs(2);
const LEAST: Duration = Duration::from_millis(10);
const MOST: Duration = Duration::from_millis(100);

pub(crate) struct Side {
    pub(crate) likes: Memolock<String, Text>,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) proxy: Proxy,
}

impl Side {
    pub(crate) async fn start(adapter: Adapter, server: &TestServer, tag: &str, seed: u64) -> Self {
        let target = SocketAddr::from(([127, 0, 0, 1], server.port()));
        let proxy = Proxy::seeded(target, seed).await.unwrap();
        let url = format!("redis://{}", proxy.address());
        let began = Instant::now();
        // The bounds are short for this machine when it is busy: be patient at the start.
        let backend = loop {
            match connect(adapter, &url).await {
                Ok(backend) => break backend,
                Err(error) => assert!(began.elapsed() < HANG, "{error}"),
            }
        };
        let likes = Memolock::<String>::builder(tag, Arc::clone(&backend))
            .codec(Text)
            .lease(LEASE)
            .build()
            .await
            .unwrap();
        Self {
            likes,
            backend,
            proxy,
        }
    }

    pub(crate) async fn strike(&self, case: &Case) {
        self.proxy.set(case.faults).await;
        if let Some(end) = case.sever {
            self.proxy.sever(end).await;
        }
    }

    pub(crate) async fn heal(&self) {
        self.proxy.set(Faults::default()).await;
    }
}

async fn connect(adapter: Adapter, url: &str) -> Result<Arc<dyn Backend>, BackendError> {
    let redis_rs = RedisBackend::builder(url)
        .connect_timeout(BRISK)
        .command_timeout(BRISK)
        .heartbeat(BRISK)
        .reconnect_delay(LEAST, MOST);
    Ok(match adapter {
        Adapter::RedisRs => Arc::new(redis_rs.connect().await?),
        Adapter::Pooled => {
            let mut config = Config::from_url(url);
            config.pool = Some(PoolConfig::new(4));
            let pool = config.create_pool(Some(Runtime::Tokio1)).unwrap();
            Arc::new(redis_rs.pool(pool).connect().await?)
        }
        Adapter::Fred => {
            let fred = FredBackend::builder(url)
                .connect_timeout(BRISK)
                .command_timeout(BRISK)
                .heartbeat(BRISK)
                .reconnect_delay(LEAST, MOST);
            Arc::new(fred.connect().await?)
        }
    })
}
