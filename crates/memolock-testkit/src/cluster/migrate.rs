//! A slot on its way from one master to another.

use futures_util::future::join_all;

use super::{TestCluster, WHAT};
use crate::wait::Wait;
use crate::{ServerError, Value};

/// How long a node may take to hand over a key, in milliseconds.
const HANDOVER: &str = "10000";
/// How many keys are asked for at once.
const BATCH: &str = "100";

/// A slot that is open: its old master answers for the keys it still has, and sends clients to the new
/// one for all others (`ASK`); the new one serves those that say `ASKING`.
///
/// It stays open if this is dropped: [`finish`](Self::finish) or [`cancel`](Self::cancel) close it.
#[derive(Debug)]
#[must_use = "the slot stays open until it is finished or cancelled"]
pub struct Migration<'a> {
    cluster: &'a TestCluster,
    slot: u16,
    from: usize,
    to: usize,
    from_id: String,
    to_id: String,
}

impl TestCluster {
    /// Moves a slot and its keys to the master `to`; returns once all nodes know, and answer others with
    /// `MOVED`.
    ///
    /// # Errors
    /// As [`begin_migration`](Self::begin_migration) and [`Migration::finish`].
    pub async fn migrate_slot(&self, slot: u16, to: usize) -> Result<(), ServerError> {
        self.begin_migration(slot, to).await?.finish().await
    }

    /// The first half: opens the slot and moves no key yet.
    ///
    /// # Errors
    /// [`ServerError::Refused`] if `to` has the slot already, or is no master.
    pub async fn begin_migration(
        &self,
        slot: u16,
        to: usize,
    ) -> Result<Migration<'_>, ServerError> {
        let from = self.owner(slot).await?;
        let survey = self.survey().await;
        let id = |index: usize| {
            let lost = || self.nodes[index].address().lost(&"it does not tell its id");
            survey.id(index).map(ToOwned::to_owned).ok_or_else(lost)
        };
        let migration = Migration {
            cluster: self,
            slot,
            from,
            to,
            from_id: id(from)?,
            to_id: id(to)?,
        };
        // In this order: the new master must be ready when the old one sends it clients.
        let (from_id, to_id) = (&*migration.from_id, &*migration.to_id);
        migration.set(to, &["IMPORTING", from_id]).await?;
        if let Err(error) = migration.set(from, &["MIGRATING", to_id]).await {
            // The first error is the one to tell.
            let _ = migration.set(to, &["STABLE"]).await;
            return Err(error);
        }
        Ok(migration)
    }
}

impl Migration<'_> {
    /// The slot.
    #[must_use]
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// The index of the old master.
    #[must_use]
    pub fn from(&self) -> usize {
        self.from
    }

    /// The index of the new master.
    #[must_use]
    pub fn to(&self) -> usize {
        self.to
    }

    /// The keys that the old master still has, as many as it tells at once.
    ///
    /// # Errors
    /// As [`TestServer::command`](crate::TestServer::command).
    pub async fn remaining(&self) -> Result<Vec<Vec<u8>>, ServerError> {
        let slot = self.slot.to_string();
        let command = ["CLUSTER", "GETKEYSINSLOT", &slot, BATCH];
        let keys = self.cluster.nodes()[self.from].command(&command).await?;
        let keys = keys.items().iter().filter_map(Value::as_bytes);
        Ok(keys.map(<[u8]>::to_vec).collect())
    }

    /// Moves one key; `false` if the old master does not have it. From then on it sends clients on.
    ///
    /// # Errors
    /// As [`TestServer::command`](crate::TestServer::command).
    pub async fn move_key(&self, key: impl AsRef<[u8]>) -> Result<bool, ServerError> {
        let to = &self.cluster.nodes()[self.to];
        let port = self.cluster.port(self.to).to_string();
        let command = [
            b"MIGRATE",
            to.host().as_bytes(),
            port.as_bytes(),
            key.as_ref(),
            b"0",
            HANDOVER.as_bytes(),
        ];
        let moved = self.cluster.nodes()[self.from].command(&command).await?;
        Ok(moved != "NOKEY")
    }

    /// The second half: moves what is left, gives the slot to the new master, and returns once all nodes
    /// know.
    ///
    /// # Errors
    /// As [`TestServer::command`](crate::TestServer::command), and [`ServerError::Unsettled`].
    pub async fn finish(self) -> Result<(), ServerError> {
        loop {
            let keys = self.remaining().await?;
            if keys.is_empty() {
                break;
            }
            for key in keys {
                self.move_key(key).await?;
            }
        }
        // The new master first: the slot is never nobody's.
        self.set(self.to, &["NODE", &self.to_id]).await?;
        self.set(self.from, &["NODE", &self.to_id]).await?;
        // The others learn it by gossip too, a little later.
        let masters = self.cluster.masters().await;
        let others = masters
            .into_iter()
            .filter(|i| ![self.to, self.from].contains(i));
        join_all(others.map(|index| self.set_node(index))).await;
        let wait = Wait::new(WHAT);
        while self.cluster.owner(self.slot).await? != self.to {
            wait.again(&format!("slot {} stays where it was", self.slot))
                .await?;
        }
        self.cluster.wait_stable().await
    }

    /// Closes the slot again: it stays with the old master, and so do keys that were not moved. Those that
    /// were are out of reach.
    ///
    /// # Errors
    /// As [`TestServer::command`](crate::TestServer::command).
    pub async fn cancel(self) -> Result<(), ServerError> {
        self.set(self.from, &["STABLE"]).await?;
        self.set(self.to, &["STABLE"]).await
    }

    async fn set_node(&self, index: usize) -> Result<(), ServerError> {
        self.set(index, &["NODE", &self.to_id]).await
    }

    async fn set(&self, index: usize, state: &[&str]) -> Result<(), ServerError> {
        let slot = self.slot.to_string();
        let command = [&["CLUSTER", "SETSLOT", &slot], state].concat();
        self.cluster.nodes()[index]
            .command(&command)
            .await
            .map(drop)
    }
}
