//! Large values and what else a process does to their keys: order is kept, and nothing is sent again and again.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::time::Duration;

use memolock::Source;
use memolock_testkit::{Faults, Proxy, Way};
use memolock_tests::{
    Adapter, Call, Fate, HANG, Ours, SECOND, Scripted, end_of, eventually, own_server,
};
use tokio::time::sleep;

const MIB: usize = 1 << 20;

/// The large value of these tests, where it is slow.
const LARGE: usize = 16 * MIB;

/// Bytes that pass a slow line at once, and the pause after them: at most 12.5 MiB/s.
const SLOW: Way = Way::CLEAR.slow(64 << 10, Duration::from_millis(5));

#[derive(Debug, Clone, Copy)]
enum First {
    Put,
    /// A computed value, over a connection of its own.
    Fulfil,
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Put,
    Invalidation,
}

/// What follows a large value takes effect after it, or the large value takes none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_large_value_of_the_same_key_is_what_stays() {
    for adapter in Adapter::ALL {
        let server = own_server().await;
        let address = format!("{}:{}", server.host(), server.port());
        let proxy = Proxy::start(address.parse().unwrap()).await.unwrap();
        let url = format!("redis://{}", proxy.address());
        let ours = Ours::start(adapter, &url, "likes", |b| b).await;
        let near = Ours::start(Adapter::RedisRs, server.url(), "likes", |b| b).await;
        proxy.set(Faults::up(SLOW)).await;
        for first in [First::Put, First::Fulfil] {
            for then in [Then::Put, Then::Invalidation] {
                let id = format!("{first:?}, {then:?}");
                let what = format!("{adapter}: {id}");
                let before = proxy.tally().up;
                let large = begin(&ours, &id, first);
                eventually("bytes of it", || async {
                    proxy.tally().up > before + MIB as u64
                })
                .await;
                match then {
                    Then::Put => ours.likes.put(&id, &"small".to_owned()).await,
                    Then::Invalidation => ours.likes.invalidate(&id).await,
                }
                .unwrap();
                large.await.unwrap();
                eventually("it is over", || async { ours.likes.in_flight().tasks == 0 }).await;
                let found = near.likes.get(&id).await.unwrap();
                let found = found.map(|memo| memo.chars().take(9).collect::<String>());
                let expected = match then {
                    Then::Put => Some("small".to_owned()),
                    Then::Invalidation => None,
                };
                assert_eq!(found, expected, "{what}");
            }
        }
        for ours in [ours, near] {
            ours.likes.close().await;
            ours.backend.close().await;
        }
    }
}

fn begin(ours: &Ours, id: &str, first: First) -> tokio::task::JoinHandle<()> {
    let (likes, id, value) = (ours.likes.clone(), id.to_owned(), "x".repeat(LARGE));
    tokio::spawn(async move {
        match first {
            First::Put => likes.put(&id, &value).await.unwrap(),
            First::Fulfil => {
                let compute = |_| async { Ok::<_, String>(value) };
                let memo = likes.entry(&id).or_compute(compute).await.unwrap();
                assert_eq!((memo.len(), memo.source()), (LARGE, Source::Computed));
            }
        }
    })
}

/// How often a value of this id that is large was sent.
fn sendings(front: &Scripted, id: &str) -> usize {
    let name = format!("likes:{id}");
    let log = front.log();
    let large = log.iter().filter(|sent| {
        let is_large = sent.words.iter().any(|word| word.len() > MIB);
        is_large && sent.words.iter().any(|word| *word == name)
    });
    large.count()
}

/// A front that ends the connection of whoever sends a large value.
async fn before(server: &memolock_testkit::TestServer) -> Scripted {
    let front = Scripted::before(server).await;
    front.script(|words| match words.iter().any(|word| word.len() > MIB) {
        true => Fate::Closes,
        false => Fate::Passes,
    });
    front
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_value_that_ends_its_connection_is_sent_twice_at_most() {
    let large = || "x".repeat(3 * MIB);
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let front = before(&server).await;
        let ours = Ours::start(adapter, front.url(), "likes", |b| b.wait_timeout(HANG)).await;
        let put = ours.likes.put("put", &large()).await;
        put.unwrap_err();
        let resolve = ours.likes.entry("resolved").resolve(&large()).await;
        resolve.unwrap_err();
        let computed: Call = ours.get("computed", &large());
        assert_eq!(end_of(computed).await.unwrap().len(), 3 * MIB);
        let compute = move |ids: Vec<String>| async move {
            let value = |id: &str| match id {
                "many" => large(),
                small => small.to_owned(),
            };
            let values = ids.into_iter().map(|id| (id.clone(), value(&id)));
            Ok::<_, String>(values.collect::<HashMap<_, _>>())
        };
        let many = ours.likes.entries(["few", "many", "more"]);
        let values = many.or_compute(compute).await.into_result();
        assert_eq!(values.unwrap().len(), 3, "{adapter}: callers have theirs");
        eventually("it is over", || async { ours.likes.in_flight().tasks == 0 }).await;
        // Whoever sent it again and again did so in the next seconds.
        sleep(3 * SECOND).await;
        for id in ["put", "resolved", "computed", "many"] {
            let sendings = sendings(&front, id);
            assert!((1..=2).contains(&sendings), "{adapter}: {id}: {sendings}");
        }
        let near = Ours::start(Adapter::RedisRs, server.url(), "likes", |b| b).await;
        for small in ["few", "more"] {
            let stored = near.likes.get(small).await.unwrap();
            assert!(stored.is_some(), "{adapter}: {small} is not stored");
        }
        assert!(!ours.likes.stats().circuit_open, "{adapter}");
        for ours in [ours, near] {
            ours.likes.close().await;
            ours.backend.close().await;
        }
        memolock_tests::cli(&server, &["FLUSHALL"]).await;
    }
}
