//! Large values over real servers and slow lines, by every adapter: what they do to other callers.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::future::join_all;
use memolock::codec::Text;
use memolock::redis_rs::RedisBackend;
use memolock::redis_rs::deadpool_redis::{Config, Runtime};
use memolock::{Backend, Memolock, Source};
use memolock_testkit::{Faults, Proxy, TestCluster, TestSentinel, TestServer, Way};
use memolock_tests::{Adapter, HANG, SECOND, cli, eventually, own_server};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

type Likes = Memolock<String, Text>;

const MIB: usize = 1 << 20;

/// The large value of these tests.
const LARGE: usize = 60 * MIB;

/// Bytes that pass a slow line at once, and the pause after them: at most 12.5 MiB/s, so 5 s for the large value.
const SLOW: Way = Way::CLEAR.slow(64 << 10, Duration::from_millis(5));

/// What a command may take over a slow line: less than the large value takes there.
const BOUND: Duration = Duration::from_secs(3);

async fn likes(backend: &Arc<dyn Backend>, tag: &str) -> Likes {
    let builder = Memolock::<String>::builder(tag, Arc::clone(backend)).codec(Text);
    let builder = builder.ttl(300 * SECOND).wait_timeout(4 * HANG);
    builder.build().await.unwrap()
}

async fn call(likes: &Likes, id: &str, bytes: usize) -> Source {
    let compute = |_| async { Ok::<_, String>("x".repeat(bytes)) };
    let memo = likes.entry(id).or_compute(compute).await.unwrap();
    assert_eq!(memo.len(), bytes);
    memo.source()
}

/// A number of `INFO stats`.
async fn counted(server: &TestServer, name: &str) -> u64 {
    let info = cli(server, &["INFO", "stats"]).await;
    let info = String::from_utf8_lossy(info.as_bytes().unwrap()).into_owned();
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim_start_matches(':').parse().unwrap()
}

/// How many connections for large values the server has.
async fn large_connections(server: &TestServer) -> usize {
    let list = cli(server, &["CLIENT", "LIST"]).await;
    let list = String::from_utf8_lossy(list.as_bytes().unwrap()).into_owned();
    let names = list.split_whitespace().filter(|w| w.starts_with("name="));
    names.filter(|name| name.ends_with("-large")).count()
}

/// Once such a value was sent 21 times in 5 s. Each time the server closed the connection of all callers, and their
/// writes were lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_the_server_never_takes_costs_others_no_write() {
    for adapter in Adapter::ALL {
        let server = own_server().await;
        cli(&server, &["CONFIG", "SET", "proto-max-bulk-len", "1mb"]).await;
        let backend = adapter.connect(server.url()).await;
        let likes = likes(&backend, "likes").await;
        let (over, writes) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let mut writers = JoinSet::new();
        for writer in 0..8 {
            let (likes, over, writes) = (likes.clone(), Arc::clone(&over), Arc::clone(&writes));
            writers.spawn(async move {
                let mut n = 0;
                while !over.load(SeqCst) {
                    n += 1;
                    let id = format!("{writer}-{n}");
                    match n % 2 {
                        0 => likes.put(&id, &"v".to_owned()).await.unwrap(),
                        _ => assert_eq!(call(&likes, &id, 100).await, Source::Computed),
                    }
                    writes.fetch_add(1, SeqCst);
                }
            });
        }
        eventually("writes", || async { writes.load(SeqCst) > 100 }).await;
        let before = counted(&server, "total_connections_received").await;
        let values = 4;
        for n in 0..values {
            let id = format!("large-{n}");
            assert_eq!(call(&likes, &id, 3 * MIB).await, Source::Computed);
        }
        // They are given up, and their keys are free.
        eventually("the end of clean-up", || async {
            likes.stats().unstored == values
                && cli(&server, &["KEYS", "likes/lock:large*"])
                    .await
                    .items()
                    .is_empty()
        })
        .await;
        let seen = writes.load(SeqCst);
        eventually("more writes", || async { writes.load(SeqCst) > seen + 500 }).await;
        over.store(true, SeqCst);
        while let Some(writer) = writers.join_next().await {
            writer.unwrap();
        }
        let made = counted(&server, "total_connections_received").await - before;
        let stats = likes.stats();
        assert_eq!(stats.backend.reconnects, 0, "{adapter}");
        // A pool may make some as it is used more, and fred's one to ask for a size. One that ends too soon is made again.
        let grown = if adapter == Adapter::RedisRs { 2 } else { 4 };
        assert!(made <= 2 * values + grown, "{adapter}: {made} connections");
        // None but the large ones.
        assert_eq!(
            (stats.unstored, stats.circuit_open),
            (values, false),
            "{adapter}"
        );
        likes.close().await;
        backend.close().await;
    }
}

/// Another process over the server itself, and one over a slow line.
async fn near_and_far(adapter: Adapter) -> (TestServer, Proxy, [Arc<dyn Backend>; 2]) {
    let server = own_server().await;
    let address = format!("{}:{}", server.host(), server.port());
    let proxy = Proxy::start(address.parse().unwrap()).await.unwrap();
    let url = format!("redis://{}", proxy.address());
    let far = adapter.connect_within(&url, Some(BOUND)).await;
    let near = Adapter::RedisRs.connect(server.url()).await;
    (server, proxy, [near, far])
}

/// Small calls of other callers over the slow line. They may be slow; none fails, and none goes without the store.
async fn small_calls(likes: &Likes, name: &str) {
    let mut calls = JoinSet::new();
    for n in 0..8 {
        let (likes, id) = (likes.clone(), format!("{name}-{n}"));
        calls.spawn(async move {
            assert_eq!(call(&likes, &id, 100).await, Source::Computed);
            likes.put(&id, &"v".to_owned()).await.unwrap();
            likes.invalidate(&id).await.unwrap();
        });
    }
    let calls = timeout(4 * HANG, calls.join_all());
    calls.await.expect("a hang");
    let stats = likes.stats();
    assert_eq!((stats.degraded, stats.circuit_open), (0, false), "{name}");
    assert_eq!((stats.unstored, stats.lost_leases), (0, 0), "{name}");
    assert_eq!(stats.backend.reconnects, 0, "{name}");
}

/// Once the small ones behind it had no answer in time, which opened the circuit breaker for all callers.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_large_value_on_a_slow_line_keeps_no_small_one_waiting() {
    for adapter in Adapter::ALL {
        let (_server, proxy, [near, far]) = near_and_far(adapter).await;
        let (near, likes) = (likes(&near, "likes").await, likes(&far, "likes").await);
        proxy.set(Faults::up(SLOW)).await;
        assert_eq!(call(&likes, "large", LARGE).await, Source::Computed);
        let large = tokio::spawn(async move { call(&near, "large", LARGE).await });
        let mut n = 0;
        while !large.is_finished() {
            n += 1;
            small_calls(&likes, &format!("{adapter} {n}")).await;
        }
        assert_eq!(large.await.unwrap(), Source::Awaited, "{adapter}: {n}");
        assert!(n > 3, "{adapter}: only {n} rounds while it was stored");
        likes.close().await;
        far.close().await;
    }
}

/// A put keeps its order with what else this process does to its key, so it shares the connection of small ones. They
/// wait for it, and that is no time-out of theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn small_ones_behind_a_large_put_on_a_slow_line_are_late_and_not_lost() {
    for adapter in Adapter::ALL {
        let (_server, proxy, [near, far]) = near_and_far(adapter).await;
        let (near, likes) = (likes(&near, "likes").await, likes(&far, "likes").await);
        proxy.set(Faults::up(SLOW)).await;
        let (began, before) = (Instant::now(), proxy.tally().up);
        let put = {
            let likes = likes.clone();
            tokio::spawn(async move { likes.put("large", &"x".repeat(LARGE)).await })
        };
        eventually("bytes of it", || async {
            proxy.tally().up > before + MIB as u64
        })
        .await;
        let name = adapter.to_string();
        let (put, ()) = tokio::join!(put, small_calls(&likes, &name));
        put.unwrap().unwrap();
        assert!(began.elapsed() > BOUND, "the line is not slow");
        let found = near.get("large").await.unwrap();
        assert_eq!(found.map(|memo| memo.len()), Some(LARGE), "{adapter}");
        likes.close().await;
        far.close().await;
    }
}

/// The same of a reply: the bytes are seen, or the server is asked how large the value is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn small_ones_behind_a_large_hit_on_a_slow_line_are_late_and_not_lost() {
    for adapter in Adapter::ALL {
        let (_server, proxy, [near, far]) = near_and_far(adapter).await;
        let (near, likes) = (likes(&near, "likes").await, likes(&far, "likes").await);
        near.put("large", &"x".repeat(LARGE)).await.unwrap();
        proxy.set(Faults::down(SLOW)).await;
        let began = Instant::now();
        let before = proxy.tally().down;
        let hits: Vec<_> = (0..3)
            .map(|_| {
                let likes = likes.clone();
                tokio::spawn(async move { likes.get("large").await })
            })
            .collect();
        eventually("bytes of it", || async {
            proxy.tally().down > before + MIB as u64
        })
        .await;
        let name = format!("hit {adapter}");
        let (hits, ()) = tokio::join!(join_all(hits), small_calls(&likes, &name));
        for hit in hits {
            let found = hit.unwrap().unwrap_or_else(|e| panic!("{adapter}: {e}"));
            assert_eq!(found.map(|text| text.len()), Some(LARGE), "{adapter}");
        }
        assert!(began.elapsed() > BOUND, "the line is not slow");
        likes.close().await;
        far.close().await;
    }
}

/// A server that hangs in the middle of a large value is noticed as any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_hangs_within_a_large_value_is_noticed() {
    for adapter in Adapter::ALL {
        hangs_within_a_large_value(adapter).await;
    }
}

async fn hangs_within_a_large_value(adapter: Adapter) {
    let (_server, proxy, [near, far]) = near_and_far(adapter).await;
    let (near, likes) = (likes(&near, "likes").await, likes(&far, "likes").await);
    near.put("large", &"x".repeat(LARGE)).await.unwrap();
    proxy.set(Faults::down(SLOW)).await;
    let before = proxy.tally().down;
    let hit = {
        let likes = likes.clone();
        tokio::spawn(async move { call(&likes, "large", LARGE).await })
    };
    eventually("bytes of it", || async {
        proxy.tally().down > before + MIB as u64
    })
    .await;
    proxy.set(Faults::both(Way::CLEAR.stalled())).await;
    // Its caller computes.
    let hit = timeout(4 * HANG, hit).await.expect("a hang");
    assert_ne!(hit.unwrap(), Source::Hit, "{adapter}");
    far.close().await;
}

/// There is one at the most, and none that nobody uses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_values_share_one_connection_which_ends_when_it_is_idle() {
    for adapter in Adapter::ALL {
        let server = own_server().await;
        let backend = adapter.connect(server.url()).await;
        let likes = likes(&backend, "likes").await;
        assert_eq!(call(&likes, "small", MIB / 2).await, Source::Computed);
        assert_eq!(large_connections(&server).await, 0, "{adapter}");
        let mut calls = JoinSet::new();
        for n in 0..8 {
            let likes = likes.clone();
            calls.spawn(async move { call(&likes, &n.to_string(), 2 * MIB).await });
        }
        while let Some(source) = calls.join_next().await {
            assert_eq!(source.unwrap(), Source::Computed);
            assert!(large_connections(&server).await <= 1, "{adapter}");
        }
        // A server that has forgotten the scripts, and one that has closed the idle connection.
        cli(&server, &["SCRIPT", "FLUSH"]).await;
        assert_eq!(call(&likes, "flushed", 2 * MIB).await, Source::Computed);
        cli(&server, &["CLIENT", "KILL", "TYPE", "normal"]).await;
        assert_eq!(call(&likes, "killed", 2 * MIB).await, Source::Computed);
        eventually("all are stored", || async {
            likes.in_flight().tasks == 0
                && likes.get("killed").await.is_ok_and(|found| found.is_some())
        })
        .await;
        for id in ["0", "7", "flushed", "killed"] {
            assert_eq!(
                call(&likes, id, 2 * MIB).await,
                Source::Hit,
                "{adapter}: {id}"
            );
        }
        assert_eq!(large_connections(&server).await, 1, "{adapter}");
        eventually("it ends", || async {
            large_connections(&server).await == 0
        })
        .await;
        assert_eq!(call(&likes, "again", 2 * MIB).await, Source::Computed);
        backend.close().await;
        eventually("it is closed", || async {
            large_connections(&server).await == 0
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_values_are_stored_on_each_master_of_a_cluster() {
    let cluster = TestCluster::start_local().await.unwrap();
    for adapter in [Adapter::RedisRs, Adapter::Fred] {
        let backend = adapter.connect(cluster.url()).await;
        let tag = cluster.unique_tag("large");
        let (likes, other) = (likes(&backend, &tag).await, likes(&backend, &tag).await);
        for id in 0..12 {
            let id = id.to_string();
            assert_eq!(call(&likes, &id, 2 * MIB).await, Source::Computed);
            eventually("it is stored", || async { likes.in_flight().tasks == 0 }).await;
            assert_eq!(
                call(&other, &id, 2 * MIB).await,
                Source::Hit,
                "{adapter}: {id}"
            );
        }
        let mut nodes = 0;
        for node in cluster.nodes() {
            let connections = large_connections(node).await;
            assert!(connections <= 1, "{adapter}");
            nodes += connections;
        }
        assert!(nodes > 1, "{adapter}: {nodes}");
        assert_eq!(likes.stats().unstored, 0);
        backend.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_for_large_values_follows_the_master() {
    let sentinel = TestSentinel::start_local().await.unwrap();
    for adapter in [Adapter::RedisRs, Adapter::Fred] {
        let backend = adapter.connect(sentinel.url()).await;
        let likes = likes(&backend, &format!("{adapter}")).await;
        assert_eq!(call(&likes, "before", 2 * MIB).await, Source::Computed);
        sentinel.failover().await.unwrap();
        // The lease may have been taken while the old master was still one.
        let mut n = 0;
        eventually("a value on the new master", || {
            n += 1;
            let (likes, id) = (likes.clone(), format!("after-{n}"));
            async move {
                call(&likes, &id, 2 * MIB).await;
                matches!(likes.get(&id).await, Ok(Some(_)))
            }
        })
        .await;
        let master = sentinel.master().await.unwrap();
        for (at, server) in sentinel.servers().iter().enumerate() {
            if at != master {
                assert_eq!(
                    large_connections(server).await,
                    0,
                    "{adapter}: at a replica"
                );
            }
        }
        likes.close().await;
        backend.close().await;
        sentinel.wait_stable().await.unwrap();
    }
}

/// The user of the URL may only listen: then large values go by the pool, as small ones do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_pool_the_user_of_the_url_needs_no_right_to_store() {
    let server = own_server().await;
    let rights = "ACL SETUSER ear on >secret resetkeys allchannels +@connection +@pubsub +info +ping +client";
    let words: Vec<&str> = rights.split(' ').collect();
    cli(&server, &words).await;
    let pool = Config::from_url(server.url());
    let pool = pool.create_pool(Some(Runtime::Tokio1)).unwrap();
    let url = format!("redis://ear:secret@{}:{}", server.host(), server.port());
    let builder = RedisBackend::builder(url).pool(pool).command_timeout(HANG);
    let backend: Arc<dyn Backend> = Arc::new(builder.connect().await.unwrap());
    let likes = likes(&backend, "likes").await;
    assert_eq!(call(&likes, "a", 2 * MIB).await, Source::Computed);
    eventually("it is stored", || async { likes.in_flight().tasks == 0 }).await;
    assert_eq!(call(&likes, "a", 2 * MIB).await, Source::Hit);
    assert_eq!(likes.stats().unstored, 0);
    backend.close().await;
}
