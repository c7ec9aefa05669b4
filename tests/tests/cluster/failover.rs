//! Masters that are killed, that hang, and that hand over.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use memolock_tests::{HANG, SECOND};
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
