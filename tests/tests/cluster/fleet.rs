//! A few processes over one cluster: memolocks with backends of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use memolock::codec::Text;
use memolock::fred::FredBackend;
use memolock::redis_rs::RedisBackend;
use memolock::{Backend, Builder, Memolock, Notifications};
use memolock_testkit::{ClusterOptions, TestCluster, unique_tag};
use memolock_tests::{Adapter, SECOND};

pub(crate) type Likes = Memolock<String, Text>;

/// Those that can: a pool leads to one server.
pub(crate) const ADAPTERS: [Adapter; 2] = [Adapter::RedisRs, Adapter::Fred];

/// What all of them do: a value is made of its id alone, so that a wrong one is found out.
pub(crate) struct Fleet {
    tag: String,
    pub(crate) likes: Vec<Likes>,
    pub(crate) backends: Vec<Arc<dyn Backend>>,
    pub(crate) computes: Arc<AtomicUsize>,
}

/// Masters with a replica each, where one that is gone is missed after a second.
pub(crate) async fn cluster() -> TestCluster {
    let cluster = TestCluster::start_local().await.unwrap();
    cluster.wait_stable().await.unwrap();
    cluster
}

/// Masters alone, where nothing is to fail.
pub(crate) async fn masters() -> TestCluster {
    let options = ClusterOptions {
        replicas_per_master: 0,
        ..ClusterOptions::default()
    };
    TestCluster::start_local_with(options).await.unwrap()
}

/// With the defaults that an application has.
pub(crate) async fn backend(adapter: Adapter, url: &str) -> Arc<dyn Backend> {
    match adapter {
        Adapter::Fred => Arc::new(FredBackend::connect(url).await.unwrap()),
        _ => Arc::new(RedisBackend::connect(url).await.unwrap()),
    }
}

impl Fleet {
    pub(crate) async fn start(
        adapter: Adapter,
        cluster: &TestCluster,
        size: usize,
        set: impl Fn(Builder<String, Text>) -> Builder<String, Text>,
    ) -> Self {
        let tag = unique_tag("cluster");
        let (mut likes, mut backends) = (Vec::new(), Vec::new());
        for _ in 0..size {
            let backend = backend(adapter, cluster.url()).await;
            let builder = Memolock::<String>::builder(&tag, Arc::clone(&backend)).codec(Text);
            likes.push(set(builder.ttl(60 * SECOND)).build().await.unwrap());
            backends.push(backend);
        }
        Self {
            tag,
            likes,
            backends,
            computes: Arc::default(),
        }
    }

    /// Gets the id at one of them, checks what it gets, and says how long it took.
    pub(crate) async fn get(&self, at: usize, id: &str, compute: Duration) -> Duration {
        let since = Instant::now();
        let value = self.likes[at].get_or_compute(id, |_| self.compute(id, compute));
        let value = value.await.unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(*value, made(id), "a wrong value");
        since.elapsed()
    }

    pub(crate) async fn compute(&self, id: &str, takes: Duration) -> Result<String, String> {
        self.computes.fetch_add(1, SeqCst);
        tokio::time::sleep(takes).await;
        Ok(made(id))
    }

    pub(crate) fn computes(&self) -> usize {
        self.computes.load(SeqCst)
    }

    /// The name of the value in the hash-tagged layout, which is the default here.
    pub(crate) fn name(&self, id: &str) -> String {
        format!("{}:{{{id}}}", self.tag)
    }

    pub(crate) async fn close(self) {
        for likes in &self.likes {
            likes.close().await;
        }
        for backend in &self.backends {
            backend.close().await;
        }
    }
}

pub(crate) fn made(id: &str) -> String {
    format!("the value of {id}")
}

/// Each kind of notifications.
pub(crate) const KINDS: [Notifications; 3] = [
    Notifications::Classic,
    Notifications::Sharded,
    Notifications::Both,
];
