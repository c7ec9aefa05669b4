//! Our side, over either adapter.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use memolock::codec::Text;
use memolock::core::redis::TlsOptions;
use memolock::core::{BackendError, Key};
use memolock::fred::FredBackend;
use memolock::redis_rs::RedisBackend;
use memolock::redis_rs::deadpool_redis::redis::AsyncConnectionConfig;
use memolock::redis_rs::deadpool_redis::{Manager, Pool, Runtime};
use memolock::{Backend, Builder, Error, Memo, Memolock};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::HANG;

/// Connections of a pool.
pub(crate) const POOL: usize = 4;

/// Which client our side uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapter {
    /// `memolock-redis-rs`.
    RedisRs,
    /// The same over an application's pool.
    Pooled,
    /// `memolock-fred`.
    Fred,
}

impl Adapter {
    /// Every adapter.
    pub const ALL: [Self; 3] = [Self::RedisRs, Self::Pooled, Self::Fred];

    /// Connects, with bounds that only a hang would miss: no outage is wanted here.
    ///
    /// # Panics
    /// If it cannot.
    pub async fn connect(self, url: &str) -> Arc<dyn Backend> {
        self.connect_within(url, Some(HANG)).await
    }

    /// Connects, with this bound for connecting and for each command, or with the adapter's own defaults.
    ///
    /// # Panics
    /// If it cannot.
    pub async fn connect_within(self, url: &str, bound: Option<Duration>) -> Arc<dyn Backend> {
        self.connect_trusting(url, bound, None).await
    }

    /// The same to a server with TLS, whose authority is in this file.
    ///
    /// # Panics
    /// If it cannot.
    pub async fn connect_trusting(
        self,
        url: &str,
        bound: Option<Duration>,
        authority: Option<&Path>,
    ) -> Arc<dyn Backend> {
        let mut tls = TlsOptions::new();
        if let Some(file) = authority {
            let pem = std::fs::read(file);
            tls = tls.authority(pem.unwrap_or_else(|e| panic!("{}: {e}", file.display())));
        }
        match self {
            Self::RedisRs | Self::Pooled => {
                let mut builder = RedisBackend::builder(url).tls(tls);
                if let Some(bound) = bound {
                    builder = builder.connect_timeout(bound).command_timeout(bound);
                }
                if self == Self::Pooled {
                    builder = builder.pool(pool(url, bound));
                }
                Arc::new(builder.connect().await.unwrap_or_else(|e| panic!("{e}")))
            }
            Self::Fred => {
                let mut builder = FredBackend::builder(url).tls(tls);
                if let Some(bound) = bound {
                    builder = builder.connect_timeout(bound).command_timeout(bound);
                }
                Arc::new(builder.connect().await.unwrap_or_else(|e| panic!("{e}")))
            }
        }
    }

    /// Connects as [`connect`](Self::connect) does; notices are repeated after this time.
    ///
    /// # Panics
    /// If it cannot.
    pub async fn connect_repeating(self, url: &str, after: Duration) -> Arc<dyn Backend> {
        let redis = RedisBackend::builder(url)
            .connect_timeout(HANG)
            .command_timeout(HANG)
            .repeat_notice(after);
        match self {
            Self::RedisRs => Arc::new(redis.connect().await.unwrap_or_else(|e| panic!("{e}"))),
            Self::Pooled => {
                let redis = redis.pool(pool(url, Some(HANG)));
                Arc::new(redis.connect().await.unwrap_or_else(|e| panic!("{e}")))
            }
            Self::Fred => {
                let fred = FredBackend::builder(url)
                    .connect_timeout(HANG)
                    .command_timeout(HANG)
                    .repeat_notice(after);
                Arc::new(fred.connect().await.unwrap_or_else(|e| panic!("{e}")))
            }
        }
    }

    /// Connects in the background, for ever, with this bound for commands and otherwise as an application would.
    ///
    /// # Errors
    /// If the URL cannot be used.
    pub fn connect_lazy(
        self,
        url: &str,
        command_timeout: Duration,
    ) -> Result<Arc<dyn Backend>, BackendError> {
        let redis = RedisBackend::builder(url).command_timeout(command_timeout);
        Ok(match self {
            Self::RedisRs => Arc::new(redis.connect_lazy()?),
            Self::Pooled => Arc::new(redis.pool(pool(url, None)).connect_lazy()?),
            Self::Fred => {
                let fred = FredBackend::builder(url).command_timeout(command_timeout);
                Arc::new(fred.connect_lazy()?)
            }
        })
    }

    /// The adapter of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.to_string() == name)
    }
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RedisRs => "redis-rs",
            Self::Pooled => "redis-rs-pooled",
            Self::Fred => "fred",
        })
    }
}

/// A pool as an application has one: connecting is bounded by the client's second, unless told otherwise.
///
/// # Panics
/// If the URL cannot be used.
#[must_use]
pub fn pool(url: &str, bound: Option<Duration>) -> Pool {
    let mut config = AsyncConnectionConfig::new();
    if let Some(bound) = bound {
        config = config.set_connection_timeout(Some(bound));
        config = config.set_response_timeout(Some(bound));
    }
    let manager = Manager::new_with_config(url, config).unwrap_or_else(|e| panic!("{e}"));
    let pool = Pool::builder(manager).max_size(POOL);
    let pool = pool.runtime(Runtime::Tokio1).build();
    pool.unwrap_or_else(|e| panic!("{e}"))
}

/// One process of ours, whatever its adapter. Values are plain text, as the ancestors store them.
pub struct Ours {
    /// Its client.
    pub likes: Memolock<String, Text>,
    /// Its connections.
    pub backend: Arc<dyn Backend>,
}

/// A call of ours in a task of its own.
pub type Call = JoinHandle<Result<Memo<String>, Error>>;

impl Ours {
    /// Starts one with the settings that `set` changes.
    ///
    /// # Panics
    /// If it cannot connect.
    pub async fn start(
        adapter: Adapter,
        url: &str,
        tag: &str,
        set: impl FnOnce(Builder<String, Text>) -> Builder<String, Text>,
    ) -> Self {
        Self::over(adapter.connect(url).await, tag, set).await
    }

    /// Starts one over connections that are there already.
    ///
    /// # Panics
    /// If a setting cannot be used.
    pub async fn over(
        backend: Arc<dyn Backend>,
        tag: &str,
        set: impl FnOnce(Builder<String, Text>) -> Builder<String, Text>,
    ) -> Self {
        let builder = Memolock::<String>::builder(tag, Arc::clone(&backend)).codec(Text);
        let likes = set(builder).build().await.unwrap_or_else(|e| panic!("{e}"));
        Self { likes, backend }
    }

    /// Asks for `id`, and computes `text` at once if it comes to that.
    #[must_use]
    pub fn get(&self, id: &str, text: &str) -> Call {
        let (likes, id, text) = (self.likes.clone(), id.to_owned(), text.to_owned());
        tokio::spawn(async move {
            let compute = |_| async { Ok::<_, String>(text) };
            likes.entry(&id).or_compute(compute).await
        })
    }

    /// Asks for `id`, which nobody has, and computes until the sender says what comes of it.
    ///
    /// # Panics
    /// If it does not compute.
    pub async fn hold(
        &self,
        id: &str,
    ) -> (tokio::sync::oneshot::Sender<Result<String, String>>, Call) {
        let (end, ended) = tokio::sync::oneshot::channel();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let (likes, id) = (self.likes.clone(), id.to_owned());
        let call = tokio::spawn(async move {
            let compute = |_| async {
                let _ = begin.send(());
                ended.await.unwrap_or_else(|_| Err("nobody".to_owned()))
            };
            likes.entry(&id).or_compute(compute).await
        });
        let begun = timeout(HANG, begun).await.expect("a hang is a failure");
        begun.unwrap_or_else(|_| panic!("it did not compute"));
        (end, call)
    }

    /// The key of `id`.
    ///
    /// # Panics
    /// If the id cannot be used.
    #[must_use]
    pub fn key(&self, id: &str) -> Key {
        let space = self.likes.keyspace();
        space.key(id).unwrap_or_else(|e| panic!("{e}"))
    }
}

/// How a call of ours ended.
///
/// # Errors
/// What the call says.
///
/// # Panics
/// If it hangs or panics.
pub async fn end_of(call: Call) -> Result<Memo<String>, Error> {
    let ended = timeout(HANG, call).await.expect("a hang is a failure");
    ended.unwrap_or_else(|e| panic!("the call: {e}"))
}
