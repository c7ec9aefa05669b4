//! What the backend costs beside the raw client's own SELECT, and what completions cost, in one run.
//!
//! `cargo run --release -p memolock-postgres --example cost URL`. It makes the table `memolock_cost`, and
//! drops nothing: what it stores expires after ten minutes.

// An example may end with a panic where a service may not.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use memolock_core::{Backend, Key, Keyspace, Layout, PutMode, Tag, Token};
use memolock_postgres::PgBackend;
use tokio_postgres::{Client, NoTls};

const KEYS: usize = 1000;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(500);
const TTL: Duration = Duration::from_secs(600);
/// What an application would write itself, without ends of values or their clock.
const SELECT: &str = "SELECT value FROM memolock_cost WHERE id = sha256($1)";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "postgres://postgres@127.0.0.1/postgres".to_owned());
    let builder = PgBackend::builder(&url).table("memolock_cost");
    builder.create_table().await.unwrap();
    let backend = builder.connect().await.unwrap();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let client = Arc::new(client);

    let space = Keyspace::new(Tag::new("cost").unwrap(), Layout::Classic).unwrap();
    let keys = (0..KEYS).map(|i| space.key(&i.to_string()).unwrap());
    let keys: Arc<[Key]> = keys.collect();
    for key in keys.iter() {
        let value = vec![b'x'; 256].into();
        backend
            .put(key, value, TTL, PutMode::Override)
            .await
            .unwrap();
    }

    println!(
        "tasks  raw SELECT/s  get/s  ratio (median of {ROUNDS}, min, max)  acquire and fulfil/s"
    );
    for tasks in [1, 16, 128] {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let theirs = measure(tasks, |task| selects(client.clone(), keys.clone(), task)).await;
            let ours = measure(tasks, |task| gets(backend.clone(), keys.clone(), task)).await;
            rounds.push((ours / theirs, theirs, ours));
        }
        rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (ratio, theirs, ours) = rounds[ROUNDS / 2];
        let (least, most) = (rounds[0].0, rounds[ROUNDS - 1].0);
        let completed = measure(tasks, |task| computes(backend.clone(), space.clone(), task)).await;
        println!(
            "{tasks:5} {theirs:13.0} {ours:6.0}  {ratio:.2} ({least:.2} .. {most:.2})  {completed:27.0}"
        );
    }
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

async fn selects(client: Arc<Client>, keys: Arc<[Key]>, task: usize) -> u64 {
    let statement = client.prepare(SELECT).await.unwrap();
    let names: Vec<String> = keys.iter().map(Key::value_name).collect();
    let (since, mut done) = (Instant::now(), 0);
    while since.elapsed() < ROUND {
        let name = names[(task + done) % KEYS].as_bytes();
        let row = client.query_one(&statement, &[&name]).await.unwrap();
        assert_eq!(row.get::<_, &[u8]>(0).len(), 256);
        done += 1;
    }
    done as u64
}

async fn gets(backend: PgBackend, keys: Arc<[Key]>, task: usize) -> u64 {
    let (since, mut done) = (Instant::now(), 0);
    while since.elapsed() < ROUND {
        let value = backend.get(&keys[(task + done) % KEYS]).await.unwrap();
        assert_eq!(value.map(|value| value.len()), Some(256));
        done += 1;
    }
    done as u64
}

async fn computes(backend: PgBackend, space: Keyspace, task: usize) -> u64 {
    let (since, mut done) = (Instant::now(), 0_u64);
    while since.elapsed() < ROUND {
        let key = space.key(&format!("{task} {done}")).unwrap();
        let token = Token::from_bits(u128::from(done) + 1);
        let _ = backend.acquire(&key, token, TTL).await.unwrap();
        let value = vec![b'x'; 256].into();
        backend.fulfil(&key, token, value, TTL).await.unwrap();
        done += 1;
    }
    done
}
