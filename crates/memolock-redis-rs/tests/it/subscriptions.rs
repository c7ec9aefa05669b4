//! Listening.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use memolock_core::{Backend, ErrorKind, Event, Keyspace, Layout, Message, Notice, PutMode, Tag};

use crate::server::{Server, eventually, heard, key, secs};
use crate::subject::{COMMANDS_PER_CHANGE, Subject};

fn value(bytes: &'static [u8]) -> Event {
    Event::Message(Message::Value(Bytes::from_static(bytes)))
}

#[tokio::test]
async fn a_subscription_is_confirmed_before_it_is_returned() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    for round in 0..50 {
        let key = key(&round.to_string());
        let mut listener = backend.subscribe(&key).await.unwrap();
        assert_eq!(admin.publish(&key.notif_channel(), b"v").await, 1);
        assert_eq!(admin.publish(&key.fail_channel(), b"released").await, 1);
        assert_eq!(heard(&mut listener).await, value(b"v"));
        let released = Event::Message(Message::Notice(Notice::Released));
        assert_eq!(heard(&mut listener).await, released);
    }
    assert_eq!(
        backend.stats().commands,
        (50 + 50 - 1) * COMMANDS_PER_CHANGE,
        "subscribed 50, unsubscribed 49"
    );
}

#[tokio::test]
async fn anything_on_a_channel_is_understood() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let key = key("a");
    let mut listener = backend.subscribe(&key).await.unwrap();
    let big: &'static [u8] = vec![7; 1024 * 1024].leak();
    for payload in [&b""[..], b"\xff\0\r\n", b"released", big] {
        admin.publish(&key.notif_channel(), payload).await;
        assert_eq!(heard(&mut listener).await, value(payload));
    }
    for (payload, notice) in [
        (&b"invalidated"[..], Notice::Invalidated),
        (b"failed:why", Notice::failed("why")),
        (b"\xff\xff", Notice::Released),
        (b"", Notice::Released),
    ] {
        admin.publish(&key.fail_channel(), payload).await;
        assert_eq!(
            heard(&mut listener).await,
            Event::Message(Message::Notice(notice))
        );
    }
}

#[tokio::test]
async fn a_listener_hears_its_own_key_only_and_nothing_from_before() {
    let server = Server::start();
    let backend = server.backend().await;
    let put = async |id: &str, value: &'static str| {
        backend
            .put(&key(id), value.into(), secs(60), PutMode::Override)
            .await
            .unwrap();
    };
    let mut early = backend.subscribe(&key("a")).await.unwrap();
    put("a", "1").await;
    let mut late = backend.subscribe(&key("a")).await.unwrap();
    put("b", "x").await;
    put("a", "2").await;
    assert_eq!(heard(&mut early).await, value(b"1"));
    assert_eq!(heard(&mut early).await, value(b"2"));
    assert_eq!(heard(&mut late).await, value(b"2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_stream_a_listener_hears_all_from_after_and_nothing_from_before() {
    let server = Server::start();
    let backend = server.backend().await;
    // Keeps the channel subscribed, so that messages come whether or not the late one is confirmed.
    let _early = backend.subscribe(&key("a")).await.unwrap();
    let (begun, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let publisher = tokio::spawn({
        let (mut admin, begun, done) = (server.admin().await, begun.clone(), done.clone());
        async move {
            for n in 1_u64.. {
                begun.store(n, SeqCst);
                admin
                    .publish("likes/notif:a", n.to_string().as_bytes())
                    .await;
                done.store(n, SeqCst);
                // A mailbox holds 32: leave time to read.
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
    });
    for _ in 0..200 {
        let before = done.load(SeqCst);
        let mut late = backend.subscribe(&key("a")).await.unwrap();
        let after = begun.load(SeqCst);
        let Event::Message(Message::Value(first)) = heard(&mut late).await else {
            panic!("not a value");
        };
        let first: u64 = std::str::from_utf8(&first).unwrap().parse().unwrap();
        assert!(first > before, "{first} was published before {before}");
        assert!(first <= after + 1, "{first} came, and not {after}");
        assert_eq!(heard(&mut late).await, number(first + 1));
    }
    publisher.abort();
}

fn number(n: u64) -> Event {
    Event::Message(Message::Value(n.to_string().into()))
}

#[tokio::test]
async fn dropping_the_last_listener_unsubscribes() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let (one, two) = (
        backend.subscribe(&key("a")).await.unwrap(),
        backend.subscribe(&key("a")).await.unwrap(),
    );
    assert_eq!(admin.listeners("likes/notif:a").await, 1);
    assert_eq!(backend.stats().subscriptions, 1);
    drop(one);
    let other = backend.subscribe(&key("b")).await.unwrap();
    assert_eq!(admin.listeners("likes/notif:a").await, 1);
    drop((two, other));
    for channel in [
        "likes/notif:a",
        "likes/fail:a",
        "likes/notif:b",
        "likes/fail:b",
    ] {
        // An admin per poll keeps the closure simple.
        eventually("nobody listens", || async {
            server.admin().await.listeners(channel).await == 0
        })
        .await;
    }
    assert_eq!(backend.stats().subscriptions, 0);
    // And again, after it was given up.
    let mut again = backend.subscribe(&key("a")).await.unwrap();
    admin.publish("likes/notif:a", b"v").await;
    assert_eq!(heard(&mut again).await, value(b"v"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_subscriptions_at_once() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let wishes: Vec<_> = (0..1000)
        .map(|i| {
            let backend = backend.clone();
            tokio::spawn(async move { backend.subscribe(&key(&i.to_string())).await })
        })
        .collect();
    let mut listeners = Vec::new();
    for wish in wishes {
        listeners.push(wish.await.unwrap().unwrap());
    }
    assert_eq!(backend.stats().subscriptions, 1000);
    assert!(
        backend.stats().commands < 500,
        "they travel together: {:?}",
        backend.stats()
    );
    for i in 0..1000 {
        assert_eq!(
            admin
                .publish(&format!("likes/notif:{i}"), i.to_string().as_bytes())
                .await,
            1
        );
    }
    for (i, listener) in listeners.iter_mut().enumerate() {
        let told = Event::Message(Message::Value(i.to_string().into()));
        assert_eq!(heard(listener).await, told);
    }
    drop(listeners);
    eventually("nobody listens", || async {
        let channels: Vec<String> = server.admin().await.run(&["PUBSUB", "CHANNELS"]).await;
        channels.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coming_and_going_leaves_nothing_behind() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let tasks: Vec<_> = (0..32)
        .map(|i: u32| {
            let backend = backend.clone();
            tokio::spawn(async move {
                for round in 0..50_u32 {
                    let key = key(&((i + round) % 7).to_string());
                    if (i + round).is_multiple_of(3) {
                        // Dropped in the middle of asking.
                        let wish = backend.subscribe(&key);
                        let _ = tokio::time::timeout(Duration::from_micros(200), wish).await;
                    } else {
                        drop(backend.subscribe(&key).await.unwrap());
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    eventually("nobody listens", || async {
        let channels: Vec<String> = server.admin().await.run(&["PUBSUB", "CHANNELS"]).await;
        channels.is_empty()
    })
    .await;
    assert_eq!(backend.stats().subscriptions, 0);
    let mut listener = backend.subscribe(&key("1")).await.unwrap();
    admin.publish("likes/notif:1", b"v").await;
    assert_eq!(heard(&mut listener).await, value(b"v"));
}

#[tokio::test]
async fn keys_of_one_name_do_not_take_each_others_channel_away() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let tagged = Keyspace::new(Tag::new("likes").unwrap(), Layout::HashTagged).unwrap();
    let tagged = tagged.key("a").unwrap();
    let mut classic = backend.subscribe(&key("{a}")).await.unwrap();
    let first = backend.subscribe(&tagged).await.unwrap();
    drop(first);
    let mut second = backend.subscribe(&tagged).await.unwrap();
    admin.publish("likes/notif:{a}", b"v").await;
    assert_eq!(heard(&mut classic).await, value(b"v"));
    assert_eq!(heard(&mut second).await, value(b"v"));
    drop(classic);
    // A fence: once it is confirmed, the drop has been dealt with.
    drop(backend.subscribe(&key("fence")).await.unwrap());
    assert_eq!(admin.publish("likes/notif:{a}", b"w").await, 1);
    assert_eq!(heard(&mut second).await, value(b"w"));
}

#[tokio::test]
async fn forbidden_channels_are_denied_and_allowed_ones_beside_them_are_not() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let user = [
        "ACL",
        "SETUSER",
        "ann",
        "on",
        ">pw",
        "~*",
        "&likes/*:ok*",
        "+@all",
    ];
    let _: () = admin.run(&user).await;
    let url = format!("redis://ann:pw@127.0.0.1:{}", server.port());
    let backend = Subject::connect(url).await.unwrap();

    let keys: Vec<_> = ["ok1", "no1", "ok2", "no2", "ok3"].map(key).into();
    let wishes = keys.iter().map(|key| backend.subscribe(key));
    let outcomes = futures_util::future::join_all(wishes).await;
    for (key, outcome) in keys.iter().zip(outcomes) {
        match outcome {
            Ok(mut listener) => {
                assert!(key.id().starts_with("ok"), "{key}");
                admin.publish(&key.notif_channel(), b"v").await;
                assert_eq!(heard(&mut listener).await, value(b"v"));
            }
            Err(error) => {
                assert!(key.id().starts_with("no"), "{error}");
                assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
                assert_eq!(error.key(), Some(key));
            }
        }
    }
    eventually("nothing is left", || async {
        backend.stats().subscriptions == 0
    })
    .await;
    assert_eq!(backend.stats().reconnects, 0);
}

#[tokio::test]
async fn a_script_that_may_not_write_is_denied() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let user = [
        "ACL", "SETUSER", "ann", "on", ">pw", "~*", "&*", "+@all", "-set",
    ];
    let _: () = admin.run(&user).await;
    let url = format!("redis://ann:pw@127.0.0.1:{}", server.port());
    let backend = Subject::connect(url).await.unwrap();
    let put = backend
        .put(&key("a"), "v".into(), secs(5), PutMode::Override)
        .await;
    let error = put.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
}

#[tokio::test]
async fn a_slow_listener_is_told_of_a_gap() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let mut slow = backend.subscribe(&key("a")).await.unwrap();
    let mut witness = backend.subscribe(&key("a")).await.unwrap();
    for i in 0..200 {
        admin
            .publish("likes/notif:a", i.to_string().as_bytes())
            .await;
        assert!(matches!(witness.next().await, Some(Event::Message(_))));
    }
    let mut events = Vec::new();
    while events.last() != Some(&Event::Resumed) {
        events.push(heard(&mut slow).await);
    }
    assert!(events.contains(&Event::Gap));
}
