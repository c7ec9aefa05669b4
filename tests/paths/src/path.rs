//! The paths by name, and walking them.

use anyhow::Result;

use crate::local::Local;
use crate::remote::Remote;

/// A hot path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    Near,
    Get,
    Hit,
    Miss,
    Join,
    Client,
    Adapter,
    Redis,
}

impl Path {
    pub(crate) const ALL: [Self; 8] = [
        Self::Near,
        Self::Get,
        Self::Hit,
        Self::Miss,
        Self::Join,
        Self::Client,
        Self::Adapter,
        Self::Redis,
    ];

    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|path| path.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Near => "near-hit",
            Self::Get => "get",
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Join => "join",
            Self::Client => "client-get",
            Self::Adapter => "adapter-get",
            Self::Redis => "redis-hit",
        }
    }

    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Near => "get_or_compute of a value in the near cache",
            Self::Get => "Memolock::get of a stored value, embedded backend",
            Self::Hit => "get_or_compute of a stored value, embedded backend",
            Self::Miss => "get_or_compute that computes and stores, embedded backend",
            Self::Join => "one of 1,000 callers who join a flight, to their answer",
            Self::Client => "the redis crate's own GET, to a server in the same thread",
            Self::Adapter => "RedisBackend::get, to the same server",
            Self::Redis => "get_or_compute of a stored value over RedisBackend, to the same server",
        }
    }

    /// How often it is walked before anything is counted: tables and queues have grown then.
    pub(crate) const fn warm_up(self) -> u64 {
        match self {
            Self::Join => 2000,
            _ => 100,
        }
    }

    pub(crate) async fn prepare(self) -> Result<Walk> {
        Ok(match self {
            Self::Near => Walk::Local(self, Local::near().await?),
            Self::Get | Self::Hit | Self::Miss | Self::Join => {
                Walk::Local(self, Local::new().await?)
            }
            Self::Client | Self::Adapter | Self::Redis => Walk::Remote(self, Remote::new().await?),
        })
    }
}

/// A path, and what walking it needs.
pub(crate) enum Walk {
    Local(Path, Local),
    Remote(Path, Remote),
}

impl Walk {
    pub(crate) async fn go(&mut self, times: u64) -> Result<()> {
        match self {
            Self::Local(Path::Get, local) => local.get(times).await,
            Self::Local(Path::Near | Path::Hit, local) => local.hit(times).await,
            Self::Local(Path::Miss, local) => local.miss(times).await,
            Self::Local(_, local) => local.join(times).await,
            Self::Remote(Path::Client, remote) => remote.client(times).await,
            Self::Remote(Path::Adapter, remote) => remote.adapter(times).await,
            Self::Remote(_, remote) => remote.hit(times).await,
        }
    }
}
