//! Which backend to use, and opening it. Another adapter is a name and two match arms here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
#[cfg(feature = "deadpool")]
use memolock::core::Operation;
use memolock::core::{Backend, BackendError, ErrorKind};
#[cfg(feature = "fred")]
use memolock::fred::FredBackend;
use memolock::memory::MemoryBackend;
#[cfg(feature = "postgres")]
use memolock::postgres::PgBackend;
use memolock::redis_rs::RedisBackend;
use serde::{Deserialize, Serialize};

use crate::cli::Common;
use crate::exit::Failure;
use crate::repeat::{RepeatNotice, Repeating};
use crate::tls::TlsFiles;

/// How long connecting may take at least: some of it is work of the client, such as TLS, and not of the store.
const CONNECT: Duration = Duration::from_secs(1);

const NO_SERVER: &str = "give --url or set MEMOLOCK_URL, for example redis://127.0.0.1:6379";

/// The backends, by the names they have in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum BackendName {
    // No doc comments: clap would make the help of every command twice as long.
    Memory,
    RedisRs,
    #[cfg(feature = "deadpool")]
    RedisRsPooled,
    #[cfg(feature = "fred")]
    Fred,
    #[cfg(feature = "postgres")]
    Postgres,
}

/// A backend and its address.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Target {
    Memory,
    RedisRs {
        url: String,
        tls: TlsFiles,
    },
    #[cfg(feature = "deadpool")]
    RedisRsPooled {
        url: String,
    },
    #[cfg(feature = "fred")]
    Fred {
        url: String,
        tls: TlsFiles,
    },
    #[cfg(feature = "postgres")]
    Postgres {
        url: String,
    },
}

/// The backend alone: its URL may hold a password.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "Memory",
            Self::RedisRs { .. } => "RedisRs",
            #[cfg(feature = "deadpool")]
            Self::RedisRsPooled { .. } => "RedisRsPooled",
            #[cfg(feature = "fred")]
            Self::Fred { .. } => "Fred",
            #[cfg(feature = "postgres")]
            Self::Postgres { .. } => "Postgres",
        })
    }
}

/// Why a backend was not opened.
pub(crate) enum Refusal {
    /// The address cannot be used.
    Address(BackendError),
    /// The address is fine, and what is there cannot be used now.
    Server(BackendError),
}

impl Target {
    /// What the command line asks for. Without a URL that is the embedded backend.
    pub(crate) fn choose(common: &Common) -> Result<Self, Failure> {
        match common.backend.as_slice() {
            [] => Self::named(common, None),
            [name] => Self::named(common, Some(*name)),
            _ => Err(Failure::usage("--backend takes one name here, not a list")),
        }
    }

    /// The same for a herd, whose processes may be of several kinds. At least one.
    pub(crate) fn choose_many(common: &Common) -> Result<Vec<Self>, Failure> {
        match common.backend.as_slice() {
            [] => Ok(vec![Self::named(common, None)?]),
            names => names
                .iter()
                .map(|n| Self::named(common, Some(*n)))
                .collect(),
        }
    }

    fn named(common: &Common, name: Option<BackendName>) -> Result<Self, Failure> {
        // An empty variable is how shells unset one in passing.
        let url = common.url.as_deref().filter(|url| !url.is_empty());
        let name = match (name, url) {
            (Some(name), _) => name,
            #[cfg(feature = "postgres")]
            (None, Some(url)) if is_postgres(url) => BackendName::Postgres,
            (None, Some(_)) => BackendName::RedisRs,
            (None, None) => BackendName::Memory,
        };
        let server = |name: &str| match url {
            Some(url) => Ok(url.to_owned()),
            None => Err(Failure::usage(format!(
                "--backend {name} needs a server: {NO_SERVER}"
            ))),
        };
        let tls = common.tls.clone();
        let takes_tls = match name {
            BackendName::RedisRs => true,
            #[cfg(feature = "fred")]
            BackendName::Fred => true,
            _ => false,
        };
        if !takes_tls && !tls.is_empty() {
            let line = "--tls-ca, --tls-cert and --tls-key are for the backends redis-rs and fred; over PostgreSQL, add sslrootcert, sslcert and sslkey to the URL";
            return Err(Failure::usage(line));
        }
        Ok(match name {
            BackendName::Memory => Self::Memory,
            BackendName::RedisRs => Self::RedisRs {
                url: server("redis-rs")?,
                tls,
            },
            #[cfg(feature = "deadpool")]
            BackendName::RedisRsPooled => Self::RedisRsPooled {
                url: server("redis-rs-pooled")?,
            },
            #[cfg(feature = "fred")]
            BackendName::Fred => Self::Fred {
                url: server("fred")?,
                tls,
            },
            #[cfg(feature = "postgres")]
            BackendName::Postgres => Self::Postgres {
                url: server("postgres")?,
            },
        })
    }

    /// Opens it, for commands that may take as long as `timeout`. Fails fast: within about a second, or `timeout` if
    /// that is longer.
    pub(crate) async fn open(&self, timeout: Duration) -> Result<Arc<dyn Backend>, Refusal> {
        let opened = self.open_repeating(timeout, RepeatNotice::default()).await;
        opened.map(|(backend, _)| backend)
    }

    /// Refuses an option that the backend would ignore.
    pub(crate) fn check(&self, repeat: RepeatNotice) -> Result<(), Failure> {
        match self {
            Self::Memory => repeat.refuse(),
            #[cfg(feature = "postgres")]
            Self::Postgres { .. } => repeat.refuse(),
            _ => Ok(()),
        }
    }

    /// The same with a backend that repeats notices, if it is to.
    pub(crate) async fn open_repeating(
        &self,
        timeout: Duration,
        repeat: RepeatNotice,
    ) -> Result<(Arc<dyn Backend>, Repeating), Refusal> {
        let connect = timeout.max(CONNECT);
        match self {
            Self::Memory => Ok((Arc::new(MemoryBackend::new()), Repeating::Nothing)),
            Self::RedisRs { url, tls } => {
                let tls = tls.read().map_err(Refusal::Address)?;
                let builder = RedisBackend::builder(url).tls(tls);
                let builder = builder.connect_timeout(connect).command_timeout(timeout);
                let builder = match repeat.after() {
                    Some(after) => builder.repeat_notice(after),
                    None => builder,
                };
                self.opened(builder.connect().await, Repeating::RedisRs)
            }
            #[cfg(feature = "deadpool")]
            Self::RedisRsPooled { url } => {
                let pooled = pooled(url, connect, timeout, repeat).await;
                self.opened(pooled, Repeating::RedisRs)
            }
            #[cfg(feature = "fred")]
            Self::Fred { url, tls } => {
                let tls = tls.read().map_err(Refusal::Address)?;
                let builder = FredBackend::builder(url).tls(tls);
                let builder = builder.connect_timeout(connect).command_timeout(timeout);
                let builder = match repeat.after() {
                    Some(after) => builder.repeat_notice(after),
                    None => builder,
                };
                self.opened(builder.connect().await, Repeating::Fred)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres { url } => {
                let opened = with_table(url, connect, timeout).await;
                self.opened(opened, |_| Repeating::Nothing)
            }
        }
    }

    /// A backend that was opened, or why it was not.
    fn opened<B: Backend + Clone>(
        &self,
        opened: Result<B, BackendError>,
        repeating: impl FnOnce(B) -> Repeating,
    ) -> Result<(Arc<dyn Backend>, Repeating), Refusal> {
        match opened {
            Ok(backend) => Ok((Arc::new(backend.clone()), repeating(backend))),
            Err(error) => Err(self.refusal(error)),
        }
    }

    /// A server that is too old and a URL of a kind that is not supported yet are both `Unsupported`;
    /// only the URL is refused before anything is connected.
    fn refusal(&self, error: BackendError) -> Refusal {
        let address = match (self, error.kind()) {
            (_, ErrorKind::Config) => true,
            (Self::RedisRs { url, .. }, ErrorKind::Unsupported) => {
                RedisBackend::connect_lazy(url).is_err()
            }
            #[cfg(feature = "deadpool")]
            (Self::RedisRsPooled { url }, ErrorKind::Unsupported) => {
                RedisBackend::connect_lazy(url).is_err()
            }
            #[cfg(feature = "fred")]
            (Self::Fred { url, .. }, ErrorKind::Unsupported) => {
                FredBackend::connect_lazy(url).is_err()
            }
            _ => false,
        };
        match address {
            true => Refusal::Address(error),
            false => Refusal::Server(error),
        }
    }
}

/// Over a pool, as an application that owns one would have it.
#[cfg(feature = "deadpool")]
async fn pooled(
    url: &str,
    connect: Duration,
    timeout: Duration,
    repeat: RepeatNotice,
) -> Result<RedisBackend, BackendError> {
    use memolock::redis_rs::deadpool_redis::redis::AsyncConnectionConfig;
    use memolock::redis_rs::deadpool_redis::{Manager, Pool, Runtime};

    const CONNECTIONS: usize = 32;
    let refused = || {
        let detail = "the pool cannot be made of this URL";
        BackendError::new(ErrorKind::Config, Operation::Connect, detail)
    };
    // Before the pool: what the adapter says of other URLs is about memolock, not about pools.
    RedisBackend::connect_lazy(url)?;
    let info = RedisBackend::connection_info(url)?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect))
        .set_response_timeout(Some(timeout));
    let manager = Manager::new_with_config(info, config).map_err(|_| refused())?;
    let pool = Pool::builder(manager)
        .max_size(CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|_| refused())?;
    let builder = RedisBackend::builder(url).pool(pool);
    let builder = builder.connect_timeout(connect).command_timeout(timeout);
    let builder = match repeat.after() {
        Some(after) => builder.repeat_notice(after),
        None => builder,
    };
    builder.connect().await
}

#[cfg(feature = "postgres")]
fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Where there is no table yet, it is made: who runs a command wants it to work.
#[cfg(feature = "postgres")]
async fn with_table(
    url: &str,
    connect: Duration,
    timeout: Duration,
) -> Result<PgBackend, BackendError> {
    let builder = PgBackend::builder(url);
    let builder = builder.connect_timeout(connect).command_timeout(timeout);
    match builder.clone().connect().await {
        Err(error) if error.detail().contains("there is no table") => {
            builder.create_table().await?;
            builder.connect().await
        }
        outcome => outcome,
    }
}

/// Refuses a backend that nobody else sees.
pub(crate) fn shared(
    backend: Arc<dyn Backend>,
    purpose: &str,
) -> Result<Arc<dyn Backend>, Failure> {
    let capabilities = backend.capabilities();
    if capabilities.shared {
        return Ok(backend);
    }
    let name = capabilities.name;
    Err(Failure::usage(format!(
        "{purpose} needs a server, and the {name} backend is for one process alone: {NO_SERVER}"
    )))
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Address(error) => Self::usage(error),
            Refusal::Server(error) => error.into(),
        }
    }
}
