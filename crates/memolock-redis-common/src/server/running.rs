//! On which connection a command runs, and what it waits for before.

use memolock_core::redis::{Call, Fault, Reply, Script, reply};
use memolock_core::{Acquired, ErrorKind, Key};

use super::Server;
use crate::large::SideConnection;
use crate::road::Road;

impl<R: Road> Server<R> {
    pub(super) async fn run(&self, key: &Key, call: Call) -> Result<Reply, Fault> {
        self.run_some(&[key], call).await
    }

    pub(super) async fn run_some(&self, keys: &[&Key], call: Call) -> Result<Reply, Fault> {
        let call = call.in_database(self.site.address.database(), keys);
        match self.side(&call) {
            // Boxed: it is rare, and every script's future would have room for it.
            Some(side) => Box::pin(self.run_aside(side, keys, &call)).await,
            None => self.road.run(keys, &call).await,
        }
    }

    /// The connection of its own that a script has, if it is not to share that of all commands.
    pub(crate) fn side(&self, call: &Call) -> Option<&SideConnection<R::Client>> {
        match call.script {
            Script::Repeat => Some(&self.notices),
            _ => call.is_large_fulfil().then_some(&self.large),
        }
    }

    /// A try for a lease.
    pub(super) async fn attempt(&self, key: &Key, call: Call) -> Result<Acquired, Fault> {
        self.queued(key, call).await.and_then(reply::acquired)
    }

    /// A command that renewals pass.
    pub(super) async fn queued(&self, key: &Key, call: Call) -> Result<Reply, Fault> {
        if call.is_large_fulfil() {
            // Over a connection of its own, where no renewal waits behind it.
            return self.run(key, call).await;
        }
        let place = self.gate.enter(self.site.options.command_timeout).await;
        let answer = self.run(key, call).await;
        self.gate.ended(&answer);
        drop(place);
        answer
    }

    /// Over a connection of its own. It is made with the credentials of the URL, which beside a pool may be good for
    /// subscriptions alone: then the pool's are.
    async fn run_aside(
        &self,
        side: &SideConnection<R::Client>,
        keys: &[&Key],
        call: &Call,
    ) -> Result<Reply, Fault> {
        match side.run(call, false).await {
            Err(fault) if fault.kind() == ErrorKind::Denied && self.road.trunk().is_none() => {
                self.road.run(keys, call).await
            }
            outcome => outcome,
        }
    }
}
