//! A server as a node of a cluster.

use std::sync::Arc;

use memolock_core::redis::{Address, Fault, Options, Reply};
use memolock_core::{BackendError, BackendStats, Key, Keyspace, Listener, Tag, Tracker};
use memolock_redis_common::cluster::{Node, Opener, Request};
use memolock_redis_common::{Counters, Site, Trunk, Way};
use redis::Cmd;

use crate::command::Commands;
use crate::dial::Redis;
use crate::road::Road;
use crate::server::Server;

/// Opens the nodes of one cluster.
pub(crate) struct Nodes {
    options: Options,
    way: Way<Redis>,
    counters: Arc<Counters>,
}

impl Nodes {
    pub(crate) fn new(options: Options, way: Way<Redis>) -> Self {
        Self {
            options,
            way,
            counters: Arc::default(),
        }
    }
}

impl Opener for Nodes {
    type Node = Server;
    const NAME: &'static str = "redis-rs-cluster";
    const TELLS_OF_SLOTS: bool = true;

    fn open(&self, address: &Address) -> Result<Server, Fault> {
        let site = Site::open(address.clone(), self.options.clone(), self.way.clone());
        let counters = Arc::clone(&self.counters);
        let pave = |site: &_, counters: &_, doubt| {
            Road::Own(Commands::new(Trunk::open(site, counters, doubt)))
        };
        Ok(Server::open(site, counters, pave))
    }

    fn introduce(&self, tag: &Tag) {
        self.way.names.introduce(tag);
    }

    fn stats(&self) -> BackendStats {
        self.counters.stats()
    }
}

impl Node for Server {
    async fn ask(&self, request: Request<'_>, asking: bool) -> Result<Reply, Fault> {
        // There is one road only where there are no pools.
        #[cfg_attr(
            not(feature = "deadpool"),
            allow(clippy::infallible_destructuring_match)
        )]
        let commands = match &self.road {
            Road::Own(commands) => commands,
            #[cfg(feature = "deadpool")]
            // Pools are refused with clusters: they lead to one server.
            Road::Pooled(_) => return Err(Fault::closed()),
        };
        match request {
            Request::Words(words) => {
                let bytes: usize = words.iter().map(bytes::Bytes::len).sum();
                let mut command = Cmd::with_capacity(words.len(), bytes);
                for word in words {
                    command.arg(word.as_ref());
                }
                match asking {
                    true => commands.send_asking(command).await,
                    false => commands.send(&command).await,
                }
            }
            Request::Call(call) if asking => commands.run_asking(call).await,
            Request::Call(call) => commands.run(call).await,
        }
    }

    async fn knows_scripts(&self) -> Result<(), Fault> {
        match &self.road {
            Road::Own(commands) => commands.knows_scripts().await,
            #[cfg(feature = "deadpool")]
            Road::Pooled(_) => Ok(()),
        }
    }

    async fn listen(&self, key: &Key) -> Result<Listener, BackendError> {
        self.subscriptions.subscribe(key).await
    }

    fn track(&self, space: &Keyspace) -> Tracker {
        self.subscriptions.track(space)
    }

    fn is_down(&self) -> bool {
        self.road.is_down()
    }

    async fn down(&self) {
        self.road.down().await;
    }

    fn condition(&self) -> &'static str {
        self.road.condition()
    }

    fn subscriptions(&self) -> usize {
        self.subscriptions.keys()
    }

    fn close(&self) {
        self.shut();
    }

    async fn ended(&self) {
        self.over().await;
    }
}
