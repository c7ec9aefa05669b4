//! Where several servers that know each other are started: side by side as processes, or in
//! containers on a network of their own.

use std::path::PathBuf;

use super::TestServer;
#[cfg(feature = "docker")]
use super::bridge::Bridge;
use super::search::Source;

/// What a server program is started as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    /// The same, with a Unix socket too.
    Unix,
    /// A node of a cluster: it listens for its peers too, [`BUS`] above its port.
    Node,
    /// It wants a file of its own to write to.
    Sentinel,
}

/// How far the port for peers is from a cluster node's own, where nothing else is said.
pub(crate) const BUS: u16 = 10_000;

/// It outlives the servers that are started on it.
#[derive(Debug)]
pub(crate) enum Ground {
    Local(PathBuf),
    #[cfg(feature = "docker")]
    Docker(Bridge),
}

impl Ground {
    pub(crate) async fn open(source: Source) -> Result<Self, String> {
        match source {
            Source::Local(program) => Ok(Self::Local(program)),
            #[cfg(feature = "docker")]
            Source::Docker { image, pull } => Bridge::open(&image, pull).await.map(Self::Docker),
            #[cfg(not(feature = "docker"))]
            Source::Docker { .. } => Err(super::NO_DOCKER.into()),
            Source::Url => Err("one server is not several".into()),
        }
    }

    pub(crate) async fn start(&self, role: Role, options: &[&str]) -> Result<TestServer, String> {
        match self {
            Self::Local(program) => TestServer::local(program.clone(), options, role).await,
            #[cfg(feature = "docker")]
            Self::Docker(bridge) => TestServer::member(bridge, options, role).await,
        }
    }
}
