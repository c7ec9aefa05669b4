//! Where a fleet meets: one server, one behind TLS, a cluster, or a master that Sentinel watches over.

use std::path::PathBuf;

use memolock::core::{Key, Keyspace, Layout, Tag};
use memolock_testkit::{TestCluster, TestSentinel, TestServer, TlsServer, Value};

use crate::{Adapter, cli};

/// Servers of one test, and how one gets at what is stored there.
pub enum Ground {
    /// One server.
    Server(TestServer),
    /// The same by its port with TLS.
    Tls(Box<TlsServer>),
    /// A cluster.
    Cluster(TestCluster),
    /// A master and its replicas.
    Sentinel(TestSentinel),
}

impl Ground {
    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> &str {
        match self {
            Self::Server(server) => server.url(),
            Self::Tls(tls) => tls.url(),
            Self::Cluster(cluster) => cluster.url(),
            Self::Sentinel(sentinel) => sentinel.url(),
        }
    }

    /// The file of the authority that clients must trust, if it is none of the public ones.
    #[must_use]
    pub fn authority(&self) -> Option<PathBuf> {
        match self {
            Self::Tls(tls) => Some(tls.dir().join("ca.pem")),
            Self::Cluster(cluster) => Some(cluster.tls_dir()?.join("ca.pem")),
            Self::Server(_) | Self::Sentinel(_) => None,
        }
    }

    /// Who can connect: an application's pool leads to one server, and is the application's to secure.
    #[must_use]
    pub fn adapters(&self) -> &'static [Adapter] {
        match self {
            Self::Server(_) => &Adapter::ALL,
            Self::Tls(_) | Self::Cluster(_) | Self::Sentinel(_) => {
                &[Adapter::RedisRs, Adapter::Fred]
            }
        }
    }

    /// The key of `id`, in the layout that memolocks have here unless told otherwise.
    ///
    /// # Panics
    /// If it cannot be one.
    #[must_use]
    pub fn key(&self, tag: &str, id: &str) -> Key {
        let layout = match self {
            Self::Cluster(_) => Layout::HashTagged,
            _ => Layout::Classic,
        };
        let tag = Tag::new(tag).unwrap_or_else(|e| panic!("{e}"));
        let space = Keyspace::new(tag, layout).unwrap_or_else(|e| panic!("{e}"));
        space.key(id).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The server that has this name now.
    ///
    /// # Panics
    /// If no server has it.
    pub async fn server_of(&self, name: &str) -> &TestServer {
        match self {
            Self::Server(server) => server,
            Self::Tls(tls) => tls.server(),
            Self::Cluster(cluster) => {
                let at = cluster.master_of(name).await;
                &cluster.nodes()[at.unwrap_or_else(|e| panic!("{name}: {e}"))]
            }
            Self::Sentinel(sentinel) => {
                let at = sentinel.master().await;
                &sentinel.servers()[at.unwrap_or_else(|e| panic!("{name}: {e}"))]
            }
        }
    }

    /// Every server that may hold data: masters and replicas.
    #[must_use]
    pub fn servers(&self) -> &[TestServer] {
        match self {
            Self::Server(server) => std::slice::from_ref(server),
            Self::Tls(tls) => std::slice::from_ref(tls.server()),
            Self::Cluster(cluster) => cluster.nodes(),
            Self::Sentinel(sentinel) => sentinel.servers(),
        }
    }

    /// The servers that have all that is stored now.
    ///
    /// # Panics
    /// If nobody says which they are.
    pub async fn masters(&self) -> Vec<&TestServer> {
        match self {
            Self::Cluster(cluster) => {
                let masters = cluster.masters().await;
                masters.into_iter().map(|at| &cluster.nodes()[at]).collect()
            }
            // Any name will do.
            _ => vec![self.server_of("").await],
        }
    }

    /// Returns once all servers agree on who is what, but for those that are known to have failed.
    ///
    /// # Panics
    /// If they never do.
    pub async fn settled(&self) {
        let settled = match self {
            Self::Server(_) | Self::Tls(_) => Ok(()),
            Self::Cluster(cluster) => cluster.wait_stable().await,
            Self::Sentinel(sentinel) => sentinel.wait_stable().await,
        };
        settled.unwrap_or_else(|e| panic!("{e}"));
    }

    /// Sends one command to the server that has this name now, as by `redis-cli`.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn command(&self, name: &str, words: &[&str]) -> Value {
        cli(self.server_of(name).await, words).await
    }

    /// How many connections listen to a channel. In a cluster each may be at any node that lives.
    ///
    /// # Panics
    /// If a server says nothing sensible.
    pub async fn listeners(&self, channel: &str) -> i64 {
        self.numbers("NUMSUB", channel).await
    }

    /// The same of a sharded channel.
    ///
    /// # Panics
    /// If a server says nothing sensible.
    pub async fn sharded_listeners(&self, channel: &str) -> i64 {
        self.numbers("SHARDNUMSUB", channel).await
    }

    async fn numbers(&self, verb: &str, channel: &str) -> i64 {
        let words = ["PUBSUB", verb, channel];
        let count = |reply: &Value| reply.items()[1].as_int().expect("a number");
        let Self::Cluster(cluster) = self else {
            return count(&self.command(channel, &words).await);
        };
        let mut all = 0;
        for node in cluster.nodes() {
            // One that is down has no listeners.
            all += node.command(&words).await.as_ref().map_or(0, count);
        }
        all
    }

    /// What it is, and its version by its own word.
    pub async fn name(&self) -> String {
        let info = self.command("version", &["INFO", "server"]).await;
        let info = info.as_str().unwrap_or_default();
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
        let version = match field("valkey_version:") {
            Some(version) => format!("Valkey {version}"),
            None => format!("Redis {}", field("redis_version:").unwrap_or("?")),
        };
        let (what, provider) = match self {
            Self::Server(server) => ("", server.provider()),
            Self::Tls(tls) => (" with TLS", tls.server().provider()),
            Self::Cluster(cluster) => match cluster.tls_dir() {
                Some(_) => (" in a cluster with TLS", cluster.provider()),
                None => (" in a cluster", cluster.provider()),
            },
            Self::Sentinel(sentinel) => (" under Sentinel", sentinel.provider()),
        };
        format!("{version}{what}, {provider}")
    }
}

impl From<TestServer> for Ground {
    fn from(server: TestServer) -> Self {
        Self::Server(server)
    }
}

impl From<TlsServer> for Ground {
    fn from(server: TlsServer) -> Self {
        Self::Tls(Box::new(server))
    }
}

impl From<TestCluster> for Ground {
    fn from(cluster: TestCluster) -> Self {
        Self::Cluster(cluster)
    }
}

impl From<TestSentinel> for Ground {
    fn from(sentinel: TestSentinel) -> Self {
        Self::Sentinel(sentinel)
    }
}
