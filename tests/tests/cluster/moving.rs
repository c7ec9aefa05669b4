//! Slots that move: under a holder and a waiter, and half of the way.

use std::time::{Duration, Instant};

use memolock::Source;
use memolock_testkit::TestCluster;
use memolock_tests::{HANG, SECOND, eventually};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::fleet::{ADAPTERS, Fleet, KINDS, made, masters};

/// A master that does not serve the slot.
async fn elsewhere(cluster: &TestCluster, slot: u16) -> usize {
    let owner = cluster.owner(slot).await.unwrap();
    let masters = cluster.masters().await;
    masters.into_iter().find(|master| *master != owner).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_moves_under_a_holder_and_a_waiter() {
    let cluster = masters().await;
    for (adapter, kind) in ADAPTERS.into_iter().flat_map(|a| KINDS.map(|k| (a, k))) {
        let fleet = Fleet::start(adapter, &cluster, 2, |b| b.notifications(kind)).await;
        let (here, there) = (&fleet.likes[0], &fleet.likes[1]);
        let slot = TestCluster::slot(fleet.name("a"));
        let ends = Notify::new();
        let holds = here.get_or_compute("a", async |_| {
            ends.notified().await;
            fleet.compute("a", Duration::ZERO).await
        });
        let waits = async {
            eventually("it is held", || async { here.in_flight().leases == 1 }).await;
            let never = async |_| -> Result<String, String> {
                panic!("a second compute: {adapter:?} {kind:?}")
            };
            there.entry("a").or_compute(never).await
        };
        let moves = async {
            let listens = || async { fleet.backends[1].stats().subscriptions == 1 };
            eventually("it waits", listens).await;
            let to = elsewhere(&cluster, slot).await;
            cluster.migrate_slot(slot, to).await.unwrap();
            // Within its first lease, so that nothing but a message or a gap can wake it.
            ends.notify_one();
            Instant::now()
        };
        let all = async { tokio::join!(holds, waits, moves) };
        let (held, waited, since) = timeout(HANG, all).await.expect("a hang");
        assert_eq!(*held.unwrap(), made("a"));
        let memo: memolock::Memo<String> = waited.unwrap();
        assert_eq!(*memo.as_str(), made("a"));
        assert_eq!(memo.source(), Source::Awaited, "{adapter:?} {kind:?}");
        let late = since.elapsed();
        assert!(late < 3 * SECOND, "{adapter:?} {kind:?}: {late:?}");
        fleet.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_of_the_way_values_are_found_and_made() {
    let cluster = masters().await;
    for adapter in ADAPTERS {
        let fleet = Fleet::start(adapter, &cluster, 2, |b| b).await;
        let slot = TestCluster::slot(fleet.name("a"));
        fleet.get(0, "a", Duration::ZERO).await;
        let to = elsewhere(&cluster, slot).await;
        let moving = cluster.begin_migration(slot, to).await.unwrap();
        // Still there, and then where it is asked for with ASKING.
        fleet.get(1, "a", Duration::ZERO).await;
        moving.move_key(fleet.name("a")).await.unwrap();
        fleet.get(1, "a", Duration::ZERO).await;
        assert_eq!(fleet.computes(), 1, "{adapter:?}");
        // It cannot be taken where one of two names is missing: tried for a while, then made here alone.
        let id = (0..1_000_000).map(|n| n.to_string());
        let id = id
            .into_iter()
            .find(|id| TestCluster::slot(fleet.name(id)) == slot);
        let since = Instant::now();
        fleet.get(1, &id.unwrap(), Duration::ZERO).await;
        let late = since.elapsed();
        assert!(late < 10 * SECOND, "{adapter:?}: {late:?}");
        moving.finish().await.unwrap();
        fleet.get(0, "a", Duration::ZERO).await;
        fleet.close().await;
    }
}
