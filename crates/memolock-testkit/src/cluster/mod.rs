//! A cluster for tests: masters and replicas that nobody else uses.

mod form;
mod front;
mod migrate;
mod options;
mod role;
#[cfg(feature = "tls")]
mod secure;
mod slot;
mod start;
mod survey;
mod view;

use futures_util::future::try_join_all;

pub use front::ClusterFront;
pub use migrate::Migration;
pub use options::ClusterOptions;
use survey::Survey;

use crate::server::Ground;
use crate::{Provider, ServerError, TestServer, Value};

/// A Redis or Valkey cluster for a test: three masters with a replica each, or what [`ClusterOptions`]
/// say. Dropping it ends it, with all nodes and networks.
///
/// A node is a [`TestServer`], with its verbs: `cluster.nodes()[0].kill()`. The first nodes are those
/// that began as masters. A node that is [restarted](TestServer::restart) has lost its data and not its
/// place: it still knows the cluster, and rejoins it. Masters and replicas change places, so ask
/// [`master_of`](Self::master_of) when it matters.
///
/// ```no_run
/// # async fn example() -> Result<(), memolock_testkit::ServerError> {
/// use memolock_testkit::TestCluster;
///
/// let cluster = TestCluster::start_local().await?;
/// println!("{}", cluster.url()); // redis-cluster://127.0.0.1:…?node=…&node=…
/// let master = cluster.master_of("likes:{kristoff}").await?;
/// cluster.nodes()[master].kill().await?;
/// cluster.wait_stable().await?; // its replica has taken over
/// cluster.nodes()[master].restart().await?; // comes back as a replica
/// cluster.wait_stable().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestCluster {
    /// Before the ground, which goes last.
    nodes: Vec<TestServer>,
    ground: Ground,
    arguments: Vec<String>,
    url: String,
    #[cfg(feature = "tls")]
    secure: Option<secure::Secure>,
}

impl TestCluster {
    /// Its URL, with all that began as masters: `redis-cluster://127.0.0.1:1?node=127.0.0.1:2&node=…`; with
    /// `rediss-cluster://` if it was started with TLS.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A URL that names these nodes alone, from which a client has to find the others.
    ///
    /// # Panics
    /// If there is no such node, or none is named.
    #[must_use]
    pub fn url_of(&self, indices: &[usize]) -> String {
        let seeds = indices.iter().map(|index| self.seed(*index));
        url(self.scheme(), seeds)
    }

    /// Every node, in the order in which they were started: masters first. The second master is
    /// `nodes()[1]`, until it loses its place.
    #[must_use]
    pub fn nodes(&self) -> &[TestServer] {
        &self.nodes
    }

    /// Where its servers came from, for reports.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        // There is always a first node.
        self.nodes[0].provider()
    }

    /// [`unique_tag`](crate::unique_tag), where a cluster is at hand.
    #[must_use]
    pub fn unique_tag(&self, prefix: &str) -> String {
        crate::unique_tag(prefix)
    }

    /// The slot of a key, as every cluster counts: `{…}` chooses the part that matters.
    #[must_use]
    pub fn slot(key: impl AsRef<[u8]>) -> u16 {
        slot::of(key.as_ref())
    }

    /// Sends one command to the master of `key`, on a connection of its own, and returns the reply. No
    /// redirection is followed.
    ///
    /// # Errors
    /// As [`master_of`](Self::master_of) and [`TestServer::command`].
    pub async fn command<A: AsRef<[u8]>>(
        &self,
        key: &str,
        args: &[A],
    ) -> Result<Value, ServerError> {
        let master = self.master_of(key).await?;
        self.nodes[master].command(args).await
    }

    /// Sends one command to every node, replicas too; the replies are in the order of
    /// [`nodes`](Self::nodes).
    ///
    /// # Errors
    /// The first of [`TestServer::command`].
    pub async fn command_all<A: AsRef<[u8]>>(&self, args: &[A]) -> Result<Vec<Value>, ServerError> {
        try_join_all(self.nodes.iter().map(|node| node.command(args))).await
    }

    async fn survey(&self) -> Survey<'_> {
        Survey::of(&self.nodes).await
    }

    /// The port by which clients and peers come to a node.
    fn port(&self, index: usize) -> u16 {
        #[cfg(feature = "tls")]
        if let Some(secure) = &self.secure {
            return secure.port(index);
        }
        self.nodes[index].port()
    }

    fn scheme(&self) -> &'static str {
        #[cfg(feature = "tls")]
        if self.secure.is_some() {
            return "rediss-cluster";
        }
        PLAIN
    }

    fn seed(&self, index: usize) -> String {
        let node = &self.nodes[index];
        format!("{}:{}", node.host(), self.port(index))
    }

    /// Where a node is, for errors.
    fn place(&self, index: usize) -> String {
        place(&self.nodes[index])
    }
}

fn place(node: &TestServer) -> String {
    node.address().place()
}

/// The scheme of a cluster without TLS.
const PLAIN: &str = "redis-cluster";

/// What is waited for, in errors.
const WHAT: &str = "cluster";

fn url(scheme: &str, seeds: impl Iterator<Item = String>) -> String {
    let mut url = format!("{scheme}://");
    for (i, seed) in seeds.enumerate() {
        url += match i {
            0 => "",
            1 => "?node=",
            _ => "&node=",
        };
        url += &seed;
    }
    url
}
