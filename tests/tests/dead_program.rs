//! A program that dies without a word, in steady traffic, over every backend: its lease ends, and callers are served.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use memolock::codec::Text;
use memolock::memory::MemoryBackend;
use memolock::postgres::PgBackend;
use memolock::{Backend, Error, Memo, Memolock, Source};
use memolock_testkit::{PgServer, TestServer, unique_tag};
use memolock_tests::{Adapter, Call, HANG, Ours, SECOND, end_of, own_server};
use tokio::time::{Instant, sleep};

/// The trace of a service, four times as fast: a caller each second that waits for 4 s, and leases of 5 s.
const EACH: Duration = Duration::from_millis(250);
const PATIENCE: Duration = SECOND;
const LEASE: Duration = Duration::from_millis(1250);

const ID: &str = "report";

/// What triggers start: the first program dies, and later ones store at once.
#[derive(Clone)]
struct Programs {
    store: Memolock<String, Text>,
    fired: Arc<Mutex<Vec<Instant>>>,
    all_die: bool,
}

impl Programs {
    fn new(store: &Ours, all_die: bool) -> Self {
        let (store, fired) = (store.likes.clone(), Arc::default());
        Self {
            store,
            fired,
            all_die,
        }
    }

    async fn trigger(self) -> Result<(), String> {
        let first = {
            let mut fired = self.fired.lock().unwrap();
            fired.push(Instant::now());
            fired.len() == 1
        };
        if !first && !self.all_die {
            tokio::spawn(async move {
                let made = "made".to_owned();
                self.store.entry(ID).resolve(&made).await.unwrap();
            });
        }
        Ok(())
    }

    fn call(&self, ours: &Ours) -> Call {
        let (likes, programs) = (ours.likes.clone(), self.clone());
        tokio::spawn(async move {
            let trigger = || programs.clone().trigger();
            likes.entry(ID).or_external(trigger).await
        })
    }

    fn fired(&self) -> Vec<Instant> {
        self.fired.lock().unwrap().clone()
    }
}

/// Calls come at a steady rate until one is served.
async fn traffic(what: &str, mut call: impl FnMut() -> Call) -> Memo<String> {
    let began = Instant::now();
    let mut calls: Vec<Call> = Vec::new();
    let mut served = None;
    while served.is_none() || !calls.is_empty() {
        if served.is_none() {
            calls.push(call());
        }
        sleep(EACH).await;
        while let Some(ended) = calls.iter().position(Call::is_finished) {
            match end_of(calls.remove(ended)).await {
                Ok(memo) => served = Some(memo),
                Err(Error::Timeout { .. }) => {}
                Err(error) => panic!("{what}: {error}"),
            }
        }
        assert!(began.elapsed() < HANG, "{what}: no caller is served");
    }
    served.unwrap()
}

/// Three processes over one store: one triggers, one computes, and one is where programs store.
async fn trial(what: &str, connect: impl AsyncFn() -> Arc<dyn Backend>) {
    let mut processes = Vec::new();
    let tag = unique_tag("dead-program");
    for _ in 0..3 {
        let set = |b: memolock::Builder<String, Text>| b.wait_timeout(PATIENCE).lease(LEASE);
        processes.push(Ours::over(connect().await, &tag, set).await);
    }
    let [triggers, computes, store] = &processes[..] else {
        unreachable!("three");
    };
    started_again(what, triggers, store).await;
    store.likes.invalidate(ID).await.unwrap();
    served_by_a_compute(what, triggers, computes, store).await;
    for ours in &processes {
        ours.likes.close().await;
    }
    for ours in processes {
        ours.backend.close().await;
    }
}

/// Only triggers: the next program is started, and not before the first has had its time.
async fn started_again(what: &str, triggers: &Ours, store: &Ours) {
    let programs = Programs::new(store, false);
    let memo = traffic(what, || programs.call(triggers)).await;
    assert_eq!(*memo, "made", "{what}");
    let fired = programs.fired();
    assert!(fired.len() > 1, "{what}: {fired:?}");
    for two in fired.windows(2) {
        let apart = two[1] - two[0];
        assert!(apart >= PATIENCE, "{what}: started again after {apart:?}");
    }
    let later = end_of(programs.call(triggers)).await.unwrap();
    assert_eq!(later.source(), Source::Hit, "{what}");
}

/// A process whose callers compute: they are served behind a dead program, whose callers go on to come.
async fn served_by_a_compute(what: &str, triggers: &Ours, computes: &Ours, store: &Ours) {
    let programs = Programs::new(store, true);
    let first = programs.call(triggers);
    let began = Instant::now();
    while programs.fired().is_empty() {
        assert!(began.elapsed() < HANG, "{what}: it does not trigger");
        sleep(EACH / 50).await;
    }
    let mut calls = vec![first];
    let memo = traffic(what, || {
        calls.push(programs.call(triggers));
        computes.get(ID, "computed")
    })
    .await;
    assert_eq!(*memo, "computed", "{what}");
    for call in calls {
        let ended = end_of(call).await;
        assert!(
            matches!(ended, Ok(_) | Err(Error::Timeout { .. })),
            "{what}: {ended:?}"
        );
    }
    let later = end_of(programs.call(triggers)).await.unwrap();
    assert_eq!(later.source(), Source::Hit, "{what}");
    assert_eq!(*later, "computed", "{what}");
    let lock = store.likes.inspect(ID).await.unwrap().lock;
    assert_eq!(lock, None, "{what}");
}

async fn over_redis(adapter: Adapter) {
    let server: TestServer = own_server().await;
    trial(&adapter.to_string(), || adapter.connect(server.url())).await;
}

#[tokio::test]
async fn it_does_not_keep_its_lease_over_redis_rs() {
    over_redis(Adapter::RedisRs).await;
}

#[tokio::test]
async fn it_does_not_keep_its_lease_over_a_pool() {
    over_redis(Adapter::Pooled).await;
}

#[tokio::test]
async fn it_does_not_keep_its_lease_over_fred() {
    over_redis(Adapter::Fred).await;
}

#[tokio::test]
async fn it_does_not_keep_its_lease_over_postgres() {
    if !PgServer::is_there() && std::env::var_os("MEMOLOCK_TEST_POSTGRES_REQUIRED").is_none() {
        eprintln!("not run: there is no PostgreSQL (apt-get install postgresql)");
        return;
    }
    let server = PgServer::start_own().await.unwrap();
    let builder = || {
        let builder = PgBackend::builder(server.url());
        builder.connect_timeout(HANG).command_timeout(HANG)
    };
    builder().create_table().await.unwrap();
    trial("PostgreSQL", async || {
        let backend = builder().connect().await.unwrap();
        Arc::new(backend) as Arc<dyn Backend>
    })
    .await;
}

#[tokio::test]
async fn it_does_not_keep_its_lease_in_memory() {
    let store = MemoryBackend::new();
    trial("memory", async || {
        Arc::new(store.clone()) as Arc<dyn Backend>
    })
    .await;
}
