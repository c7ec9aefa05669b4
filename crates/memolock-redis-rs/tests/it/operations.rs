//! What each operation does to the store.

use bytes::Bytes;
use memolock_core::{
    Acquired, Backend, Event, Fulfilled, Message, Notice, PutMode, Remaining, Renewal,
};
use std::time::Duration;

use crate::server::{Server, heard, key, secs, token};

fn expires(remaining: Remaining) -> Duration {
    match remaining {
        Remaining::Expires(duration) => duration,
        Remaining::Forever => panic!("never expires"),
    }
}

#[tokio::test]
async fn values_come_back_as_they_were_put() {
    let server = Server::start();
    let backend = server.backend().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let values = [
        Bytes::new(),
        Bytes::from("42"),
        Bytes::from("OK"),
        Bytes::from(every_byte),
        Bytes::from(vec![0xa5; 1024 * 1024]),
    ];
    assert_eq!(backend.get(&key("a")).await.unwrap(), None);
    for value in values {
        backend
            .put(&key("a"), value.clone(), secs(60), PutMode::Override)
            .await
            .unwrap();
        assert_eq!(backend.get(&key("a")).await.unwrap().as_ref(), Some(&value));
        let acquired = backend.acquire(&key("a"), token(1), secs(5)).await.unwrap();
        assert_eq!(acquired, Acquired::Value(value));
    }
}

#[tokio::test]
async fn any_id_is_a_key() {
    let server = Server::start();
    let backend = server.backend().await;
    for id in [
        "",
        " ",
        "a\r\nb",
        "\0",
        "ü*?[",
        &"x".repeat(memolock_core::MAX_ID_BYTES),
    ] {
        backend
            .put(&key(id), "v".into(), secs(60), PutMode::Override)
            .await
            .unwrap();
        assert_eq!(backend.get(&key(id)).await.unwrap(), Some("v".into()));
        drop(backend.subscribe(&key(id)).await.unwrap());
    }
}

#[tokio::test]
async fn a_lease_is_granted_once_and_again_to_its_own_token() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let key = key("a");
    assert_eq!(
        backend.acquire(&key, token(1), secs(5)).await.unwrap(),
        Acquired::Granted
    );
    let held: String = admin.run(&["GET", "likes/lock:a"]).await;
    assert_eq!(held, token(1).to_wire());

    let Acquired::Held(remaining) = backend.acquire(&key, token(2), secs(50)).await.unwrap() else {
        panic!("not held");
    };
    assert!(expires(remaining) <= secs(5) && expires(remaining) > secs(1));

    // Its reply was lost: the same token asks again, and its lease begins anew.
    assert_eq!(
        backend.acquire(&key, token(1), secs(500)).await.unwrap(),
        Acquired::Granted
    );
    let pttl: u64 = admin.run(&["PTTL", "likes/lock:a"]).await;
    assert!(pttl > 400_000, "{pttl}");

    let _: () = admin.run(&["PERSIST", "likes/lock:a"]).await;
    let forever = backend.acquire(&key, token(2), secs(5)).await.unwrap();
    assert_eq!(forever, Acquired::Held(Remaining::Forever));
}

#[tokio::test]
async fn fulfil_stores_unlocks_and_tells_only_the_holder_of_the_lease() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let key = key("a");
    let mut listener = backend.subscribe(&key).await.unwrap();
    backend.acquire(&key, token(1), secs(5)).await.unwrap();

    let lost = backend
        .fulfil(&key, token(2), "no".into(), secs(60))
        .await
        .unwrap();
    assert_eq!(lost, Fulfilled::Lost);
    assert_eq!(backend.get(&key).await.unwrap(), None);

    let stored = backend
        .fulfil(&key, token(1), "yes".into(), secs(60))
        .await
        .unwrap();
    assert_eq!(stored, Fulfilled::Stored);
    assert_eq!(
        heard(&mut listener).await,
        Event::Message(Message::Value("yes".into()))
    );
    assert_eq!(backend.get(&key).await.unwrap(), Some("yes".into()));
    let pttl: u64 = admin.run(&["PTTL", "likes:a"]).await;
    assert!(pttl <= 60_000 && pttl > 30_000, "{pttl}");
    let locks: i64 = admin.run(&["EXISTS", "likes/lock:a"]).await;
    assert_eq!(locks, 0);

    let again = backend
        .fulfil(&key, token(1), "late".into(), secs(60))
        .await
        .unwrap();
    assert_eq!(again, Fulfilled::Lost);
}

#[tokio::test]
async fn renewals_answer_in_order_whatever_the_locks_are() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    assert_eq!(backend.renew(&[]).await.unwrap(), Vec::<bool>::new());

    // More than go in one script; every third is ours, is foreign, is a list.
    let renewals: Vec<Renewal> = (0..1203_u128)
        .map(|i| Renewal {
            key: key(&i.to_string()),
            token: token(i),
            lease: secs(100),
        })
        .collect();
    for (i, renewal) in renewals.iter().enumerate() {
        match i % 3 {
            0 => drop(
                backend
                    .acquire(&renewal.key, renewal.token, secs(10))
                    .await
                    .unwrap(),
            ),
            1 => drop(
                backend
                    .acquire(&renewal.key, token(0), secs(10))
                    .await
                    .unwrap(),
            ),
            _ => admin.run(&["RPUSH", &renewal.key.lock_name(), "x"]).await,
        }
    }
    let before = backend.stats().commands;
    let answers = backend.renew(&renewals).await.unwrap();
    assert_eq!(answers.len(), renewals.len());
    for (i, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, i % 3 == 0, "{i}");
    }
    // Three scripts at once, by their text: it is their first use over this connection.
    let commands = backend.stats().commands - before;
    assert_eq!(commands, 3);
    let ours: u64 = admin.run(&["PTTL", "likes/lock:1200"]).await;
    let foreign: u64 = admin.run(&["PTTL", "likes/lock:1201"]).await;
    assert!(ours > 50_000 && foreign <= 10_000, "{ours} {foreign}");
}

#[tokio::test]
async fn release_deletes_only_our_own_lock_and_then_tells() {
    let server = Server::start();
    let backend = server.backend().await;
    let key = key("a");
    let mut listener = backend.subscribe(&key).await.unwrap();
    backend.acquire(&key, token(1), secs(5)).await.unwrap();

    assert!(
        !backend
            .release(&key, token(2), Some(Notice::Released))
            .await
            .unwrap()
    );
    let held = backend.acquire(&key, token(3), secs(5)).await.unwrap();
    assert!(matches!(held, Acquired::Held(_)));

    assert!(backend.release(&key, token(1), None).await.unwrap());
    backend.acquire(&key, token(4), secs(5)).await.unwrap();
    let notice = Notice::failed("the database is down");
    assert!(
        backend
            .release(&key, token(4), Some(notice.clone()))
            .await
            .unwrap()
    );
    // Neither the foreign release nor the silent one was told.
    assert_eq!(
        heard(&mut listener).await,
        Event::Message(Message::Notice(notice))
    );
}

#[tokio::test]
async fn put_overrides_or_resolves() {
    let server = Server::start();
    let backend = server.backend().await;
    let key = key("a");
    let mut listener = backend.subscribe(&key).await.unwrap();
    backend.acquire(&key, token(1), secs(5)).await.unwrap();

    backend
        .put(&key, "1".into(), secs(60), PutMode::Resolve)
        .await
        .unwrap();
    assert_eq!(
        heard(&mut listener).await,
        Event::Message(Message::Value("1".into()))
    );
    assert!(backend.inspect(&key).await.unwrap().lock.is_some());

    backend
        .put(&key, Bytes::new(), secs(60), PutMode::Override)
        .await
        .unwrap();
    assert_eq!(
        heard(&mut listener).await,
        Event::Message(Message::Value(Bytes::new()))
    );
    assert!(backend.inspect(&key).await.unwrap().lock.is_none());
    // The compute that was under way is fenced off.
    let late = backend
        .fulfil(&key, token(1), "late".into(), secs(60))
        .await
        .unwrap();
    assert_eq!(late, Fulfilled::Lost);
}

#[tokio::test]
async fn invalidate_deletes_value_and_lock_and_tells_in_any_case() {
    let server = Server::start();
    let backend = server.backend().await;
    let key = key("a");
    let mut listener = backend.subscribe(&key).await.unwrap();
    let told = Event::Message(Message::Notice(Notice::Invalidated));
    backend.invalidate(&key).await.unwrap();
    assert_eq!(heard(&mut listener).await, told);

    backend.acquire(&key, token(1), secs(5)).await.unwrap();
    backend
        .put(&key, "v".into(), secs(60), PutMode::Resolve)
        .await
        .unwrap();
    heard(&mut listener).await;
    backend.invalidate(&key).await.unwrap();
    assert_eq!(heard(&mut listener).await, told);
    assert_eq!(backend.inspect(&key).await.unwrap(), Default::default());
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
