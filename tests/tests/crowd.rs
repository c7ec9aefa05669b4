//! Tens of thousands of ids awaited at once: no lease is lost, every waiter subscribes, and every waiter is woken.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use memolock::codec::Text;
use memolock::core::{Keyspace, Layout, Tag};
use memolock::postgres::PgBackend;
use memolock::{Backend, Memo, Memolock};
use memolock_testkit::PgServer;
use memolock_tests::{Adapter, HANG, SECOND, own_server};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing_subscriber::filter::LevelFilter;

/// Computed in one process and awaited in another, all at the same moment.
const IDS: usize = 30_000;

/// Far more than the whole takes beside a dozen busy processes.
const CROWD_HANG: Duration = Duration::from_secs(400);

/// Long enough for one who is short of processor time, and renewed while the test goes on.
const LEASE: Duration = Duration::from_secs(15);

async fn memolock(backend: Arc<dyn Backend>) -> Memolock<String, Text> {
    let builder = Memolock::<String>::builder("crowd", backend).codec(Text);
    let builder = builder.lease(LEASE).wait_timeout(CROWD_HANG);
    builder.build().await.unwrap()
}

/// Waits until all ids are counted.
async fn all(what: &str, count: impl Fn() -> u64) {
    let began = Instant::now();
    while count() < IDS as u64 {
        assert!(began.elapsed() < CROWD_HANG, "{what}: {} of {IDS}", count());
        sleep(SECOND / 50).await;
    }
    eprintln!("{what}: {:.1?}", began.elapsed());
}

/// Why a lease is lost, or a store said to fail, stands in the log.
fn log() {
    let log = tracing_subscriber::fmt().with_test_writer();
    let _ = log.with_max_level(LevelFilter::WARN).try_init();
}

async fn crowd(holder: Arc<dyn Backend>, waiter: Arc<dyn Backend>) {
    log();
    let (holding, waiting) = (memolock(holder).await, memolock(waiter).await);
    let (gate, computes) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut callers = JoinSet::new();
    let mut call = |likes: &Memolock<String, Text>, n: usize| {
        let (likes, gate, computes) = (likes.clone(), Arc::clone(&gate), Arc::clone(&computes));
        callers.spawn(async move {
            let compute = |_| async {
                computes.fetch_add(1, SeqCst);
                gate.acquire().await.unwrap().forget();
                Ok::<_, String>(format!("value {n}"))
            };
            (n, likes.get_or_compute(&n.to_string(), compute).await)
        });
    };
    (0..IDS).for_each(|n| call(&holding, n));
    all("leases", || holding.in_flight().leases as u64).await;
    let held = Instant::now();
    (0..IDS).for_each(|n| call(&waiting, n));
    all("subscriptions", || waiting.stats().backend.subscriptions).await;
    // Without renewals they would be over.
    tokio::time::sleep_until(held + LEASE + SECOND).await;
    assert_eq!(holding.in_flight().leases, IDS, "{:?}", holding.stats());
    let began = Instant::now();
    // As many as there are computes: a second one for an id would find none.
    gate.add_permits(IDS);
    let ended = async {
        while let Some(ended) = callers.join_next().await {
            let (n, value) = ended.unwrap();
            assert_eq!(*value.unwrap(), format!("value {n}"));
        }
    };
    timeout(CROWD_HANG, ended).await.expect("a hang");
    eprintln!("woken: {:.1?}", began.elapsed());
    assert_eq!(computes.load(SeqCst), IDS, "each id is computed once");
    let (one, other) = (holding.stats(), waiting.stats());
    for stats in [one, other] {
        let bad = (
            stats.lost_leases,
            stats.degraded,
            stats.timeouts,
            stats.unstored,
        );
        assert_eq!(bad, (0, 0, 0, 0), "{stats:?}");
    }
    assert_eq!(other.awaited, IDS as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_thousand_ids_are_awaited_over_redis_rs() {
    let server = own_server().await;
    let connect = || Adapter::RedisRs.connect(server.url());
    crowd(connect().await, connect().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_thousand_ids_are_awaited_over_fred() {
    let server = own_server().await;
    let connect = || Adapter::Fred.connect(server.url());
    crowd(connect().await, connect().await).await;
}

/// A server with the table.
async fn postgres() -> Option<PgServer> {
    if !PgServer::is_there() && std::env::var_os("MEMOLOCK_TEST_POSTGRES_REQUIRED").is_none() {
        eprintln!("not run: there is no PostgreSQL (apt-get install postgresql)");
        return None;
    }
    let server = PgServer::start_own().await.unwrap();
    let builder = PgBackend::builder(server.url()).connect_timeout(HANG);
    builder.create_table().await.unwrap();
    Some(server)
}

/// With the default time-outs: a command that waits behind others has no time-out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_thousand_ids_are_awaited_over_postgres() {
    let Some(server) = postgres().await else {
        return;
    };
    let connect = || {
        PgBackend::builder(server.url())
            .connect_timeout(HANG)
            .connect()
    };
    let (holder, waiter) = (connect().await.unwrap(), connect().await.unwrap());
    crowd(Arc::new(holder), Arc::new(waiter)).await;
}

/// Each within the default time-out of a second, counted from the last confirmation of another.
async fn subscribe(backend: Arc<dyn Backend>) {
    let space = Keyspace::new(Tag::new("crowd").unwrap(), Layout::Classic).unwrap();
    let mut subscribing = JoinSet::new();
    for n in 0..IDS {
        let (backend, key) = (Arc::clone(&backend), space.key(&n.to_string()).unwrap());
        subscribing.spawn(async move { backend.subscribe(&key).await });
    }
    let listeners = async {
        let mut listeners = Vec::new();
        while let Some(outcome) = subscribing.join_next().await {
            listeners.push(outcome.unwrap().unwrap_or_else(|e| panic!("{e}")));
        }
        listeners
    };
    let listeners = timeout(CROWD_HANG, listeners).await.expect("a hang");
    assert_eq!(
        (listeners.len(), backend.stats().subscriptions),
        (IDS, IDS as u64)
    );
    backend.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_thousand_subscriptions_are_confirmed_over_fred() {
    let server = own_server().await;
    subscribe(Adapter::Fred.connect_within(server.url(), None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_thousand_subscriptions_are_confirmed_over_redis_rs() {
    let server = own_server().await;
    subscribe(Adapter::RedisRs.connect_within(server.url(), None).await).await;
}

/// As many ids in one call, computed in one process and awaited in another.
async fn many(holder: Arc<dyn Backend>, waiter: Arc<dyn Backend>) {
    log();
    let build = async |backend: Arc<dyn Backend>| {
        let builder = Memolock::<String>::builder("crowd", backend).codec(Text);
        let builder = builder.lease(LEASE).wait_timeout(CROWD_HANG);
        builder.build().await.unwrap()
    };
    let (holding, waiting) = (build(holder).await, build(waiter).await);
    let ids: Vec<String> = (0..IDS).map(|n| n.to_string()).collect();
    let computes = Arc::new(AtomicUsize::new(0));
    let call = |likes: &Memolock<String, Text>| {
        let (likes, ids, computes) = (likes.clone(), ids.clone(), Arc::clone(&computes));
        async move {
            let compute = async |won: Vec<String>| {
                computes.fetch_add(won.len(), SeqCst);
                // Longer than a lease: it has to be renewed.
                sleep(LEASE + 5 * SECOND).await;
                Ok::<_, String>(
                    won.into_iter()
                        .map(|id| (id.clone(), format!("value {id}"))),
                )
            };
            likes.get_or_compute_many(&ids, compute).await
        }
    };
    let began = Instant::now();
    let both = async { tokio::join!(call(&holding), call(&waiting)) };
    let (one, other) = timeout(CROWD_HANG, both).await.expect("a hang");
    eprintln!("both: {:.1?}", began.elapsed());
    for all in [one, other] {
        let all = all.into_result().unwrap();
        let right = |(n, value): (usize, &Memo<String>)| **value == format!("value {n}");
        assert_eq!(
            all.iter().enumerate().filter(|all| right(*all)).count(),
            IDS
        );
    }
    assert_eq!(computes.load(SeqCst), IDS, "each id is computed once");
    for stats in [holding.stats(), waiting.stats()] {
        let bad = (
            stats.lost_leases,
            stats.degraded,
            stats.timeouts,
            stats.unstored,
        );
        assert_eq!(bad, (0, 0, 0, 0), "{stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_thousand_ids_in_one_call_are_computed_once_over_redis_rs() {
    let server = own_server().await;
    let connect = || Adapter::RedisRs.connect(server.url());
    many(connect().await, connect().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_thousand_ids_in_one_call_are_computed_once_over_fred() {
    let server = own_server().await;
    let connect = || Adapter::Fred.connect(server.url());
    many(connect().await, connect().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_thousand_ids_in_one_call_are_computed_once_over_postgres() {
    let Some(server) = postgres().await else {
        return;
    };
    let connect = || {
        PgBackend::builder(server.url())
            .connect_timeout(HANG)
            .connect()
    };
    let (holder, waiter) = (connect().await.unwrap(), connect().await.unwrap());
    many(Arc::new(holder), Arc::new(waiter)).await;
}
