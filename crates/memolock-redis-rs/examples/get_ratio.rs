//! Compares `RedisBackend::get` with the raw client's GET, in one run.
//!
//! `cargo run --release --example get_ratio [URL]`, by default `redis://127.0.0.1:6379`. It writes
//! 1,000 keys of the tag `get_ratio` that expire after ten minutes. With `--features deadpool` the backend
//! over a pool of 16 connections is measured too, against the backend over its own connection.

// An example may end with a panic where a service may not.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use memolock_core::{Backend, Key, Keyspace, Layout, PutMode, Tag};
use memolock_redis_rs::RedisBackend;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{IntoConnectionInfo, ProtocolVersion};

const KEYS: usize = 1000;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(700);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let backend = RedisBackend::connect(&url).await.unwrap();
    let raw = raw(&url).await;

    let space = Keyspace::new(Tag::new("get_ratio").unwrap(), Layout::Classic).unwrap();
    let keys = (0..KEYS).map(|i| space.key(&i.to_string()).unwrap());
    let keys: Arc<[Key]> = keys.collect();
    for key in keys.iter() {
        let ttl = Duration::from_secs(600);
        let put = backend.put(key, vec![b'x'; 256].into(), ttl, PutMode::Override);
        put.await.unwrap();
    }

    println!("tasks   raw op/s   backend op/s   ratio (median of {ROUNDS}, with min and max)");
    for tasks in [1, 64, 512] {
        let raw = |task| by_client(raw.clone(), Arc::clone(&keys), task);
        let ours = |task| by_backend(backend.clone(), Arc::clone(&keys), task);
        compare(tasks, raw, ours).await;
    }
    #[cfg(feature = "deadpool")]
    {
        let pooled = pooled(&url).await;
        println!(
            "\ntasks   own op/s    pooled op/s   ratio (median of {ROUNDS}, with min and max)"
        );
        for tasks in [1, 64, 512] {
            let own = |task| by_backend(backend.clone(), Arc::clone(&keys), task);
            let pooled = |task| by_backend(pooled.clone(), Arc::clone(&keys), task);
            compare(tasks, own, pooled).await;
        }
    }
}

/// The backend as an application has it that owns a pool.
#[cfg(feature = "deadpool")]
async fn pooled(url: &str) -> RedisBackend {
    use memolock_redis_rs::deadpool_redis::{Config, PoolConfig, Runtime};
    let mut config = Config::from_url(url);
    config.pool = Some(PoolConfig::new(16));
    let pool = config.create_pool(Some(Runtime::Tokio1)).unwrap();
    let builder = RedisBackend::builder(url).pool(pool);
    builder.connect().await.unwrap()
}

/// Both by turns, and a line of the table.
async fn compare<A, B>(tasks: usize, one: impl Fn(usize) -> A, other: impl Fn(usize) -> B)
where
    A: Future<Output = u64> + Send + 'static,
    B: Future<Output = u64> + Send + 'static,
{
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let theirs = measure(tasks, &one).await;
        let ours = measure(tasks, &other).await;
        rounds.push((ours / theirs, theirs, ours));
    }
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, theirs, ours) = rounds[ROUNDS / 2];
    let (least, most) = (rounds[0].0, rounds[ROUNDS - 1].0);
    println!("{tasks:5} {theirs:10.0} {ours:14.0}   {ratio:.2} ({least:.2} .. {most:.2})");
}

/// The raw client at its best: RESP3 and no delay, as the backend has it; its default time-out.
async fn raw(url: &str) -> MultiplexedConnection {
    let info = url.into_connection_info().unwrap();
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3);
    let tcp = TcpSettings::default().set_nodelay(true);
    let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
    let client = redis::Client::open(info).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// Operations per second of so many tasks.
async fn measure<F>(tasks: usize, work: impl Fn(usize) -> F) -> f64
where
    F: Future<Output = u64> + Send + 'static,
{
    let since = Instant::now();
    let running: Vec<_> = (0..tasks).map(|task| tokio::spawn(work(task))).collect();
    let mut operations = 0;
    for task in running {
        operations += task.await.unwrap();
    }
    operations as f64 / since.elapsed().as_secs_f64()
}

async fn by_client(mut connection: MultiplexedConnection, keys: Arc<[Key]>, task: usize) -> u64 {
    let names: Vec<String> = keys.iter().map(Key::value_name).collect();
    let (since, mut done) = (Instant::now(), 0);
    while since.elapsed() < ROUND {
        let mut get = redis::cmd("GET");
        get.arg(&names[(task + done) % KEYS]);
        let value: Option<Vec<u8>> = get.query_async(&mut connection).await.unwrap();
        assert_eq!(value.map(|value| value.len()), Some(256));
        done += 1;
    }
    done as u64
}

async fn by_backend(backend: RedisBackend, keys: Arc<[Key]>, task: usize) -> u64 {
    let (since, mut done) = (Instant::now(), 0);
    while since.elapsed() < ROUND {
        let value = backend.get(&keys[(task + done) % KEYS]).await.unwrap();
        assert_eq!(value.map(|value| value.len()), Some(256));
        done += 1;
    }
    done as u64
}
