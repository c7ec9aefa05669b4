//! How nodes become a cluster: each gets an epoch, they meet, masters take slots, replicas follow.

use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};

use super::slot::SLOTS;
use super::survey::Survey;
use super::{TestCluster, WHAT};
use crate::wait::Wait;
use crate::{ServerError, TestServer};

/// After how long those that have not yet met are introduced again: an introduction is forgotten once
/// it took longer than a node's time-out.
const REINTRODUCED: Duration = Duration::from_millis(1500);

impl TestCluster {
    /// Makes one cluster of nodes that have just started: masters first, then replicas in turns. It takes
    /// two seconds: for so long a master that has just started serves nothing.
    pub(super) async fn form(&self, masters: usize) -> Result<(), ServerError> {
        let nodes = self.nodes();
        // Distinct from the beginning, since equal ones are sorted out one after another.
        try_join_all(nodes.iter().zip(1..).map(|(node, epoch)| async move {
            let epoch: usize = epoch;
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch.to_string()])
                .await
        }))
        .await?;
        let shares = nodes[..masters].iter().enumerate();
        try_join_all(shares.map(|(i, node)| take(node, share(i, masters)))).await?;
        self.introduce(true).await?;
        let followers = nodes.iter().enumerate().skip(masters);
        let survey = Survey::of(nodes).await;
        try_join_all(followers.map(|(i, node)| {
            let master = survey.id((i - masters) % masters);
            follow(node, master)
        }))
        .await?;
        self.wait_stable().await
    }

    /// Returns once each node knows all others; if not `all` of them, then those that answer.
    pub(super) async fn introduce(&self, all: bool) -> Result<(), ServerError> {
        let nodes = self.nodes();
        let wait = Wait::new(WHAT);
        let mut again = Instant::now();
        loop {
            let strangers = Survey::of(nodes).await.strangers(all);
            let Some(first) = strangers.first() else {
                return Ok(());
            };
            if Instant::now() >= again {
                again = Instant::now() + REINTRODUCED;
                // Each to each: gossip would take its time.
                let meetings = strangers.iter().map(|index| self.meet_all(*index));
                // A node that is too busy now is introduced the next time.
                join_all(meetings).await;
            }
            let place = self.place(*first);
            wait.again(&format!("{place} does not know all others"))
                .await?;
        }
    }

    async fn meet_all(&self, index: usize) -> Result<(), ServerError> {
        let mut connection = self.nodes()[index].connect().await?;
        for (i, peer) in self.nodes().iter().enumerate().filter(|(i, _)| *i != index) {
            let port = self.port(i).to_string();
            let command = ["CLUSTER", "MEET", peer.host(), &port];
            connection.command(&command).await?;
        }
        Ok(())
    }
}

/// The slots of master `index` of `masters`: equal shares, and the last takes the rest.
fn share(index: usize, masters: usize) -> std::ops::Range<u16> {
    // Below SLOTS, which fits.
    let start = |index: usize| (index * usize::from(SLOTS) / masters) as u16;
    start(index)..start(index + 1)
}

async fn take(node: &TestServer, slots: std::ops::Range<u16>) -> Result<(), ServerError> {
    // One by one, because ADDSLOTSRANGE is not known before Redis 7.
    let mut command = vec!["CLUSTER".to_owned(), "ADDSLOTS".to_owned()];
    command.extend(slots.map(|slot| slot.to_string()));
    node.command(&command).await.map(drop)
}

pub(super) async fn follow(node: &TestServer, master: Option<&str>) -> Result<(), ServerError> {
    let Some(master) = master else {
        let lost = node.address().lost(&"its master does not tell its id");
        return Err(lost);
    };
    let command = ["CLUSTER", "REPLICATE", master];
    node.command(&command).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole() {
        for masters in [1, 2, 3, 6, 7] {
            let all: Vec<_> = (0..masters).flat_map(|i| share(i, masters)).collect();
            assert_eq!(all, (0..SLOTS).collect::<Vec<_>>());
        }
    }
}
