//! Masters that are killed, that hang, and that hand over.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use memolock_testkit::{ClusterOptions, TestCluster};
use memolock_tests::{HANG, SECOND, eventually};
use tokio::time::{sleep, timeout};

use crate::fleet::{ADAPTERS, Fleet, cluster};

/// What the cluster needs to miss a master and elect its replica, at most, on a busy machine.
const FAILOVER: Duration = Duration::from_secs(10);

/// Calls of a fleet on ids of every master, until told to stop. The longest of them.
async fn load(fleet: &Fleet, until: Instant, begun: &str) -> Duration {
    let callers = (0..fleet.likes.len()).flat_map(|at| (0..5).map(move |caller| (at, caller)));
    let calls = callers.map(|(at, caller)| async move {
        let (mut longest, mut round) = (Duration::ZERO, 0);
        while Instant::now() < until {
            let id = format!("{begun}-{caller}-{round}");
            longest = longest.max(fleet.get(at, &id, Duration::from_millis(20)).await);
            round += 1;
            sleep(Duration::from_millis(5)).await;
        }
        longest
    });
    let all = join_all(calls).await;
    all.into_iter().max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_computes_each_id_once() {
    let cluster = cluster().await;
    for adapter in ADAPTERS {
        let fleet = Fleet::start(adapter, &cluster, 4, |b| b).await;
        let ids: Vec<String> = (0..30).map(|n| n.to_string()).collect();
        let calls = (0..4).flat_map(|at| ids.iter().map(move |id| (at, id)));
        let calls = calls.map(|(at, id)| fleet.get(at, id, 100 * SECOND / 1000));
        timeout(HANG, join_all(calls)).await.expect("a hang");
        assert_eq!(fleet.computes(), ids.len(), "{adapter:?}");
        fleet.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_master_is_killed_everybody_is_answered() {
    for adapter in ADAPTERS {
        let cluster = cluster().await;
        let fleet = Fleet::start(adapter, &cluster, 4, |b| b).await;
        let until = Instant::now() + 8 * SECOND;
        let kill = async {
            sleep(SECOND).await;
            cluster.nodes()[0].kill().await.unwrap();
        };
        let work = async { tokio::join!(load(&fleet, until, "killed"), kill).0 };
        let longest = timeout(HANG, work).await.expect("a hang");
        assert!(longest < FAILOVER + 2 * SECOND, "{adapter:?}: {longest:?}");
        cluster.wait_stable().await.unwrap();
        // It is found without anybody's help, and what is stored now is everybody's.
        let healed = async {
            for n in 0..30 {
                let id = format!("healed {n}");
                fleet.get(0, &id, Duration::ZERO).await;
                let before = fleet.computes();
                fleet.get(1, &id, Duration::ZERO).await;
                if fleet.computes() != before {
                    return false;
                }
            }
            true
        };
        assert!(timeout(HANG, healed).await.expect("a hang"), "{adapter:?}");
        fleet.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_hangs_is_replaced() {
    for adapter in ADAPTERS {
        let cluster = cluster().await;
        let fleet = Fleet::start(adapter, &cluster, 2, |b| b).await;
        let until = Instant::now() + 8 * SECOND;
        let pause = async {
            sleep(SECOND).await;
            cluster.nodes()[1].pause().await.unwrap();
        };
        let work = async { tokio::join!(load(&fleet, until, "hung"), pause).0 };
        let longest = timeout(HANG, work).await.expect("a hang");
        assert!(longest < FAILOVER + 2 * SECOND, "{adapter:?}: {longest:?}");
        cluster.nodes()[1].resume().await.unwrap();
        fleet.close().await;
    }
}

/// Callers who ask for one id after another all end up waiting for the master that hangs, and no answer comes
/// between: the others are asked all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_hangs_costs_the_others_callers_no_leases() {
    // Nobody misses it, and nobody takes its place.
    let options = ClusterOptions {
        replicas_per_master: 0,
        node_timeout: 2 * HANG,
        ..ClusterOptions::default()
    };
    let cluster = TestCluster::start_local_with(options).await.unwrap();
    let mut ids: Vec<Vec<String>> = vec![Vec::new(); 3];
    for n in 0..200 {
        let id = n.to_string();
        ids[cluster.master_of(&format!("{{{id}}}")).await.unwrap()].push(id);
    }
    for adapter in ADAPTERS {
        let fleet = Fleet::start(adapter, &cluster, 1, |b| b).await;
        cluster.nodes()[0].pause().await.unwrap();
        let stuck = ids[0].iter().take(8);
        let stuck = stuck.map(|id| fleet.get(0, id, Duration::ZERO));
        timeout(HANG, join_all(stuck)).await.expect("a hang");
        let likes = &fleet.likes[0];
        // Its breaker is open now; or a PING found the connection dead before, and no call waits for it either way.
        let before = likes.stats().degraded;
        assert_eq!(before, 8, "{adapter:?}");
        for id in ids[1].iter().chain(&ids[2]) {
            fleet.get(0, id, Duration::ZERO).await;
            assert!(likes.get(id).await.unwrap().is_some(), "{adapter:?}: {id}");
        }
        assert_eq!(likes.stats().degraded, before, "{adapter:?}");
        cluster.nodes()[0].resume().await.unwrap();
        eventually("a closed breaker", || async { !likes.stats().circuit_open }).await;
        fleet.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_hands_over_is_followed() {
    let cluster = cluster().await;
    for adapter in ADAPTERS {
        let fleet = Fleet::start(adapter, &cluster, 2, |b| b).await;
        let until = Instant::now() + 5 * SECOND;
        let hand_over = async {
            sleep(SECOND).await;
            let master = cluster.masters().await[0];
            cluster.failover(master).await.unwrap();
        };
        let work = async { tokio::join!(load(&fleet, until, "planned"), hand_over).0 };
        let longest = timeout(HANG, work).await.expect("a hang");
        assert!(longest < 5 * SECOND, "{adapter:?}: {longest:?}");
        fleet.close().await;
        cluster.wait_stable().await.unwrap();
    }
}
