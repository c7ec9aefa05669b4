//! A cluster whose slot is served by no node for a time, or is on its way.

use memolock_testkit::TestCluster;
use memolock_tests::{Adapter, SECOND, cli};

use crate::Pair;

const ADAPTERS: [Adapter; 2] = [Adapter::RedisRs, Adapter::Fred];

/// Over a bound of a second for each command: the router waits for a slot for as long.
async fn pair(adapter: Adapter, cluster: &TestCluster, tag: &str) -> Pair {
    let connect = || adapter.connect_within(cluster.url(), Some(SECOND));
    Pair::over([connect().await, connect().await], tag).await
}

#[tokio::test]
async fn clusterdown() {
    let cluster = TestCluster::start_local().await.unwrap();
    for adapter in ADAPTERS {
        let id = format!("{adapter}");
        let slot = TestCluster::slot(format!("down:{{{id}}}"));
        let owner = cluster.owner(slot).await.unwrap();
        let (node, slot) = (&cluster.nodes()[owner], slot.to_string());
        let refuse = async || drop(cli(node, &["CLUSTER", "DELSLOTS", &slot]).await);
        let mend = async || drop(cli(node, &["CLUSTER", "ADDSLOTS", &slot]).await);
        let pair = pair(adapter, &cluster, "down").await;
        pair.value_outlasts(&id, refuse, mend).await;
        pair.close().await;
    }
}

#[tokio::test]
async fn tryagain() {
    let cluster = TestCluster::start_local().await.unwrap();
    for adapter in ADAPTERS {
        let id = format!("{adapter}");
        let slot = TestCluster::slot(format!("moves:{{{id}}}"));
        let owner = cluster.owner(slot).await.unwrap();
        let to = (owner + 1) % 3;
        let migration = std::cell::RefCell::new(None);
        // The lock is there, and the value is not: a command for both is told to try again.
        let refuse = async || {
            let begun = cluster.begin_migration(slot, to).await.unwrap();
            migration.replace(Some(begun));
        };
        let mend = async || {
            let begun = migration.take().unwrap();
            begun.cancel().await.unwrap();
        };
        let pair = pair(adapter, &cluster, "moves").await;
        pair.value_outlasts(&id, refuse, mend).await;
        pair.close().await;
    }
}
