//! Herds of processes over a cluster: one compute each; and while a master dies, nobody gets a wrong value or waits
//! for longer than the failover and two seconds.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use memolock::Notifications;
use memolock_testkit::{TestCluster, unique_tag};
use memolock_tests::interop::Member;
use memolock_tests::{Adapter, Ground, HANG, SECOND, eventually};
use tokio::time::timeout;

/// Four processes over each adapter, and four of both.
const FLEETS: [[Adapter; 4]; 3] = [
    [Adapter::RedisRs; 4],
    [Adapter::Fred; 4],
    [
        Adapter::RedisRs,
        Adapter::Fred,
        Adapter::RedisRs,
        Adapter::Fred,
    ],
];

const CALLERS: usize = 10;

/// Processes with the bounds for commands that an application has.
async fn fleet(adapters: &[Adapter], ground: &Ground, tag: &str, lease: Duration) -> Vec<Member> {
    let members = adapters.iter().map(|adapter| {
        Member::start_hasty(
            crate::program(),
            *adapter,
            ground,
            tag,
            lease,
            Notifications::Classic,
        )
    });
    join_all(members).await
}

/// Every member has so many callers ask for the id at once, and whoever computes makes the value at once. How many
/// computed.
async fn herd(members: &mut [Member], id: &str, value: &str) -> u32 {
    let asked = members.iter_mut().map(|member| async {
        let mut calls = Vec::new();
        for _ in 0..CALLERS {
            calls.push(member.ask(id).await);
        }
        member.herd(&calls, value).await
    });
    join_all(asked).await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_of_processes_computes_once_on_every_master() {
    const ROUNDS: usize = 60;
    let cluster = TestCluster::start_local_with(crate::masters()).await;
    let ground = Ground::from(cluster.unwrap());
    for adapters in FLEETS {
        let mut members = fleet(&adapters, &ground, &unique_tag("fleet"), 300 * SECOND).await;
        for round in 0..ROUNDS {
            let (id, value) = (format!("round-{round}"), format!("value-{round}"));
            let computes = herd(&mut members, &id, &value).await;
            assert_eq!(computes, 1, "{adapters:?} in round {round}");
        }
        println!("{ROUNDS} herds of 40 callers in 4 processes over {adapters:?}: 1 compute each");
    }
}

/// The master of the key dies in the middle of the compute; what was replicated is there on its replica, and what
/// was not is computed again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_of_processes_outlives_the_master_of_its_key() {
    let died = FLEETS.map(|adapters| async move {
        let cluster = TestCluster::start_local().await.unwrap();
        cluster.wait_stable().await.unwrap();
        let ground = Ground::from(cluster);
        let Ground::Cluster(cluster) = &ground else { unreachable!() };
        let tag = unique_tag("fleet");
        let mut members = fleet(&adapters, &ground, &tag, 5 * SECOND).await;
        // Its name in the hash-tagged layout has the same slot under any tag.
        let master = cluster.master_of("{held}").await.unwrap();
        let held = members[0].ask("held").await;
        members[0].computes(held).await;
        let mut calls = Vec::new();
        for member in &mut members {
            let mut asked = Vec::new();
            for _ in 0..CALLERS {
                asked.push(member.ask("held").await);
            }
            calls.push(asked);
        }
        calls[0].push(held);
        let channel = ground.key(&tag, "held").notif_channel();
        eventually("three listeners", || async {
            ground.listeners(&channel).await == 3
        })
        .await;
        cluster.nodes()[master].kill().await.unwrap();
        let killed = Instant::now();
        members[0].end(held, Ok("made")).await;
        let answered = members.iter_mut().zip(&calls);
        let answered = answered.map(|(member, calls)| member.herd(calls, "made"));
        let answered = timeout(2 * HANG, join_all(answered)).await;
        let computes: u32 = answered.expect("a hang").into_iter().sum();
        let last = killed.elapsed();
        cluster.wait_stable().await.unwrap();
        let failover = killed.elapsed();
        assert!(last < failover + 2 * SECOND, "{adapters:?}: {last:?}");
        // Afterwards all is as before, on the replica.
        assert_eq!(herd(&mut members, "after", "later").await, 1, "{adapters:?}");
        println!("{adapters:?}: the last of 41 callers was answered {last:?} after the kill, stable after {failover:?}, {computes} more computes");
    });
    join_all(died).await;
}
