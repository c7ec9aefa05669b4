//! The road that commands take: a connection of our own, or an application's pool.

use std::sync::Arc;

use bytes::Bytes;
use memolock_core::Key;
use memolock_core::redis::{Call, Fault, Reply};
use memolock_redis_common::cluster::Request;
use memolock_redis_common::{Counters, Doubt, Site, Trunk};
use redis::Cmd;

use crate::command::Commands;
use crate::dial::Redis;
#[cfg(feature = "deadpool")]
use crate::pooled::Pooled;

/// Both roads bound each command in time and keep the order of calls on a key.
pub(crate) enum Road {
    Own(Commands),
    #[cfg(feature = "deadpool")]
    Pooled(Box<Pooled>),
}

impl memolock_redis_common::Road for Road {
    type Client = Redis;
    const BACKEND: &'static str = "RedisBackend";
    const CLUSTER: &'static str = "redis-rs-cluster";
    const TELLS_OF_SLOTS: bool = true;

    fn pave(site: &Arc<Site<Redis>>, counters: &Arc<Counters>, other: Doubt) -> Self {
        Self::Own(Commands::new(Trunk::open(site, counters, other)))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Own(_) => "redis-rs",
            #[cfg(feature = "deadpool")]
            Self::Pooled(_) => "redis-rs-pooled",
        }
    }

    fn trunk(&self) -> Option<&Trunk<Redis>> {
        match self {
            Self::Own(commands) => Some(commands.trunk()),
            #[cfg(feature = "deadpool")]
            Self::Pooled(_) => None,
        }
    }

    async fn is_of_use(&self) -> Result<(), Fault> {
        match self {
            Self::Own(commands) => commands.knows_scripts().await,
            #[cfg(feature = "deadpool")]
            Self::Pooled(pooled) => pooled.ready().await,
        }
    }

    async fn get(&self, key: &Key) -> Result<Reply, Fault> {
        let name = key.value_name();
        let mut command = Cmd::with_capacity(2, 3 + name.len());
        command.arg("GET").arg(name);
        match self {
            Self::Own(commands) => commands.hit(command).await,
            #[cfg(feature = "deadpool")]
            Self::Pooled(pooled) => Box::pin(pooled.get(key, command)).await,
        }
    }

    async fn get_many(&self, keys: &[&Key]) -> Result<Reply, Fault> {
        let names: Vec<String> = keys.iter().map(|key| key.value_name()).collect();
        let bytes: usize = names.iter().map(String::len).sum();
        let mut command = Cmd::with_capacity(1 + names.len(), 4 + bytes);
        command.arg("MGET").arg(names);
        self.send(keys, command).await
    }

    #[cfg_attr(not(feature = "deadpool"), allow(unused_variables))]
    async fn run(&self, keys: &[&Key], call: &Call) -> Result<Reply, Fault> {
        match self {
            Self::Own(commands) => commands.run(call).await,
            #[cfg(feature = "deadpool")]
            Self::Pooled(pooled) => Box::pin(pooled.run(keys, call)).await,
        }
    }

    async fn ask(&self, request: Request<'_>, asking: bool) -> Result<Reply, Fault> {
        match (self, request) {
            (Self::Own(commands), Request::Words(words)) if asking => {
                commands.send_asking(command(words)).await
            }
            (Self::Own(commands), Request::Call(call)) if asking => commands.run_asking(call).await,
            // Without `asking`: pools are refused with clusters, for they lead to one server.
            (_, Request::Words(words)) => self.send(&[], command(words)).await,
            (_, Request::Call(call)) => self.run(&[], call).await,
        }
    }

    #[cfg(feature = "deadpool")]
    fn close(&self) {
        match self {
            Self::Own(commands) => commands.trunk().link().close(),
            Self::Pooled(pooled) => pooled.close(),
        }
    }

    #[cfg(feature = "deadpool")]
    async fn ended(&self) {
        match self {
            Self::Own(commands) => commands.trunk().link().ended().await,
            Self::Pooled(pooled) => pooled.ended().await,
        }
    }
}

impl Road {
    /// Sends one command on `keys` and waits for its reply.
    #[cfg_attr(not(feature = "deadpool"), allow(unused_variables))]
    async fn send(&self, keys: &[&Key], command: Cmd) -> Result<Reply, Fault> {
        match self {
            Self::Own(commands) => commands.send(&command).await,
            #[cfg(feature = "deadpool")]
            // In a box, so that those who have no pool have no room for it either.
            Self::Pooled(pooled) => Box::pin(pooled.send(keys, command)).await,
        }
    }
}

fn command(words: &[Bytes]) -> Cmd {
    let bytes: usize = words.iter().map(Bytes::len).sum();
    let mut command = Cmd::with_capacity(words.len(), bytes);
    for word in words {
        command.arg(word.as_ref());
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use memolock_redis_common::Road as _;

    fn size<A, B, F>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// glibc keeps nothing above 1,032 bytes at hand for each thread: the boxed future of every hit was larger.
    #[test]
    fn the_future_of_a_hit_is_small() {
        let hit = size(|road: &'static Road, key: &'static Key| road.get(key));
        assert!(hit < 900, "{hit}");
    }
}
