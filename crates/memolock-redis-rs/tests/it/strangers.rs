//! What others put at our keys: what is odd about it, and what each operation makes of it.

use std::time::Duration;

use memolock_core::{Acquired, Backend, ErrorKind, PutMode, Remaining};

use crate::server::{Server, key, secs, token};

fn expires(remaining: Remaining) -> Duration {
    match remaining {
        Remaining::Expires(duration) => duration,
        Remaining::Forever => panic!("never expires"),
    }
}

#[tokio::test]
async fn inspect_tells_what_is_there_and_what_is_odd() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let a = key("a");
    assert_eq!(backend.inspect(&a).await.unwrap(), Default::default());

    backend.acquire(&a, token(1), secs(5)).await.unwrap();
    backend
        .put(&a, "abc".into(), secs(60), PutMode::Resolve)
        .await
        .unwrap();
    let found = backend.inspect(&a).await.unwrap();
    let (value, lock) = (found.value.unwrap(), found.lock.unwrap());
    assert_eq!((value.bytes, lock.holder), (3, token(1).to_wire().into()));
    assert!(expires(value.remaining) <= secs(60) && expires(lock.remaining) <= secs(5));
    assert!(found.oddities.is_empty(), "{:?}", found.oddities);

    // An ancestor's token is not odd.
    let _: () = admin
        .run(&["SET", "likes/lock:b", "MTIzNA==", "PX", "5000"])
        .await;
    assert!(
        backend
            .inspect(&key("b"))
            .await
            .unwrap()
            .oddities
            .is_empty()
    );

    let _: () = admin.run(&["SET", "likes:c", "v"]).await;
    let _: () = admin.run(&["SET", "likes/lock:c", ""]).await;
    let found = backend.inspect(&key("c")).await.unwrap();
    assert_eq!(found.oddities.len(), 2, "{:?}", found.oddities);
    assert_eq!(found.lock.unwrap().remaining, Remaining::Forever);

    let _: () = admin.run(&["RPUSH", "likes:d", "v"]).await;
    let _: () = admin.run(&["HSET", "likes/lock:d", "f", "v"]).await;
    let found = backend.inspect(&key("d")).await.unwrap();
    assert_eq!(found.oddities.len(), 4, "{:?}", found.oddities);

    let _: () = admin
        .run(&["SET", "likes/lock:e", "x", "EX", "172800"])
        .await;
    let found = backend.inspect(&key("e")).await.unwrap();
    assert_eq!(found.oddities.len(), 1, "{:?}", found.oddities);
}

#[tokio::test]
async fn a_stranger_of_another_type_is_a_wrong_type() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let (value, lock) = (key("value"), key("lock"));
    let _: () = admin.run(&["RPUSH", &value.value_name(), "x"]).await;
    let _: () = admin.run(&["RPUSH", &lock.lock_name(), "x"]).await;

    let errors = [
        backend.get(&value).await.unwrap_err(),
        backend
            .acquire(&value, token(1), secs(5))
            .await
            .unwrap_err(),
        backend.acquire(&lock, token(1), secs(5)).await.unwrap_err(),
        backend
            .fulfil(&lock, token(1), "v".into(), secs(5))
            .await
            .unwrap_err(),
        backend.release(&lock, token(1), None).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::WrongType, "{error}");
        assert!(!error.is_outage() && error.key().is_some());
    }
    // Those that do not read do not mind.
    backend
        .put(&value, "v".into(), secs(5), PutMode::Override)
        .await
        .unwrap();
    backend.invalidate(&lock).await.unwrap();
    assert_eq!(
        backend.acquire(&lock, token(1), secs(5)).await.unwrap(),
        Acquired::Granted
    );
}
