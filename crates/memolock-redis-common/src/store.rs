//! What an adapter's backend is: one server, or the nodes of a cluster.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use memolock_core::redis::{Address, Options, Topology};
use memolock_core::{Backend, BackendError};

use crate::cluster::Cluster;
use crate::counters::Counters;
use crate::link::Doubt;
use crate::nodes::Nodes;
use crate::road::Road;
use crate::server::Server;
use crate::site::{Site, Way};

/// A server or a cluster. Cheap to clone; the clones share their connections, two for each server, and with the last of
/// them the connections and their tasks end.
pub struct Store<R: Road>(Shape<R>);

enum Shape<R: Road> {
    Server(Arc<Server<R>>),
    Cluster(Cluster<Nodes<R>>),
}

impl<R: Road> Store<R> {
    /// Opens the links; nothing is sent before it returns. The road to a single server is what `pave` makes, the ones to
    /// the nodes of a cluster [`Road::pave`].
    ///
    /// # Panics
    /// Outside of a tokio runtime, unless the way names one.
    pub fn open(
        address: Address,
        options: Options,
        way: Way<R::Client>,
        pave: impl FnOnce(&Arc<Site<R::Client>>, &Arc<Counters>, Doubt) -> R,
    ) -> Self {
        // Tasks that are spawned here stay with it, and spawn all others there.
        let runtime = way.runtime();
        let _entered = runtime.enter();
        Self(match address.topology() {
            Topology::Cluster => {
                let bound = options.command_timeout;
                let nodes = Nodes::new(options, way);
                Shape::Cluster(Cluster::open(nodes, &address, bound))
            }
            Topology::Single | Topology::Sentinel { .. } => {
                let site = Site::open(address, options, way);
                let server = Server::open(site, Arc::default(), pave);
                Shape::Server(Arc::new_cyclic(|this| server.repeating(this)))
            }
        })
    }

    /// Waits until the first attempt to connect has ended, which is bounded by itself. Dropping the future leaves the
    /// links to their tasks.
    ///
    /// # Errors
    /// It has failed, or what is there is of no use.
    pub async fn ready(&self) -> Result<(), BackendError> {
        // Behind a pointer: else all that a connection is made of is nested in the types of users' futures, more
        // deeply than their compiler looks by itself.
        let ready: Pin<Box<dyn Future<Output = _> + Send + '_>> = match &self.0 {
            Shape::Server(server) => Box::pin(server.ready()),
            Shape::Cluster(cluster) => Box::pin(cluster.ready()),
        };
        ready.await
    }

    /// Waits until no notice is pending that is to be repeated: each was sent, or dropped. At once where notices are not
    /// repeated. Cancel-safe.
    pub async fn notices_repeated(&self) {
        let repeats = match &self.0 {
            Shape::Server(server) => server.repeats(),
            Shape::Cluster(cluster) => cluster.repeats(),
        };
        if let Some(repeats) = repeats {
            repeats.idle().await;
        }
    }

    /// What to hand commands on to.
    // Not as the `Arc`, which is a backend too and would box each call again.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        match &self.0 {
            Shape::Server(server) => &**server,
            Shape::Cluster(cluster) => cluster,
        }
    }
}

impl<R: Road> Clone for Store<R> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Shape::Server(server) => Shape::Server(Arc::clone(server)),
            Shape::Cluster(cluster) => Shape::Cluster(cluster.clone()),
        })
    }
}

/// The addresses and the state of the links; never user or password.
impl<R: Road> fmt::Debug for Store<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::Server(server) => server.fmt(f),
            Shape::Cluster(cluster) => f
                .debug_struct(R::BACKEND)
                .field("nodes", cluster)
                .finish_non_exhaustive(),
        }
    }
}
