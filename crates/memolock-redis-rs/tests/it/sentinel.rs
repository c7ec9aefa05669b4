//! A master that sentinels know: it is found, followed when another takes its place, and left when it is not it
//! any more, whatever it says itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use memolock_core::{
    Acquired, Backend, BackendError, ErrorKind, Event, Fulfilled, Message, PutMode, Renewal,
    Subscription,
};
use memolock_testkit::{SentinelOptions, TestSentinel};

use crate::server::{PATIENCE, eventually, heard, key, secs, token};
use crate::subject::Subject;

/// Between the announcement and the first command that goes well, a second; the rest is for a busy machine.
const FOLLOWED: Duration = Duration::from_secs(10);

pub(crate) async fn backend(sentinel: &TestSentinel) -> Subject {
    Subject::connect(sentinel.url()).await.unwrap()
}

async fn put(backend: &Subject, id: &str) -> Result<(), BackendError> {
    let key = key(id);
    backend
        .put(&key, "v".into(), secs(60), PutMode::Override)
        .await
}

/// Writes until it goes well, and says how long that took.
pub(crate) async fn written(backend: &Subject, id: &str) -> Duration {
    let since = Instant::now();
    loop {
        match put(backend, id).await {
            Ok(()) => return since.elapsed(),
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        assert!(since.elapsed() < PATIENCE, "never written");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the listener has heard of the gap and of its end.
async fn resumed(listener: &mut Subscription) {
    loop {
        match heard(listener).await {
            Event::Resumed => return,
            Event::Gap | Event::Message(_) => {}
        }
    }
}

async fn has(sentinel: &TestSentinel, server: usize, id: &str) -> bool {
    let get = ["GET", &key(id).value_name()];
    let found = sentinel.servers()[server].command(&get).await.unwrap();
    found == "v"
}

#[tokio::test]
async fn the_master_is_found_and_a_planned_failover_is_followed() {
    let sentinel = TestSentinel::start_local().await.unwrap();
    let backend = backend(&sentinel).await;
    written(&backend, "before").await;
    assert!(has(&sentinel, 0, "before").await);
    let mut listener = backend.subscribe(&key("a")).await.unwrap();

    let new = sentinel.failover().await.unwrap();
    // By now all sentinels have announced it.
    let took = written(&backend, "after").await;
    assert!(took < FOLLOWED, "{took:?}");
    assert!(
        has(&sentinel, new, "after").await,
        "written to the old master"
    );
    resumed(&mut listener).await;
    put(&backend, "a").await.unwrap();
    assert_eq!(
        heard(&mut listener).await,
        Event::Message(Message::Value("v".into()))
    );
    assert!(backend.stats().reconnects >= 2);
    backend.close().await;
}

#[tokio::test]
async fn a_dead_master_is_replaced_and_so_are_both_connections() {
    let sentinel = TestSentinel::start_local().await.unwrap();
    let backend = backend(&sentinel).await;
    let mut listener = backend.subscribe(&key("a")).await.unwrap();
    let mut switches = sentinel.switches().await.unwrap();
    sentinel.servers()[0].kill().await.unwrap();
    assert_eq!(heard(&mut listener).await, Event::Gap);
    let error = backend.get(&key("a")).await.unwrap_err();
    assert!(error.is_outage(), "{error}");
    let switch = switches.next().await.unwrap();
    let took = written(&backend, "a").await;
    assert!(took < FOLLOWED, "{took:?}");
    assert!(has(&sentinel, switch.to, "a").await);
    resumed(&mut listener).await;
}

#[tokio::test]
async fn a_hung_master_is_left_as_soon_as_there_is_another() {
    let sentinel = TestSentinel::start_local().await.unwrap();
    let backend = backend(&sentinel).await;
    let mut listener = backend.subscribe(&key("a")).await.unwrap();
    let mut switches = sentinel.switches().await.unwrap();
    sentinel.servers()[0].pause().await.unwrap();
    let switch = switches.next().await.unwrap();
    let took = written(&backend, "a").await;
    assert!(took < FOLLOWED, "{took:?}");
    assert!(has(&sentinel, switch.to, "a").await);
    resumed(&mut listener).await;
    // It comes to itself, believes that it is the master, and nobody goes back.
    sentinel.servers()[0].resume().await.unwrap();
    written(&backend, "b").await;
    assert!(has(&sentinel, switch.to, "b").await);
}

/// The sentinels cannot reach the old master, and so cannot demote it: it goes on answering whoever can.
#[tokio::test]
async fn a_master_that_answers_is_left_when_a_sentinel_says_that_it_is_none() {
    let sentinel = TestSentinel::start_local().await.unwrap();
    let backend = backend(&sentinel).await;
    written(&backend, "before").await;
    let lease = backend.acquire(&key("held"), token(1), secs(30)).await;
    assert_eq!(lease.unwrap(), Acquired::Granted);
    let mut listener = backend.subscribe(&key("a")).await.unwrap();

    // As in a partition: the sentinels are thrown out and nobody is let in, while clients stay.
    let mut admin = sentinel.servers()[0].connect().await.unwrap();
    let mut switches = sentinel.switches().await.unwrap();
    admin
        .command(&["CONFIG", "SET", "maxclients", "1"])
        .await
        .unwrap();
    let list = admin
        .command(&["CLIENT", "LIST"])
        .await
        .unwrap()
        .to_string();
    for line in list.lines().filter(|line| line.contains("name=sentinel-")) {
        let id = line.split(' ').next().unwrap().trim_start_matches("id=");
        admin.command(&["CLIENT", "KILL", "ID", id]).await.unwrap();
    }
    let switch = switches.next().await.unwrap();
    // One sentinel has announced it to this test. The backend hears of it by connections of its own; until then the
    // deposed master takes its writes, as it does for every client on its side of a partition.
    eventually("a write that reaches the new master", || async {
        written(&backend, "after").await;
        has(&sentinel, switch.to, "after").await
    })
    .await;
    written(&backend, "later").await;
    assert!(
        has(&sentinel, switch.to, "later").await,
        "back at the deposed master"
    );
    resumed(&mut listener).await;
    let role = admin.command(&["ROLE"]).await.unwrap();
    assert_eq!(role.items()[0], "master", "it still believes so itself");

    // A lease of the deposed master's is lost, and so is what would have been stored under it.
    let key = key("held");
    let renewal = Renewal {
        key: key.clone(),
        token: token(1),
        lease: secs(30),
    };
    let renewed = backend.renew(&[renewal]).await.unwrap();
    let stored = backend
        .fulfil(&key, token(1), "v".into(), secs(60))
        .await
        .unwrap();
    match renewed.as_slice() {
        // The replica had it in time: then it is a lease as any other.
        [true] => assert_eq!(stored, Fulfilled::Stored),
        _ => assert_eq!(stored, Fulfilled::Lost),
    }
}

#[tokio::test]
async fn a_demoted_master_is_left_at_its_first_refusal() {
    let options = SentinelOptions {
        // The sentinels take no notice for as long as the test takes.
        down_after: secs(60),
        ..SentinelOptions::default()
    };
    let sentinel = TestSentinel::start_local_with(options).await.unwrap();
    let backend = backend(&sentinel).await;
    written(&backend, "a").await;
    let [old, new] = [&sentinel.servers()[0], &sentinel.servers()[1]];
    let (host, port) = (new.host().to_owned(), new.port().to_string());
    new.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    old.command(&["REPLICAOF", &host, &port]).await.unwrap();
    let error = loop {
        if let Err(error) = put(&backend, "a").await {
            break error;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.is_retryable());
    // The sentinels do not know yet: it is said why nothing is written.
    eventually("somebody says that it is a replica", || async {
        match put(&backend, "a").await {
            Err(error) => error.to_string().contains("it is a replica"),
            Ok(()) => panic!("a replica took a write"),
        }
    })
    .await;
    old.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    let took = written(&backend, "b").await;
    assert!(took < FOLLOWED, "{took:?}");
}

/// Many callers of one key while the master goes: each attempt ends, and no two masters' values are mixed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_gets_no_wrong_value_and_all_are_answered() {
    let sentinel = Arc::new(TestSentinel::start_local().await.unwrap());
    let backend = backend(&sentinel).await;
    let mut switches = sentinel.switches().await.unwrap();
    let mut herd = tokio::task::JoinSet::new();
    let since = Instant::now();
    let over = Arc::new(tokio::sync::watch::Sender::new(false));
    for n in 0..100_u128 {
        let (backend, over) = (backend.clone(), Arc::clone(&over));
        herd.spawn(async move {
            let (id, mut tries) = (format!("k{}", n % 10), 0);
            while !*over.borrow() {
                tries += 1;
                let attempt = token(n * 1_000_000 + tries);
                let asked = Instant::now();
                match backend.acquire(&key(&id), attempt, secs(1)).await {
                    Ok(Acquired::Value(value)) => assert_eq!(value, id, "a wrong value"),
                    Ok(Acquired::Granted) => {
                        let value = id.clone().into();
                        let stored = backend.fulfil(&key(&id), attempt, value, secs(60)).await;
                        assert!(stored.is_ok() || stored.is_err_and(|e| e.is_retryable()));
                    }
                    Ok(_) => {}
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
                assert!(
                    asked.elapsed() < secs(5),
                    "an answer took {:?}",
                    asked.elapsed()
                );
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            // After the failover every one of them is served.
            let asked = Instant::now();
            while backend.get(&key(&id)).await.is_err() {
                assert!(asked.elapsed() < secs(5), "not served after the failover");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    sentinel.servers()[0].kill().await.unwrap();
    let _ = switches.next().await.unwrap();
    let announced = since.elapsed();
    over.send_replace(true);
    while let Some(done) = herd.join_next().await {
        done.unwrap();
    }
    let late = since.elapsed().saturating_sub(announced);
    assert!(late < FOLLOWED, "{late:?} after the announcement");
}
