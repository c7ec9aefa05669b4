//! Which backend to use, and opening it. Another adapter is a name and two match arms here.

use std::sync::Arc;

use clap::ValueEnum;
use memolock::core::{Backend, BackendError, ErrorKind};
#[cfg(feature = "fred")]
use memolock::fred::FredBackend;
use memolock::memory::MemoryBackend;
use memolock::redis_rs::RedisBackend;
use serde::{Deserialize, Serialize};

use crate::cli::Common;
use crate::exit::Failure;

const NO_SERVER: &str = "give --url or set MEMOLOCK_URL, for example redis://127.0.0.1:6379";

/// The backends, by the names they have in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum BackendName {
    // No doc comments: clap would make the help of every command twice as long.
    Memory,
    RedisRs,
    #[cfg(feature = "fred")]
    Fred,
}

/// A backend and its address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Target {
    Memory,
    RedisRs {
        url: String,
    },
    #[cfg(feature = "fred")]
    Fred {
        url: String,
    },
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
        // An empty variable is how shells unset one in passing.
        let url = common.url.as_deref().filter(|url| !url.is_empty());
        let name = match (common.backend, url) {
            (Some(name), _) => name,
            (None, Some(_)) => BackendName::RedisRs,
            (None, None) => BackendName::Memory,
        };
        let server = |name: &str| match url {
            Some(url) => Ok(url.to_owned()),
            None => Err(Failure::usage(format!(
                "--backend {name} needs a server: {NO_SERVER}"
            ))),
        };
        Ok(match name {
            BackendName::Memory => Self::Memory,
            BackendName::RedisRs => Self::RedisRs {
                url: server("redis-rs")?,
            },
            #[cfg(feature = "fred")]
            BackendName::Fred => Self::Fred {
                url: server("fred")?,
            },
        })
    }

    /// Opens it. Fails fast: within about a second.
    pub(crate) async fn open(&self) -> Result<Arc<dyn Backend>, Refusal> {
        match self {
            Self::Memory => Ok(Arc::new(MemoryBackend::new())),
            Self::RedisRs { url } => match RedisBackend::connect(url).await {
                Ok(backend) => Ok(Arc::new(backend)),
                Err(error) => Err(self.refusal(error)),
            },
            #[cfg(feature = "fred")]
            Self::Fred { url } => match FredBackend::connect(url).await {
                Ok(backend) => Ok(Arc::new(backend)),
                Err(error) => Err(self.refusal(error)),
            },
        }
    }

    /// A server that is too old and a URL of a kind that is not supported yet are both `Unsupported`;
    /// only the URL is refused before anything is connected.
    fn refusal(&self, error: BackendError) -> Refusal {
        let address = match (self, error.kind()) {
            (_, ErrorKind::Config) => true,
            (Self::RedisRs { url }, ErrorKind::Unsupported) => {
                RedisBackend::connect_lazy(url).is_err()
            }
            #[cfg(feature = "fred")]
            (Self::Fred { url }, ErrorKind::Unsupported) => FredBackend::connect_lazy(url).is_err(),
            _ => false,
        };
        match address {
            true => Refusal::Address(error),
            false => Refusal::Server(error),
        }
    }
}

/// Opens a backend that other processes share, which `purpose` needs.
pub(crate) async fn open_shared(
    target: &Target,
    purpose: &str,
) -> Result<Arc<dyn Backend>, Failure> {
    shared(target.open().await?, purpose)
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
