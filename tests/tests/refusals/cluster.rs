//! A cluster whose slot is served by no node for a time, or is on its way.

use memolock_testkit::{ClusterOptions, TestCluster, TestServer};
use memolock_tests::{Adapter, Fate, Ours, SECOND, Scripted, cli, eventually};
use tokio::time::Instant;

use crate::{LEASE, Pair};

const ADAPTERS: [Adapter; 2] = [Adapter::RedisRs, Adapter::Fred];

/// Over a bound of a second for each command: the router waits for a slot for as long.
async fn pair(adapter: Adapter, cluster: &TestCluster, tag: &str) -> Pair {
    let connect = || adapter.connect_within(cluster.url(), Some(SECOND));
    Pair::over([connect().await, connect().await], tag).await
}

/// The id is to be computed once more.
async fn drop_value(node: &TestServer, tag: &str, id: &str) {
    cli(node, &["DEL", &format!("{tag}:{{{id}}}")]).await;
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
        let one = pair(adapter, &cluster, "down").await;
        one.value_outlasts(&id, refuse, mend).await;
        one.close().await;
        drop_value(node, "down", &id).await;
        let one = pair(adapter, &cluster, "down").await;
        one.release_outlasts(&id, refuse, mend).await;
        one.close().await;
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
        let one = pair(adapter, &cluster, "moves").await;
        one.value_outlasts(&id, refuse, mend).await;
        one.close().await;
        drop_value(&cluster.nodes()[owner], "moves", &id).await;
        let one = pair(adapter, &cluster, "moves").await;
        one.release_outlasts(&id, refuse, mend).await;
        one.close().await;
    }
}

/// The port that a front listens at.
pub(crate) fn port(front: &Scripted) -> &str {
    front.url().rsplit(':').next().unwrap()
}

/// Fronts before the masters, which tell clients to come to them.
pub(crate) async fn fronted(cluster: &TestCluster, masters: &[usize]) -> Vec<Scripted> {
    let mut fronts = Vec::new();
    for &master in masters {
        let (node, front) = (
            &cluster.nodes()[master],
            Scripted::before(&cluster.nodes()[master]).await,
        );
        let bus = (node.port() + 10_000).to_string();
        cli(node, &["CONFIG", "SET", "cluster-announce-bus-port", &bus]).await;
        cli(
            node,
            &["CONFIG", "SET", "cluster-announce-port", port(&front)],
        )
        .await;
        fronts.push(front);
    }
    for &master in masters {
        eventually("all know of the fronts", || async {
            let nodes = cli(&cluster.nodes()[master], &["CLUSTER", "NODES"]).await;
            let nodes = nodes.as_str().unwrap_or_default().to_owned();
            fronts
                .iter()
                .all(|front| nodes.contains(&format!("127.0.0.1:{}@", port(front))))
        })
        .await;
    }
    fronts
}

/// A node answers every command with an error that is not known: few commands are sent to it, its keys are computed
/// without it, and the keys of the others are served.
#[tokio::test]
async fn a_node_over_its_quota_costs_the_others_nothing() {
    const QUOTA: &str = "ERR max requests limit exceeded. Limit: 500000";
    let options = ClusterOptions {
        replicas_per_master: 0,
        ..ClusterOptions::default()
    };
    let cluster = TestCluster::start_local_with(options).await.unwrap();
    let masters = cluster.masters().await;
    let mut ids = Vec::new();
    for n in 0..150 {
        let id = n.to_string();
        let owner = cluster.master_of(&format!("{{{id}}}")).await.unwrap();
        ids.push((id, owner));
    }
    let fronts = fronted(&cluster, &masters).await;
    for adapter in ADAPTERS {
        let backend = adapter.connect_within(cluster.url(), Some(SECOND)).await;
        let tag = format!("quota {adapter}");
        let ours = Ours::over(backend, &tag, |b| b.lease(LEASE)).await;
        fronts[0].script(|words| match words[0].as_ref() {
            b"GET" | b"EVAL" | b"EVALSHA" => Fate::Fails(QUOTA.to_owned()),
            _ => Fate::Passes,
        });
        let began = Instant::now();
        let mut failed = 0;
        for (id, owner) in &ids {
            assert_eq!(*ours.get(id, "made").await.unwrap().unwrap(), "made");
            let value = format!("{tag}:{{{id}}}");
            let stored = cli(&cluster.nodes()[*owner], &["GET", &value]).await;
            let is_bad = *owner == masters[0];
            let expected = (!is_bad).then_some("made");
            assert_eq!(stored.as_str(), expected, "{adapter} {id}");
            failed += u64::from(is_bad);
        }
        assert_eq!(ours.likes.stats().degraded, failed, "{adapter}");
        let asked = fronts[0].log().into_iter().filter(|sent| {
            sent.at >= began && matches!(sent.words[0].as_ref(), b"GET" | b"EVAL" | b"EVALSHA")
        });
        let probes = usize::try_from(began.elapsed().as_millis() / 500).unwrap();
        assert!(asked.count() <= 3 + probes + 1, "{adapter}");
        fronts[0].mend();
        eventually("it is closed", || async {
            !ours.likes.stats().circuit_open
        })
        .await;
        ours.likes.close().await;
        ours.backend.close().await;
    }
}
