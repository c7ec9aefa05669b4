//! A server as a node of a cluster.

use std::sync::Arc;
use std::time::Duration;

use memolock_core::redis::{Address, Fault, Options, Reply};
use memolock_core::{BackendError, BackendStats, Key, Keyspace, Listener, Tag, Tracker};

use crate::cluster::{Node, Opener, Request};
use crate::counters::Counters;
use crate::road::Road;
use crate::server::Server;
use crate::site::{Site, Way};
use crate::trunk::Trunk;

/// Opens the nodes of one cluster.
pub(crate) struct Nodes<R: Road> {
    options: Options,
    way: Way<R::Client>,
    counters: Arc<Counters>,
}

impl<R: Road> Nodes<R> {
    pub(crate) fn new(options: Options, way: Way<R::Client>) -> Self {
        Self {
            options,
            way,
            counters: Arc::default(),
        }
    }
}

impl<R: Road> Opener for Nodes<R> {
    type Node = Server<R>;
    const NAME: &'static str = R::CLUSTER;
    const TELLS_OF_SLOTS: bool = R::TELLS_OF_SLOTS;

    fn open(&self, address: &Address) -> Result<Server<R>, Fault> {
        let site = Site::open(address.clone(), self.options.clone(), self.way.clone());
        Ok(Server::open(site, Arc::clone(&self.counters), R::pave))
    }

    fn introduce(&self, tag: &Tag) {
        self.way.names.introduce(tag);
    }

    fn repeat_notice(&self) -> Option<Duration> {
        self.options.repeat_notice
    }

    fn stats(&self) -> BackendStats {
        self.counters.stats()
    }
}

impl<R: Road> Node for Server<R> {
    async fn ask(&self, request: Request<'_>, asking: bool) -> Result<Reply, Fault> {
        if let Request::Call(call) = request
            && let Some(side) = self.side(call)
        {
            // Boxed: it is rare, and every command's future would have room for it.
            return Box::pin(side.run(call, asking)).await;
        }
        self.road.ask(request, asking).await
    }

    async fn knows_scripts(&self) -> Result<(), Fault> {
        self.road.is_of_use().await
    }

    async fn listen(&self, key: &Key) -> Result<Listener, BackendError> {
        self.subscriptions.subscribe(key).await
    }

    fn track(&self, space: &Keyspace) -> Tracker {
        self.subscriptions.track(space)
    }

    fn is_down(&self) -> bool {
        let link = self.road.trunk().map(Trunk::link);
        link.is_some_and(|link| matches!(link.now(), Some(Err(_))))
    }

    async fn down(&self) {
        match self.road.trunk() {
            Some(trunk) => drop(trunk.link().hopeless().await),
            None => std::future::pending().await,
        }
    }

    fn condition(&self) -> &'static str {
        Server::condition(self)
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
