//! Nodes that come, many slots that move, and what it costs.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_util::future::join_all;
use memolock::Source;
use memolock_testkit::TestCluster;
use memolock_tests::HANG;
use tokio::time::timeout;

use crate::fleet::{ADAPTERS, Fleet, made, masters};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_is_used_and_redirections_are_few() {
    let mut cluster = masters().await;
    for adapter in ADAPTERS {
        let fleet = Fleet::start(adapter, &cluster, 1, |b| b).await;
        // Others for each: a master that loses its last slot becomes a replica.
        let ids: Vec<String> = (0..40).map(|n| format!("{adapter:?} {n}")).collect();
        join_all(ids.iter().map(|id| fleet.get(0, id, Duration::ZERO))).await;
        let to = cluster.add_master().await.unwrap();
        for id in &ids {
            let slot = TestCluster::slot(fleet.name(id));
            cluster.migrate_slot(slot, to).await.unwrap();
        }
        let before = fleet.backends[0].stats().commands;
        let gets = ids.iter().map(|id| fleet.get(0, id, Duration::ZERO));
        timeout(HANG, join_all(gets)).await.expect("a hang");
        let sent = fleet.backends[0].stats().commands - before;
        // One redirection for each at most, and the map once or twice.
        assert!(sent <= 2 * ids.len() as u64 + 20, "{adapter:?}: {sent}");
        assert_eq!(fleet.computes(), ids.len(), "{adapter:?}");
        let before = fleet.backends[0].stats().commands;
        join_all(ids.iter().map(|id| fleet.get(0, id, Duration::ZERO))).await;
        let sent = fleet.backends[0].stats().commands - before;
        assert!(sent <= ids.len() as u64 + 20, "{adapter:?}: {sent}");
        fleet.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_cold_ids_are_a_handful_of_round_trips() {
    let cluster = masters().await;
    for adapter in ADAPTERS {
        let fleet = Fleet::start(adapter, &cluster, 1, |b| b).await;
        let ids: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let batches = &fleet.computes;
        let compute = async |ids: Vec<String>| {
            batches.fetch_add(1, SeqCst);
            let made = ids.into_iter().map(|id| (id.clone(), made(&id)));
            Ok::<_, String>(made.collect::<Vec<_>>())
        };
        let before = fleet.backends[0].stats().commands;
        let all = fleet.likes[0].get_or_compute_many(ids.clone(), compute);
        let all = timeout(HANG, all).await.expect("a hang");
        for (id, memo) in ids.iter().zip(all.into_result().unwrap()) {
            assert_eq!(*memo.as_str(), made(id));
            assert_eq!(memo.source(), Source::Computed);
        }
        // All of them at once, or one by one there would be as many computes as ids.
        assert_eq!(fleet.computes(), 1, "{adapter:?}: batches");
        let sent = fleet.backends[0].stats().commands - before;
        // A look, a lease and a value for each, and scripts that nodes did not know.
        assert!(sent <= 5 * 1000 + 50, "{adapter:?}: {sent}");
        fleet.close().await;
    }
}
