//! What a pool adds to the ways of going wrong: connections run out, break while idle, belong to somebody
//! else, and overtake each other.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use memolock_core::{
    Acquired, Backend, BackendError, ErrorKind, Key, Keyspace, Layout, PutMode, Remaining, Tag,
    Token,
};
use memolock_redis_rs::RedisBackend;
use memolock_redis_rs::deadpool_redis::{Config, Hook, Runtime};
use memolock_testkit::{TestServer, Value};
use tokio::sync::Semaphore;

use crate::subject::{pool, pool_builder};

const SECOND: Duration = Duration::from_secs(1);

/// A bound that only a hang would miss.
const HANG: Duration = Duration::from_secs(30);

async fn server() -> TestServer {
    TestServer::start_local().await.unwrap()
}

fn key(id: &str) -> Key {
    let space = Keyspace::new(Tag::new("pooled").unwrap(), Layout::Classic).unwrap();
    space.key(id).unwrap()
}

fn token(bits: u128) -> Token {
    Token::from_bits(bits)
}

async fn put(backend: &RedisBackend, id: &str) {
    let key = key(id);
    let put = backend.put(&key, "v".into(), 60 * SECOND, PutMode::Override);
    put.await.unwrap();
}

/// The error of a get that must not hang.
async fn bounded(backend: &RedisBackend) -> BackendError {
    let key = key("a");
    let got = tokio::time::timeout(HANG, backend.get(&key)).await;
    got.unwrap().unwrap_err()
}

/// Polls once, so that the call has its place in the order. Whether it has ended.
async fn begun<F: Future + Unpin>(call: &mut F) -> bool {
    poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *call).poll(cx).is_ready())).await
}

#[tokio::test]
async fn a_pool_with_no_free_connection_is_a_time_out_and_not_a_hang() {
    let server = server().await;
    let pool = pool(server.url(), 1);
    let builder = RedisBackend::builder(server.url()).pool(pool.clone());
    let backend = builder.command_timeout(SECOND / 5).connect().await.unwrap();
    let theirs = pool.get().await.unwrap();
    let error = bounded(&backend).await;
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("in use"), "{error}");
    drop(theirs);
    assert_eq!(backend.get(&key("a")).await.unwrap(), None);
}

#[tokio::test]
async fn a_call_that_was_given_up_takes_effect_before_the_next_on_its_key() {
    let server = server().await;
    let backend = RedisBackend::builder(server.url()).pool(pool(server.url(), 8));
    let backend = backend.connect().await.unwrap();
    // A release that overtook the acquire before it would leave the lock to nobody.
    for round in 0..300_u128 {
        let (key, token) = (key(&round.to_string()), token(round + 1));
        {
            let mut acquire = pin!(backend.acquire(&key, token, 60 * SECOND));
            // Dropped at another place each time: before the connection, or with the command on its way.
            for _ in 0..round % 5 {
                if begun(&mut acquire).await {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        backend.release(&key, token, None).await.unwrap();
        let left = backend.inspect(&key).await.unwrap().lock;
        assert_eq!(left, None, "round {round}");
    }
}

#[tokio::test]
async fn a_call_on_a_connection_at_hand_does_not_overtake_one_that_waits_for_a_new_one() {
    let server = server().await;
    let gate = Arc::new(Semaphore::new(1));
    let arrived = Arc::new(AtomicUsize::new(0));
    let (gated, arrives) = (Arc::clone(&gate), Arc::clone(&arrived));
    let hook = Hook::async_fn(move |_, _| {
        let gated = Arc::clone(&gated);
        arrives.fetch_add(1, Relaxed);
        Box::pin(async move {
            gated.acquire().await.unwrap().forget();
            Ok(())
        })
    });
    let pool = pool_builder(server.url(), 4)
        .post_create(hook)
        .build()
        .unwrap();
    let builder = RedisBackend::builder(server.url()).pool(pool.clone());
    let builder = builder.command_timeout(10 * SECOND);
    let backend = builder.connect().await.unwrap();

    let at_hand = pool.get().await.unwrap();
    let key = key("a");
    let put = |value: &'static str| backend.put(&key, value.into(), 60 * SECOND, PutMode::Override);
    let mut first = put("first");
    assert!(!begun(&mut first).await);
    let made = arrived.load(Relaxed);
    let waits = async {
        while arrived.load(Relaxed) == made {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(HANG, waits).await.unwrap();
    drop(at_hand);
    let mut second = put("second");
    // Long enough to get through if nothing held it.
    for _ in 0..50 {
        assert!(!begun(&mut second).await, "it has overtaken the first");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    gate.add_permits(10);
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(backend.get(&key).await.unwrap().unwrap(), "second");
}

#[tokio::test]
async fn given_up_calls_take_no_connection_with_them() {
    let server = server().await;
    let pool = pool(server.url(), 2);
    let backend = RedisBackend::builder(server.url()).pool(pool.clone());
    let backend = backend.connect().await.unwrap();
    put(&backend, "a").await;
    for round in 0..200 {
        let (a, b) = (key("a"), key("b"));
        let mut get = pin!(backend.get(&a));
        for _ in 0..round % 6 {
            if begun(&mut get).await {
                break;
            }
            tokio::task::yield_now().await;
        }
        // Its answer is its own, not that of the call before.
        assert_eq!(backend.get(&b).await.unwrap(), None);
    }
    assert_eq!(backend.get(&key("a")).await.unwrap().unwrap(), "v");
    backend.close().await;
    let status = pool.status();
    assert!(
        status.size > 0 && status.available == status.size,
        "{status:?}"
    );
}

#[tokio::test]
async fn connections_that_died_in_the_pool_cost_nobody_an_error() {
    let server = server().await;
    let backend = RedisBackend::builder(server.url()).pool(pool(server.url(), 4));
    let backend = backend.connect().await.unwrap();
    for _ in 0..5 {
        put(&backend, "a").await;
        server
            .command(&["CLIENT", "KILL", "TYPE", "normal"])
            .await
            .unwrap();
        assert_eq!(backend.get(&key("a")).await.unwrap().unwrap(), "v");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_a_time_out_and_the_pool_recovers() {
    let server = server().await;
    let pool = pool(server.url(), 4);
    let builder = RedisBackend::builder(server.url()).pool(pool.clone());
    let backend = builder
        .command_timeout(SECOND / 2)
        .heartbeat(SECOND / 5)
        .connect()
        .await
        .unwrap();
    put(&backend, "a").await;
    server.pause().await.unwrap();
    let error = bounded(&backend).await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    server.resume().await.unwrap();
    let deadline = tokio::time::Instant::now() + HANG;
    while let Err(error) = backend.get(&key("a")).await {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
    }
    // What is left in the pool is sound.
    assert_eq!(backend.get(&key("a")).await.unwrap().unwrap(), "v");
    assert!(pool.status().size <= 4);
}

/// The redis crate gives every connection half a second for a reply, those of an application's pool too.
#[tokio::test]
async fn a_slow_reply_has_the_bound_that_the_backend_was_given() {
    let server = server().await;
    let config = Config::from_url(server.url());
    let pool = config.create_pool(Some(Runtime::Tokio1)).unwrap();
    let builder = RedisBackend::builder(server.url()).pool(pool);
    let backend = builder.command_timeout(HANG).connect().await.unwrap();
    let pause = ["CLIENT", "PAUSE", "1200", "WRITE"];
    server.command(&pause).await.unwrap();
    put(&backend, "a").await;
    let stored = server.command(&["GET", "pooled:a"]).await.unwrap();
    assert_eq!(stored, "v");
}

#[tokio::test]
async fn closing_the_backend_leaves_the_pool_open_and_the_other_way_round() {
    let server = server().await;
    let pool = pool(server.url(), 2);
    let backend = |pool| RedisBackend::builder(server.url()).pool(pool).connect();
    let first = backend(pool.clone()).await.unwrap();
    first.close().await;
    assert_eq!(
        first.get(&key("a")).await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert!(!pool.is_closed());

    let second = backend(pool.clone()).await.unwrap();
    pool.close();
    let error = second.get(&key("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("pool"), "{error}");
}

#[tokio::test]
async fn a_pool_that_leads_elsewhere_is_refused() {
    let (one, other) = (server().await, server().await);
    let strayed = RedisBackend::builder(one.url()).pool(pool(other.url(), 2));
    let error = strayed.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("another server"), "{error}");

    let third = format!("redis://127.0.0.1:{}/3", one.port());
    let strayed = RedisBackend::builder(one.url()).pool(pool(&third, 2));
    let error = strayed.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("database 3"), "{error}");
}

#[tokio::test]
async fn a_script_that_the_server_forgot_is_sent_again() {
    let server = server().await;
    let backend = RedisBackend::builder(server.url()).pool(pool(server.url(), 2));
    let backend = backend.connect().await.unwrap();
    assert_eq!(backend.capabilities().name, "redis-rs-pooled");
    put(&backend, "a").await;
    let flushed = server.command(&["SCRIPT", "FLUSH"]).await.unwrap();
    assert_eq!(flushed, Value::Status("OK".into()));
    put(&backend, "a").await;
    let (a, b) = (token(1), token(2));
    let granted = backend.acquire(&key("b"), a, 60 * SECOND).await.unwrap();
    assert_eq!(granted, Acquired::Granted);
    let held = backend.acquire(&key("b"), b, 60 * SECOND).await.unwrap();
    assert!(matches!(held, Acquired::Held(Remaining::Expires(_))));
}
