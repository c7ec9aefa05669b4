//! Large values on slow lines: what they do to other callers.

use std::time::Duration;

use memolock_core::{Acquired, Backend, ErrorKind, Fulfilled, PutMode};
use memolock_postgres::PgBackend;
use memolock_testkit::{Faults, Proxy, Way};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::common::{DEADLINE, MINUTE, Place, key, token};

/// The large value of these tests.
const LARGE: usize = 60 << 20;

/// Bytes that pass a slow line at once, and the pause after them: at most 12.5 MiB/s, so 5 s for the large value.
const SLOW: Way = Way::CLEAR.slow(64 << 10, Duration::from_millis(5));

/// What a statement may take over a slow line: less than the large value takes there.
const BOUND: Duration = Duration::from_secs(3);

/// None of them fails, so none is a time-out that the circuit breaker counts.
async fn small_ones(backend: &PgBackend, name: &str) {
    let mut calls = JoinSet::new();
    for n in 0..8 {
        let (backend, key) = (backend.clone(), key(&format!("{name}-{n}")));
        calls.spawn(async move {
            let token = token(n);
            let granted = backend.acquire(&key, token, MINUTE).await.unwrap();
            assert_eq!(granted, Acquired::Granted);
            let stored = backend.fulfil(&key, token, "v".into(), MINUTE).await;
            assert_eq!(stored.unwrap(), Fulfilled::Stored);
            assert!(backend.get(&key).await.unwrap().is_some());
            backend.subscribe(&key).await.map(drop).unwrap();
        });
    }
    calls.join_all().await;
}

/// All statements share one connection. Small ones wait for the large value, and that is no time-out of theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_ones_behind_a_large_value_on_a_slow_line_are_late_and_not_lost() {
    let Some(place) = Place::new().await else {
        return;
    };
    let address = place.server.address();
    let proxy = Proxy::start(address.parse().unwrap()).await.unwrap();
    let url = place.server.url();
    let url = url.replace(address, &proxy.address().to_string());
    let backend = PgBackend::builder(url)
        .connect_timeout(DEADLINE)
        .command_timeout(BOUND);
    let backend = backend.connect().await.unwrap();
    proxy.set(Faults::up(SLOW)).await;
    for put in [false, true] {
        let key = key(if put { "put" } else { "fulfil" });
        backend.acquire(&key, token(1), MINUTE).await.unwrap();
        let (began, before) = (Instant::now(), proxy.tally().up);
        let large = {
            let (backend, key) = (backend.clone(), key.clone());
            let value = vec![b'x'; LARGE].into();
            tokio::spawn(async move {
                match put {
                    true => backend.put(&key, value, MINUTE, PutMode::Override).await,
                    false => {
                        let stored = backend.fulfil(&key, token(1), value, MINUTE).await;
                        stored.map(|stored| assert_eq!(stored, Fulfilled::Stored))
                    }
                }
            })
        };
        while proxy.tally().up < before + (1 << 20) {
            assert!(began.elapsed() < DEADLINE, "it is never sent");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (large, ()) = tokio::join!(large, small_ones(&backend, key.id()));
        large.unwrap().unwrap();
        assert!(began.elapsed() > BOUND, "the line is not slow");
        let near = place.backend().await;
        let found = near.get(&key).await.unwrap();
        assert_eq!(found.map(|value| value.len()), Some(LARGE));
    }
    assert_eq!(backend.stats().reconnects, 0);
}

/// The same of a value that comes. The server ends the statement of its reader, which is no time-out either: the circuit
/// breaker does not count it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_ones_behind_a_large_hit_on_a_slow_line_are_late_and_not_lost() {
    let Some(place) = Place::new().await else {
        return;
    };
    let address = place.server.address();
    let proxy = Proxy::start(address.parse().unwrap()).await.unwrap();
    let url = place.server.url();
    let url = url.replace(address, &proxy.address().to_string());
    let backend = PgBackend::builder(url)
        .connect_timeout(DEADLINE)
        .command_timeout(BOUND);
    let backend = backend.connect().await.unwrap();
    let (near, key) = (place.backend().await, key("hit"));
    let value = vec![b'x'; LARGE].into();
    let stored = near.put(&key, value, MINUTE, PutMode::Override).await;
    stored.unwrap();
    proxy.set(Faults::down(SLOW)).await;
    let (began, before) = (Instant::now(), proxy.tally().down);
    let hit = {
        let (backend, key) = (backend.clone(), key.clone());
        tokio::spawn(async move { backend.get(&key).await })
    };
    while proxy.tally().down < before + (1 << 20) {
        assert!(began.elapsed() < DEADLINE, "it never comes");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (hit, ()) = tokio::join!(hit, small_ones(&backend, "hit"));
    let refused = hit.unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
    assert!(refused.to_string().contains("command_timeout"), "{refused}");
    assert!(began.elapsed() > BOUND, "the line is not slow");
    assert_eq!(backend.stats().reconnects, 0);
}

/// What one process does to a key keeps its order, also behind a large value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_large_put_takes_effect_after_it() {
    let Some(place) = Place::new().await else {
        return;
    };
    let address = place.server.address();
    let proxy = Proxy::start(address.parse().unwrap()).await.unwrap();
    let url = place.server.url();
    let url = url.replace(address, &proxy.address().to_string());
    let backend = PgBackend::builder(url).connect_timeout(DEADLINE);
    let backend = backend.command_timeout(DEADLINE).connect().await.unwrap();
    let near = place.backend().await;
    proxy.set(Faults::up(SLOW)).await;
    for is_put in [true, false] {
        let key = key(if is_put { "put" } else { "invalidated" });
        let (began, before) = (Instant::now(), proxy.tally().up);
        let large = {
            let (backend, key) = (backend.clone(), key.clone());
            let value = vec![b'x'; LARGE / 4].into();
            tokio::spawn(async move { backend.put(&key, value, MINUTE, PutMode::Override).await })
        };
        while proxy.tally().up < before + (1 << 20) {
            assert!(began.elapsed() < DEADLINE, "it is never sent");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let small = "small".into();
        match is_put {
            true => backend.put(&key, small, MINUTE, PutMode::Override).await,
            false => backend.invalidate(&key).await,
        }
        .unwrap();
        large.await.unwrap().unwrap();
        let expected = is_put.then(|| "small".into());
        assert_eq!(near.get(&key).await.unwrap(), expected, "{}", key.id());
    }
}
