//! What a hit in the near cache costs, against `moka::future::Cache::get` in the same run, and against the two
//! caches that it could be built on: `cargo run --release -p memolock --example near_ratio`.
//!
//! One task and two threads, over a thousand keys and over a single one; the best of several rounds, in
//! nanoseconds a call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use memolock::memory::MemoryBackend;
use memolock::{Coherence, Memolock, NearCache};

const ROUNDS: usize = 15;
const CALLS: usize = 200_000;

type Value = Vec<u64>;

#[derive(Clone)]
struct Caches {
    memolock: Memolock<Value>,
    future: moka::future::Cache<String, Arc<Value>>,
    sync: moka::sync::Cache<String, Arc<Value>>,
    quick: Arc<quick_cache::sync::Cache<String, Arc<Value>>>,
}

impl Caches {
    async fn fill(ids: &[String]) -> Self {
        let backend = MemoryBackend::new();
        let near = NearCache::entries(10_000).max_age(Duration::from_secs(3600));
        let memolock = Memolock::builder("bench", backend)
            .ttl(Duration::from_secs(3600))
            .near_cache(near)
            .build()
            .await
            .expect("the settings are good");
        let caches = Self {
            memolock,
            future: moka::future::Cache::builder()
                .max_capacity(10_000)
                .time_to_live(Duration::from_secs(3600))
                .build(),
            sync: moka::sync::Cache::builder()
                .max_capacity(10_000)
                .time_to_live(Duration::from_secs(3600))
                .build(),
            quick: Arc::new(quick_cache::sync::Cache::new(10_000)),
        };
        while caches.memolock.stats().near.coherence != Coherence::Live {
            tokio::task::yield_now().await;
        }
        for id in ids {
            let value = Arc::new(vec![7; 16]);
            caches.memolock.put(id, &value).await.expect("it is stored");
            caches.future.insert(id.clone(), Arc::clone(&value)).await;
            caches.sync.insert(id.clone(), Arc::clone(&value));
            caches.quick.insert(id.clone(), value);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        caches
    }
}

/// Nanoseconds a call, when `threads` do it at once.
async fn time<F, Fut>(threads: usize, call: F) -> f64
where
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let tasks: Vec<_> = (0..threads)
        .map(|_| {
            let call = call.clone();
            tokio::spawn(async move {
                let start = Instant::now();
                call().await;
                start.elapsed()
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for task in tasks {
        slowest = slowest.max(task.await.expect("nothing panics"));
    }
    slowest.as_nanos() as f64 / CALLS as f64
}

macro_rules! measure {
    ($caches:expr, $ids:expr, $threads:expr, |$c:ident, $id:ident| $get:expr) => {{
        let (caches, ids) = ($caches.clone(), Arc::clone($ids));
        time($threads, move || {
            let ($c, ids) = (caches.clone(), Arc::clone(&ids));
            async move {
                for $id in ids.iter().cycle().take(CALLS) {
                    let value = $get;
                    std::hint::black_box(&value);
                }
            }
        })
        .await
    }};
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!("threads keys   near  moka::future  ratio | moka::sync  quick_cache");
    for keys in [1000, 1] {
        let ids: Arc<Vec<String>> = Arc::new((0..keys).map(|n| format!("user-{n:06}")).collect());
        let caches = Caches::fill(&ids).await;
        for threads in [1, 2] {
            let mut best = [f64::MAX; 4];
            for _ in 0..ROUNDS {
                let times = [
                    measure!(caches, &ids, threads, |c, id| c
                        .memolock
                        .get(id)
                        .await
                        .expect("a hit")),
                    measure!(caches, &ids, threads, |c, id| c.future.get(id).await),
                    measure!(caches, &ids, threads, |c, id| c.sync.get(id)),
                    measure!(caches, &ids, threads, |c, id| c.quick.get(id)),
                ];
                for (best, time) in best.iter_mut().zip(times) {
                    *best = best.min(time);
                }
            }
            let [near, future, sync, quick] = best;
            let ratio = near / future;
            println!(
                "{threads:7} {keys:4} {near:6.0} {future:13.0} {ratio:6.2} | {sync:10.0} {quick:12.0}"
            );
        }
        let stats = caches.memolock.stats();
        assert_eq!(
            stats.hits + stats.misses,
            0,
            "every call was a hit: {stats:?}"
        );
        caches.memolock.close().await;
    }
}
