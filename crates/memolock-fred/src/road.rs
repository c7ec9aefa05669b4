//! The road that commands take: a connection of our own.

use std::sync::Arc;

use memolock_core::Key;
use memolock_core::redis::{Call, Fault, Reply};
use memolock_redis_common::cluster::Request;
use memolock_redis_common::{Counters, Doubt, Road, Site, Trunk};

use crate::command::{Command, Commands};
use crate::dial::Fred;

impl Road for Commands {
    type Client = Fred;
    const BACKEND: &'static str = "FredBackend";
    const CLUSTER: &'static str = "fred-cluster";
    // fred drops the word that says so, unread.
    const TELLS_OF_SLOTS: bool = false;

    fn pave(site: &Arc<Site<Fred>>, counters: &Arc<Counters>, other: Doubt) -> Self {
        Self::new(Trunk::open(site, counters, other))
    }

    fn name(&self) -> &'static str {
        "fred"
    }

    fn trunk(&self) -> Option<&Trunk<Fred>> {
        Some(self.trunk())
    }

    async fn is_of_use(&self) -> Result<(), Fault> {
        self.knows_scripts().await
    }

    async fn get(&self, key: &Key) -> Result<Reply, Fault> {
        self.get_named(key.value_name()).await
    }

    async fn get_many(&self, keys: &[&Key]) -> Result<Reply, Fault> {
        let names = keys.iter().map(|key| key.value_name()).collect();
        self.send(Command::GetMany(names)).await
    }

    async fn run(&self, _keys: &[&Key], call: &Call) -> Result<Reply, Fault> {
        self.script(call).await
    }

    async fn ask(&self, request: Request<'_>, asking: bool) -> Result<Reply, Fault> {
        match request {
            // fred's own, which may share a write with its neighbours.
            Request::Words([verb, name]) if &**verb == b"GET" && !asking => {
                let name = String::from_utf8_lossy(name).into_owned();
                self.get_named(name).await
            }
            Request::Words(words) => self.words(words, asking).await,
            Request::Call(call) if asking => self.script_asking(call).await,
            Request::Call(call) => self.script(call).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, F>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// glibc keeps nothing above 1,032 bytes at hand for each thread: the boxed future of every hit was larger.
    #[test]
    fn the_future_of_a_hit_is_small() {
        let hit = size(|road: &'static Commands, key: &'static Key| road.get(key));
        assert!(hit < 900, "{hit}");
    }
}
