//! A fault: what is done to a server or a process, and what must come of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use memolock::Notifications;
use memolock_testkit::{
    ClusterOptions, ServerError, TestCluster, TestSentinel, TestServer, TlsServer,
};

use super::act::Act;
use super::stage::Stage;
use crate::{Adapter, Ground};

/// One fault and its name. Each adapter meets it on a ground of its own.
#[derive(Clone, Copy)]
pub struct Fault {
    /// For choosing it.
    pub name: &'static str,
    /// What is done, for the table.
    pub what: &'static str,
    /// Where the servers must be.
    pub place: Place,
    /// Begins it.
    pub(super) strike: fn(Arc<Stage>) -> Act,
    /// How long it lasts, besides what the acts take.
    pub lasts: Duration,
    /// Ends it.
    pub(super) mend: fn(Arc<Stage>) -> Act,
    /// When the holder's compute ends.
    pub ends: Ends,
    /// How large the holder's value is, at least.
    pub bytes: usize,
    /// Backends that wait for it.
    pub waiters: usize,
    /// The bound of commands, if not the adapters' own.
    pub bound: Option<Duration>,
    /// How everybody is told.
    pub notifications: Notifications,
    /// How long leases last.
    pub lease: Duration,
    /// What must come of it.
    pub expected: Expected,
}

/// Where a fault's servers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A process of our own.
    Spawned,
    /// A container: needs Docker.
    Container,
    /// A process behind TLS.
    Tls,
    /// A cluster of processes: three masters with a replica each.
    Cluster,
    /// The same in containers.
    ClusterOfContainers,
    /// A cluster of processes with TLS.
    ClusterWithTls,
    /// Processes: a master and its replica, watched by three sentinels.
    Sentinel,
    /// The same in containers.
    SentinelOfContainers,
}

impl Place {
    /// Whether it is nowhere but where Docker is.
    #[must_use]
    pub fn wants_docker(self) -> bool {
        matches!(
            self,
            Self::Container | Self::ClusterOfContainers | Self::SentinelOfContainers
        )
    }

    /// Whether a replica can take a master's place.
    #[must_use]
    pub fn has_replicas(self) -> bool {
        !matches!(self, Self::Spawned | Self::Container | Self::Tls)
    }

    /// Who can connect: an application's pool leads to one server, and is the application's to secure.
    #[must_use]
    pub fn adapters(self) -> &'static [Adapter] {
        match self {
            Self::Spawned | Self::Container => &Adapter::ALL,
            _ => &[Adapter::RedisRs, Adapter::Fred],
        }
    }

    /// Servers that nobody else uses.
    pub(super) async fn open(self) -> Result<Ground, ServerError> {
        Ok(match self {
            Self::Spawned => TestServer::start_local().await?.into(),
            Self::Container => TestServer::start_docker().await?.into(),
            Self::Tls => TlsServer::start().await?.into(),
            Self::Cluster => TestCluster::start_local().await?.into(),
            Self::ClusterWithTls => TestCluster::start_tls(ClusterOptions::default())
                .await?
                .into(),
            Self::ClusterOfContainers => TestCluster::start_docker().await?.into(),
            Self::Sentinel => TestSentinel::start_local().await?.into(),
            Self::SentinelOfContainers => TestSentinel::start_docker().await?.into(),
        })
    }
}

/// When the holder's compute ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// In the middle of the fault.
    During,
    /// When the fault is over.
    After,
    /// It has no time for that.
    Never,
}

/// Whose value it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Maker {
    /// The holder's.
    Holder,
    /// A waiter's own.
    Waiter,
    /// There is none.
    Nobody,
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holder => "holder",
            Self::Waiter => "waiter",
            Self::Nobody => "nobody",
        })
    }
}

/// What a fault must leave a trace in, or it never took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Felt {
    /// Calls computed without a lease.
    Degraded,
    /// Connections were made anew.
    Reconnects,
    /// Waiters' connections were made anew, each of them.
    WaitersReconnect,
    /// Servers counted errors of this code.
    Errors(&'static str),
    /// The waiter took over.
    Takeover,
}

/// What must come of a fault, whatever the adapter. What holds for every fault is in `verdict.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Its trace.
    pub felt: Felt,
    /// Whose value waiters may get.
    pub waiter: &'static [Maker],
    /// Whose value may be stored when all is over.
    pub stored: &'static [Maker],
    /// The store loses nothing, so that who listened before the fault is woken by a message after it.
    pub keeps_listeners: bool,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault({})", self.name)
    }
}
