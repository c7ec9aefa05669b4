//! Who is master of what, and how that changes.

use std::time::{Duration, Instant};

use super::{TestCluster, WHAT};
use crate::wait::Wait;
use crate::{ServerError, unique_tag};

/// After how long a replica gives up to take over, and may be asked again.
const GIVEN_UP: Duration = Duration::from_secs(5);

impl TestCluster {
    /// The index of the master that has the slot of `key` now. A node that does not answer, and is not
    /// yet known to have failed, still is the master of what it has.
    ///
    /// # Errors
    /// [`ServerError::Unsettled`] if no node knows one.
    pub async fn master_of(&self, key: &str) -> Result<usize, ServerError> {
        self.owner(Self::slot(key)).await
    }

    /// The index of the master that has this slot now.
    ///
    /// # Errors
    /// [`ServerError::Unsettled`] if no node knows one.
    pub async fn owner(&self, slot: u16) -> Result<usize, ServerError> {
        let wait = Wait::new(WHAT);
        loop {
            if let Some(owner) = self.survey().await.owner(slot) {
                return Ok(owner);
            }
            wait.again(&format!("slot {slot} has no master")).await?;
        }
    }

    /// The indices of all masters that answer, those without slots too.
    pub async fn masters(&self) -> Vec<usize> {
        let survey = self.survey().await;
        let is_master = |index: &usize| survey.own(*index).is_some_and(super::view::Row::is_master);
        (0..self.nodes.len()).filter(is_master).collect()
    }

    /// The indices of the replicas of a master, as far as they answer.
    pub async fn replicas_of(&self, master: usize) -> Vec<usize> {
        let survey = self.survey().await;
        let Some(id) = survey.id(master) else {
            return Vec::new();
        };
        let follows = |index: &usize| {
            let own = survey.own(*index);
            own.is_some_and(|own| own.master.as_deref() == Some(id))
        };
        (0..self.nodes.len()).filter(follows).collect()
    }

    /// A key that nobody else uses, in a slot that this master has now: `likes:{…}`.
    ///
    /// # Errors
    /// [`ServerError::Unsettled`] if the node has no slots.
    pub async fn key_on(&self, master: usize, prefix: &str) -> Result<String, ServerError> {
        let survey = self.survey().await;
        let tag = unique_tag("");
        // A master with one slot is met once in 16,384 tries.
        (0..1_000_000)
            .map(|i| format!("{prefix}:{{{i}{tag}}}"))
            .find(|key| survey.owner(Self::slot(key)) == Some(master))
            .ok_or_else(|| Wait::new(WHAT).over(&format!("{} has no slots", self.place(master))))
    }

    /// A replica of this living master takes its place, in good order, without a write lost, and the
    /// master becomes its replica. Returns the index of the new master once all nodes know.
    ///
    /// # Errors
    /// [`ServerError::Unsettled`] if the node has no replica, or it does not take over in time.
    pub async fn failover(&self, master: usize) -> Result<usize, ServerError> {
        let wait = Wait::new(WHAT);
        let replicas = self.replicas_of(master).await;
        let Some(heir) = replicas.first().copied() else {
            let place = self.place(master);
            return Err(wait.over(&format!("{place} has no replica that answers")));
        };
        let mut asked_again = Instant::now();
        while !self.masters().await.contains(&heir) {
            if Instant::now() >= asked_again {
                asked_again = Instant::now() + GIVEN_UP;
                match self.nodes[heir].command(&["CLUSTER", "FAILOVER"]).await {
                    // It may have become the master since it was asked.
                    Ok(_) | Err(ServerError::Refused { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            let place = self.place(heir);
            wait.again(&format!("{place} does not take over")).await?;
        }
        self.wait_stable().await?;
        Ok(heir)
    }

    /// Returns once the cluster is whole: all nodes agree, every slot has a living master, no slot is on
    /// its way, and replicas are in step. A node that does not answer is waited for until all others know
    /// that it failed; so, after the kill of a master, this waits for its replica to take over.
    ///
    /// # Errors
    /// [`ServerError::Unsettled`] with what is amiss, after a minute.
    pub async fn wait_stable(&self) -> Result<(), ServerError> {
        let wait = Wait::new(WHAT);
        loop {
            let Some(trouble) = self.survey().await.trouble() else {
                return Ok(());
            };
            wait.again(&trouble).await?;
        }
    }
}
