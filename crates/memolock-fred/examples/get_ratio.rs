//! Compares `FredBackend::get` with the raw client's GET, in one run.
//!
//! `cargo run --release --example get_ratio_fred [URL]`, by default `redis://127.0.0.1:6379`. It writes
//! 1,000 keys of the tag `get_ratio` that expire after ten minutes.

// An example may end with a panic where a service may not.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use fred::prelude::*;
use fred::types::RespVersion;
use memolock_core::{Backend, Key as MemoKey, Keyspace, Layout, PutMode, Tag};
use memolock_fred::FredBackend;

const KEYS: usize = 1000;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(700);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let backend = FredBackend::connect(&url).await.unwrap();
    let raw = raw(&url).await;

    let space = Keyspace::new(Tag::new("get_ratio").unwrap(), Layout::Classic).unwrap();
    let keys = (0..KEYS).map(|i| space.key(&i.to_string()).unwrap());
    let keys: Arc<[MemoKey]> = keys.collect();
    for key in keys.iter() {
        let ttl = Duration::from_secs(600);
        let put = backend.put(key, vec![b'x'; 256].into(), ttl, PutMode::Override);
        put.await.unwrap();
    }

    println!("tasks   raw op/s   backend op/s   ratio (median of {ROUNDS}, with min and max)");
    for tasks in [1, 64, 512] {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let theirs = measure(tasks, |task| {
                by_client(raw.clone(), Arc::clone(&keys), task)
            })
            .await;
            let ours = measure(tasks, |task| {
                by_backend(backend.clone(), Arc::clone(&keys), task)
            })
            .await;
            rounds.push((ours / theirs, theirs, ours));
        }
        rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (ratio, theirs, ours) = rounds[ROUNDS / 2];
        let (least, most) = (rounds[0].0, rounds[ROUNDS - 1].0);
        println!("{tasks:5} {theirs:10.0} {ours:14.0}   {ratio:.2} ({least:.2} .. {most:.2})");
    }
}

/// The raw client at its best: RESP3 and no delay, as the backend has it; its default time-out.
async fn raw(url: &str) -> Client {
    let mut config = Config::from_url(url).unwrap();
    config.version = RespVersion::RESP3;
    let connection = ConnectionConfig {
        tcp: TcpConfig {
            nodelay: Some(true),
            ..TcpConfig::default()
        },
        ..ConnectionConfig::default()
    };
    let client = Client::new(config, None, Some(connection), None);
    client.init().await.unwrap();
    client
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

async fn by_client(client: Client, keys: Arc<[MemoKey]>, task: usize) -> u64 {
    let names: Vec<String> = keys.iter().map(MemoKey::value_name).collect();
    let (since, mut done) = (Instant::now(), 0);
    while since.elapsed() < ROUND {
        let name = names[(task + done) % KEYS].as_str();
        let value: Option<bytes::Bytes> = client.get(name).await.unwrap();
        assert_eq!(value.map(|value| value.len()), Some(256));
        done += 1;
    }
    done as u64
}

async fn by_backend(backend: FredBackend, keys: Arc<[MemoKey]>, task: usize) -> u64 {
    let (since, mut done) = (Instant::now(), 0);
    while since.elapsed() < ROUND {
        let value = backend.get(&keys[(task + done) % KEYS]).await.unwrap();
        assert_eq!(value.map(|value| value.len()), Some(256));
        done += 1;
    }
    done as u64
}
