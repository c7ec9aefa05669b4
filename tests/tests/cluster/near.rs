//! Near caches over a cluster: what changes on any master is heard, and a failover leaves no old copy.

use memolock::{Coherence, NearCache};
use memolock_tests::{SECOND, eventually};

use crate::fleet::{ADAPTERS, Fleet, cluster, made};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_are_coherent_across_a_failover() {
    for adapter in ADAPTERS {
        let cluster = cluster().await;
        let near = |b: memolock::Builder<String, memolock::codec::Text>| {
            b.near_cache(NearCache::entries(1000).max_age(600 * SECOND))
        };
        let fleet = Fleet::start(adapter, &cluster, 2, near).await;
        let coherence = |at: usize| fleet.likes[at].stats().near.coherence;
        for at in [0, 1] {
            eventually("it hears", || async { coherence(at) == Coherence::Live }).await;
        }
        let ids: Vec<String> = (0..30).map(|n| n.to_string()).collect();
        let is = async |at: usize, id: &str, text: &str| {
            let found = fleet.likes[at].get(id).await;
            found.is_ok_and(|found| found.is_some_and(|found| *found == text))
        };
        for id in &ids {
            fleet.likes[0].put(id, &made(id)).await.unwrap();
            eventually("it is heard of", || async { is(1, id, &made(id)).await }).await;
        }
        let master = cluster.masters().await[0];
        cluster.nodes()[master].kill().await.unwrap();
        cluster.wait_stable().await.unwrap();
        for id in &ids {
            let put = || async { fleet.likes[0].put(id, &"new".to_owned()).await.is_ok() };
            eventually("it can be put", put).await;
            eventually("the new one is seen", || async { is(1, id, "new").await }).await;
        }
        eventually("it hears again", || async {
            coherence(1) == Coherence::Live
        })
        .await;
        fleet.close().await;
    }
}
