//! How long a near cache serves what was overwritten elsewhere:
//! `cargo run --release -p memolock --features redis-rs,fred --example near_staleness`.
//!
//! A server of its own, two processes' worth of connections to it, once for each adapter. One side puts; the
//! time runs from when that has returned until the other side, which asks all the while and had the old
//! value near, gets the new one. Then the same while 64 tasks put other values of the tag.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use memolock::fred::FredBackend;
use memolock::redis_rs::RedisBackend;
use memolock::{Backend, Coherence, Memolock, NearCache};
use memolock_testkit::TestServer;

const PUTS: u64 = 3000;
const MINUTE: Duration = Duration::from_secs(60);

async fn near(backend: impl Backend) -> Memolock<u64> {
    let cache = NearCache::entries(10_000).max_age(MINUTE);
    let building = Memolock::builder("stale", backend)
        .near_cache(cache)
        .build();
    let near = building.await.expect("the settings are good");
    while near.stats().near.coherence != Coherence::Live {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    near
}

async fn far(backend: impl Backend) -> Memolock<u64> {
    let building = Memolock::builder("stale", backend).build();
    building.await.expect("the settings are good")
}

/// Whoever writes other values meanwhile.
fn load(writer: &Memolock<u64>, stop: &Arc<AtomicBool>) {
    for task in 0..64 {
        let (writer, stop) = (writer.clone(), Arc::clone(stop));
        tokio::spawn(async move {
            let mut n = 0;
            while !stop.load(Relaxed) {
                n += 1;
                let id = format!("{task}-{}", n % 100);
                writer.put(&id, &n).await.expect("it is stored");
            }
        });
    }
}

async fn measure(name: &str, reader: Memolock<u64>, writer: Memolock<u64>, loaded: bool) {
    let stop = Arc::new(AtomicBool::new(false));
    if loaded {
        load(&writer, &stop);
    }
    writer.put("k", &0).await.expect("it is stored");
    let mut times = Vec::new();
    for n in 1..=PUTS {
        // Near before it is overwritten.
        let hits = reader.stats().near.hits;
        while reader.stats().near.hits == hits {
            reader.get("k").await.expect("it is there");
            tokio::task::yield_now().await;
        }
        writer.put("k", &n).await.expect("it is stored");
        let returned = Instant::now();
        while reader.get("k").await.expect("it is there").as_deref() != Some(&n) {
            tokio::task::yield_now().await;
        }
        times.push(returned.elapsed());
    }
    stop.store(true, Relaxed);
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
    let how = if loaded { "loaded" } else { "idle" };
    println!("{name:9} {how:7} {p50:9.3} {p99:9.3} {max:9.3}");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!("adapter   server    p50 ms    p99 ms    max ms  ({PUTS} puts)");
    for loaded in [false, true] {
        let server = TestServer::start_local()
            .await
            .expect("a redis-server on the PATH");
        let url = server.url();
        let connect = || async { RedisBackend::connect(url).await.expect("it connects") };
        let (reader, writer) = (near(connect().await).await, far(connect().await).await);
        measure("redis-rs", reader, writer, loaded).await;
        let server = TestServer::start_local()
            .await
            .expect("a redis-server on the PATH");
        let url = server.url();
        let connect = || async { FredBackend::connect(url).await.expect("it connects") };
        let (reader, writer) = (near(connect().await).await, far(connect().await).await);
        measure("fred", reader, writer, loaded).await;
    }
}
