//! Herds of the real client while one master takes another's place, over every adapter.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use memolock::fred::FredBackend;
use memolock::redis_rs::RedisBackend;
use memolock::{Backend, Memolock};
use memolock_testkit::TestSentinel;
use memolock_tests::{HANG, SECOND};
use tokio::time::{sleep, timeout};

const PROCESSES: usize = 4;
const IDS: usize = 20;

/// What the master is made to go through.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Killed,
    Paused,
    Replaced,
}

async fn connect(adapter: &str, url: &str) -> Arc<dyn Backend> {
    match adapter {
        "fred" => Arc::new(FredBackend::connect(url).await.unwrap()),
        _ => Arc::new(RedisBackend::connect(url).await.unwrap()),
    }
}

/// Callers of every process ask for every id, over and over; values live for a moment, so that there is always
/// something to compute.
async fn herd(adapter: &str, fate: Fate) {
    let sentinel = TestSentinel::start_local().await.unwrap();
    let mut processes: Vec<Memolock<String>> = Vec::new();
    for _ in 0..PROCESSES {
        let backend = connect(adapter, sentinel.url()).await;
        // A lock that was replicated, and whose end was not, is sat out on the new master: by a second here.
        let builder = Memolock::builder("likes", backend)
            .ttl(SECOND / 20)
            .lease(SECOND);
        processes.push(builder.build().await.unwrap());
    }
    let over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..PROCESSES * 50 {
        let likes = processes[n % PROCESSES].clone();
        let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
        callers.spawn(async move {
            let mut slowest = Duration::ZERO;
            let mut round = n;
            while !over.load(SeqCst) {
                round += 1;
                let id = (round % IDS).to_string();
                let compute = |_| async {
                    sleep(SECOND / 200).await;
                    Ok::<_, String>(format!("value of {id}"))
                };
                let since = Instant::now();
                let value = timeout(HANG, likes.get_or_compute(&id, compute)).await;
                let value = value.expect("a hang").unwrap();
                assert_eq!(*value, format!("value of {id}"));
                slowest = slowest.max(since.elapsed());
                answered.fetch_add(1, SeqCst);
                sleep(SECOND / 100).await;
            }
            slowest
        });
    }
    sleep(SECOND / 2).await;
    let before = answered.load(SeqCst);
    assert!(before > 0);
    let mut switches = sentinel.switches().await.unwrap();
    let since = Instant::now();
    match fate {
        Fate::Killed => sentinel.servers()[0].kill().await.unwrap(),
        Fate::Paused => sentinel.servers()[0].pause().await.unwrap(),
        Fate::Replaced => drop(sentinel.failover().await.unwrap()),
    }
    let switch = switches.next().await.unwrap();
    let announced = since.elapsed();
    // Whatever is put now is on the new master, from every process.
    for (n, likes) in processes.iter().enumerate() {
        let id = format!("put by {n}");
        let since = Instant::now();
        while likes.put(&id, &id).await.is_err() {
            assert!(
                since.elapsed() < 2 * SECOND,
                "{adapter} {fate:?}: no second later"
            );
            sleep(SECOND / 200).await;
        }
    }
    let followed = since.elapsed() - announced;
    assert_eq!(sentinel.master().await.unwrap(), switch.to);
    over.store(true, SeqCst);
    let mut slowest = Duration::ZERO;
    while let Some(caller) = callers.join_next().await {
        slowest = slowest.max(caller.unwrap());
    }
    let answered = answered.load(SeqCst);
    println!(
        "{adapter}, {fate:?}: announced after {announced:?}, followed {followed:?} later; {answered} calls, the slowest {slowest:?}"
    );
    assert!(answered > before, "nobody was answered meanwhile");
    assert!(slowest < announced + 2 * SECOND, "{slowest:?}");
    for likes in &processes {
        likes.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_survives_the_death_of_a_master() {
    for adapter in ["redis-rs", "fred"] {
        herd(adapter, Fate::Killed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_survives_a_master_that_hangs() {
    for adapter in ["redis-rs", "fred"] {
        herd(adapter, Fate::Paused).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_does_not_notice_a_planned_failover() {
    for adapter in ["redis-rs", "fred"] {
        herd(adapter, Fate::Replaced).await;
    }
}
