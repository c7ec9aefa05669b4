//! A server as a node of a cluster.

use std::sync::Arc;

use memolock_core::redis::{Address, Fault, Options, Reply};
use memolock_core::{BackendError, BackendStats, Key, Keyspace, Listener, Tag, Tracker};
use memolock_redis_common::cluster::{Node, Opener, Request};
use memolock_redis_common::{Counters, Site, Way};

use crate::dial::Fred;
use crate::server::Server;

/// Opens the nodes of one cluster.
pub(crate) struct Nodes {
    options: Options,
    way: Way<Fred>,
    counters: Arc<Counters>,
}

impl Nodes {
    pub(crate) fn new(options: Options, way: Way<Fred>) -> Self {
        Self {
            options,
            way,
            counters: Arc::default(),
        }
    }
}

impl Opener for Nodes {
    type Node = Server;
    const NAME: &'static str = "fred-cluster";
    // fred drops the word that says so, unread.
    const TELLS_OF_SLOTS: bool = false;

    fn open(&self, address: &Address) -> Result<Server, Fault> {
        let site = Site::open(address.clone(), self.options.clone(), self.way.clone());
        Ok(Server::open(site, Arc::clone(&self.counters)))
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
        match request {
            // fred's own, which may share a write with its neighbours.
            Request::Words([verb, name]) if &**verb == b"GET" && !asking => {
                let name = String::from_utf8_lossy(name).into_owned();
                self.commands.get(name).await
            }
            Request::Words(words) => self.commands.words(words, asking).await,
            Request::Call(call) if asking => self.commands.run_asking(call).await,
            Request::Call(call) => self.commands.run(call).await,
        }
    }

    async fn knows_scripts(&self) -> Result<(), Fault> {
        self.commands.knows_scripts().await
    }

    async fn listen(&self, key: &Key) -> Result<Listener, BackendError> {
        self.subscriptions.subscribe(key).await
    }

    fn track(&self, space: &Keyspace) -> Tracker {
        self.subscriptions.track(space)
    }

    fn is_down(&self) -> bool {
        matches!(self.commands.trunk().link().now(), Some(Err(_)))
    }

    async fn down(&self) {
        self.commands.trunk().link().hopeless().await;
    }

    fn condition(&self) -> &'static str {
        self.commands.trunk().link().condition()
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
