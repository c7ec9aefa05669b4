//! What the server refuses or has forgotten, and what is sent to it in spite of odd requests.

use memolock_core::{Acquired, Backend, ErrorKind, Notice, PutMode, Renewal};
use std::time::Duration;

use crate::server::{Server, eventually, heard, key, secs, token};
use crate::subject::{ALSO_NEEDED, Subject};

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

#[tokio::test]
async fn times_are_clamped_to_what_the_store_takes() {
    let server = Server::start();
    let backend = server.backend().await;
    let a = key("a");
    backend
        .put(&a, "v".into(), Duration::MAX, PutMode::Override)
        .await
        .unwrap();
    assert!(backend.get(&a).await.unwrap().is_some());
    backend
        .put(&a, "v".into(), Duration::ZERO, PutMode::Override)
        .await
        .unwrap();
    let granted = backend
        .acquire(&key("b"), token(1), Duration::MAX)
        .await
        .unwrap();
    assert_eq!(granted, Acquired::Granted);
}

#[tokio::test]
async fn forgotten_scripts_are_sent_again() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let key = key("a");
    for round in 0..3 {
        let _: () = admin.run(&["SCRIPT", "FLUSH"]).await;
        let before = backend.stats().commands;
        assert_eq!(
            backend.acquire(&key, token(round), secs(5)).await.unwrap(),
            Acquired::Granted
        );
        // The first use over a connection is by the text.
        let expected = if round == 0 { 1 } else { 2 };
        assert_eq!(backend.stats().commands - before, expected);
        assert!(backend.release(&key, token(round), None).await.unwrap());
    }
    let before = backend.stats().commands;
    backend.acquire(&key, token(9), secs(5)).await.unwrap();
    backend.get(&key).await.unwrap();
    assert_eq!(backend.stats().commands - before, 2);
}

#[tokio::test]
async fn a_server_that_may_not_write_refuses() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    backend
        .acquire(&key("a"), token(1), secs(50))
        .await
        .unwrap();

    let _: () = admin.run(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let full = backend
        .fulfil(&key("a"), token(1), "v".into(), secs(5))
        .await
        .unwrap_err();
    assert_eq!(full.kind(), ErrorKind::OutOfMemory, "{full}");
    assert!(full.is_retryable() && !full.is_ambiguous());
    let _: () = admin.run(&["CONFIG", "SET", "maxmemory", "0"]).await;

    let _: () = admin.run(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let replica = backend
        .acquire(&key("b"), token(1), secs(5))
        .await
        .unwrap_err();
    assert_eq!(replica.kind(), ErrorKind::Refused, "{replica}");
}

/// Which of these rights are needed, docs/security.md says and the workspace's test `acl` checks.
#[tokio::test]
async fn a_user_who_may_no_more_than_is_needed_may_do_everything() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let user = "ACL SETUSER ann on >password ~likes:* ~likes/lock:* &likes/notif@1:* &likes/fail@1:* \
        +get +set +del +publish +pexpire +pttl +type +strlen +eval +evalsha +subscribe \
        +unsubscribe +ping +hello +client|setname +select";
    let words = user.split_whitespace().chain(ALSO_NEEDED.iter().copied());
    let words: Vec<&str> = words.collect();
    let _: () = admin.run(&words).await;
    let url = format!("redis://ann:password@127.0.0.1:{}/1", server.port());
    let builder = Subject::builder(url).heartbeat(Duration::from_millis(20));
    let backend = builder.connect().await.unwrap();

    let key = key("a");
    let mut listener = backend.subscribe(&key).await.unwrap();
    backend.acquire(&key, token(1), secs(5)).await.unwrap();
    let renewal = Renewal {
        key: key.clone(),
        token: token(1),
        lease: secs(5),
    };
    assert_eq!(backend.renew(&[renewal]).await.unwrap(), [true]);
    backend.inspect(&key).await.unwrap();
    assert!(
        backend
            .release(&key, token(1), Some(Notice::Released))
            .await
            .unwrap()
    );
    heard(&mut listener).await;
    backend.acquire(&key, token(2), secs(5)).await.unwrap();
    backend.acquire(&key, token(2), secs(5)).await.unwrap();
    backend
        .fulfil(&key, token(2), "v".into(), secs(5))
        .await
        .unwrap();
    heard(&mut listener).await;
    backend.get(&key).await.unwrap();
    backend
        .put(&key, "w".into(), secs(5), PutMode::Override)
        .await
        .unwrap();
    backend.invalidate(&key).await.unwrap();
    drop(listener);
    let sent = backend.stats().commands;
    eventually("heartbeats go on", || async {
        backend.stats().commands > sent + 4
    })
    .await;
    assert_eq!(backend.stats().reconnects, 0);
    let denied: Vec<String> = admin.run(&["ACL", "LOG"]).await;
    assert!(denied.is_empty(), "{denied:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_one_is_granted() {
    let server = Server::start();
    let backend = server.backend().await;
    let contenders: Vec<_> = (0..500)
        .map(|i| {
            let backend = backend.clone();
            tokio::spawn(async move { backend.acquire(&key("a"), token(i), secs(50)).await })
        })
        .collect();
    let mut granted = 0;
    for contender in contenders {
        granted += u32::from(contender.await.unwrap().unwrap() == Acquired::Granted);
    }
    assert_eq!(granted, 1);
}
