//! Repeated notices (`repeat_notice`): what is stored is published once more, a time after it was stored.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memolock::Backend;
use memolock::core::redis::Script;
use memolock::core::{ErrorKind, Key, Keyspace, Layout, Notifications, PutMode, Tag};
use memolock::redis_rs::RedisBackend;
use memolock_testkit::{ClusterOptions, Connection, TestCluster, TestServer, unique_tag};
use memolock_tests::{
    Adapter, Fate, HANG, Ours, SECOND, Scripted, cli, end_of, eventually, own_server,
};
use tokio::time::{sleep, timeout};

const AFTER: Duration = Duration::from_millis(50);
const TTL: Duration = Duration::from_secs(60);

/// Hears channels as a 2019 client does, by a pattern.
struct Ear(Connection);

impl Ear {
    async fn of(server: &TestServer, command: &str, channels: &str) -> Self {
        let mut connection = server.connect().await.unwrap();
        connection.command(&[command, channels]).await.unwrap();
        Self(connection)
    }

    /// The next message: channel and payload.
    async fn next(&mut self) -> (String, Bytes) {
        let message = self.0.read().await.unwrap();
        let items = message.items();
        let last = items.len() - 1;
        let channel = items[last - 1].as_str().unwrap().to_owned();
        (
            channel,
            Bytes::copy_from_slice(items[last].as_bytes().unwrap()),
        )
    }

    async fn hears(&mut self, channel: &str, payload: &str) {
        let (heard, said) = self.next().await;
        assert_eq!((&*heard, &said[..]), (channel, payload.as_bytes()));
    }
}

fn keyspace(tag: &str, layout: Layout) -> Keyspace {
    Keyspace::new(Tag::new(tag).unwrap(), layout).unwrap()
}

fn likes(id: &str) -> Key {
    keyspace("likes", Layout::Classic).key(id).unwrap()
}

async fn put(backend: &dyn Backend, key: &Key, value: &str, mode: PutMode) {
    let value = Bytes::copy_from_slice(value.as_bytes());
    backend.put(key, value, TTL, mode).await.unwrap();
}

async fn repeated(backend: &dyn Backend, notices: u64) {
    eventually("the repeated notices", || async {
        backend.stats().repeated_notices >= notices
    })
    .await;
    assert_eq!(backend.stats().repeated_notices, notices);
}

#[tokio::test]
async fn each_fulfil_put_and_resolve_is_told_once_more() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let backend = adapter.connect_repeating(server.url(), AFTER).await;
        let mut ear = Ear::of(&server, "PSUBSCRIBE", "likes/notif:*").await;
        let ours = Ours::over(Arc::clone(&backend), "likes", |builder| builder).await;
        end_of(ours.get("fulfilled", "a")).await.unwrap();
        ours.likes.put("put", &"b".to_owned()).await.unwrap();
        let resolved = ours.likes.entry("resolved").resolve(&String::new()).await;
        resolved.unwrap();
        for _ in 0..2 {
            ear.hears("likes/notif:fulfilled", "a").await;
            ear.hears("likes/notif:put", "b").await;
            ear.hears("likes/notif:resolved", "").await;
        }
        let many = ours.likes.entries(["one", "two"]);
        let compute = |ids: Vec<String>| async move {
            let values = ids.into_iter().map(|id| (id.clone(), id));
            Ok::<_, String>(values.collect::<std::collections::HashMap<_, _>>())
        };
        let many = many.or_compute(compute).await.into_result();
        assert_eq!(many.unwrap().len(), 2);
        for _ in 0..2 {
            ear.hears("likes/notif:one", "one").await;
            ear.hears("likes/notif:two", "two").await;
        }
        // What is read, and a compute that fails, store nothing.
        end_of(ours.get("put", "unused")).await.unwrap();
        let fails = |_| async { Err::<String, _>("no luck".to_owned()) };
        ours.likes
            .get_or_compute("failing", fails)
            .await
            .unwrap_err();
        sleep(3 * AFTER).await;
        repeated(&*backend, 5).await;
        assert_eq!(backend.stats().dropped_notices, 0, "{adapter}");
        backend.close().await;
        cli(&server, &["FLUSHALL"]).await;
    }
}

/// Never what was stored before.
#[tokio::test]
async fn what_is_stored_then_is_published() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let backend = adapter.connect_repeating(server.url(), AFTER).await;
        let mut ear = Ear::of(&server, "PSUBSCRIBE", "likes/notif:*").await;
        for id in ["overwritten", "deleted", "spoilt", "last"] {
            put(&*backend, &likes(id), "old", PutMode::Override).await;
            ear.hears(&format!("likes/notif:{id}"), "old").await;
        }
        cli(&server, &["SET", "likes:overwritten", "new"]).await;
        backend.invalidate(&likes("deleted")).await.unwrap();
        cli(&server, &["DEL", "likes:spoilt"]).await;
        cli(&server, &["LPUSH", "likes:spoilt", "a list"]).await;
        // One of a wrong type does not fail the others.
        ear.hears("likes/notif:overwritten", "new").await;
        ear.hears("likes/notif:last", "old").await;
        repeated(&*backend, 2).await;
        assert_eq!(backend.stats().dropped_notices, 0, "{adapter}");
        backend.close().await;
        cli(&server, &["FLUSHALL"]).await;
    }
}

/// Values of more than a MiB together go in several calls; what no subscriber could take is left out.
#[tokio::test]
async fn large_values_are_told_alone_and_the_largest_not_at_all() {
    let server = own_server().await;
    let sizes = [8 << 20, (8 << 20) + 1, 1 << 20, 700_000, 700_000, 0];
    for adapter in Adapter::ALL {
        let backend = adapter.connect_repeating(server.url(), AFTER).await;
        let mut ear = Ear::of(&server, "PSUBSCRIBE", "likes/notif:*").await;
        let heard = tokio::spawn(async move {
            let mut heard = [0; 6];
            loop {
                let (channel, value) = ear.next().await;
                match channel.strip_prefix("likes/notif:") {
                    Some("end") => return heard,
                    id => {
                        let n: usize = id.unwrap().parse().unwrap();
                        assert_eq!(value.len(), sizes[n]);
                        heard[n] += 1;
                    }
                }
            }
        });
        for (n, size) in sizes.into_iter().enumerate() {
            let value = Bytes::from(vec![b'x'; size]);
            let key = likes(&n.to_string());
            backend
                .put(&key, value, TTL, PutMode::Resolve)
                .await
                .unwrap();
        }
        repeated(&*backend, 5).await;
        cli(&server, &["PUBLISH", "likes/notif:end", ""]).await;
        assert_eq!(heard.await.unwrap(), [2, 1, 2, 2, 2, 2], "{adapter}");
        backend.close().await;
    }
}

#[tokio::test]
async fn a_close_drops_what_is_pending() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let backend = adapter.connect_repeating(server.url(), AFTER).await;
        let mut ear = Ear::of(&server, "PSUBSCRIBE", "likes/notif:*").await;
        put(&*backend, &likes("a"), "v", PutMode::Override).await;
        ear.hears("likes/notif:a", "v").await;
        backend.close().await;
        sleep(4 * AFTER).await;
        cli(
            &server,
            &["PUBLISH", "likes/notif:end", "nothing came between"],
        )
        .await;
        ear.hears("likes/notif:end", "nothing came between").await;
    }
}

/// And the waits that are open then end: nobody waits for a notice that will not come.
#[tokio::test]
async fn a_server_that_is_down_drops_what_is_pending() {
    let server = own_server().await;
    let backend = RedisBackend::builder(server.url())
        .repeat_notice(10 * AFTER)
        .connect()
        .await
        .unwrap();
    for n in 0..150 {
        put(&backend, &likes(&n.to_string()), "v", PutMode::Override).await;
    }
    server.kill().await.unwrap();
    timeout(HANG, backend.notices_repeated()).await.unwrap();
    let stats = backend.stats();
    assert_eq!((stats.repeated_notices, stats.dropped_notices), (0, 150));
    server.restart().await.unwrap();
    eventually("the server", || async {
        let (again, value) = (likes("again"), Bytes::from_static(b"v"));
        let put = backend.put(&again, value, TTL, PutMode::Override);
        put.await.is_ok()
    })
    .await;
    timeout(HANG, backend.notices_repeated()).await.unwrap();
    assert_eq!(backend.stats().repeated_notices, 1);
}

/// Before a server: what becomes of the script that repeats notices, and of nothing else. Its digest, too.
async fn tampered(server: &TestServer, fate: Fate) -> (Scripted, String) {
    let loaded = cli(server, &["SCRIPT", "LOAD", Script::Repeat.text()]).await;
    let digest = loaded.as_str().unwrap().to_owned();
    let front = Scripted::before(server).await;
    let named = digest.clone();
    front.script(move |words| match repeats(words, &named) {
        true => fate.clone(),
        false => Fate::Passes,
    });
    (front, digest)
}

fn repeats(words: &[Bytes], digest: &str) -> bool {
    let script = words.get(1).map(|word| &word[..]);
    script == Some(Script::Repeat.text().as_bytes()) || script == Some(digest.as_bytes())
}

/// Fulfils, hits, waits, puts, invalidations and renewals go on while it hangs or fails, and a close ends.
#[tokio::test]
async fn notices_that_hang_or_fail_delay_no_other_work() {
    // Far below the time of a command, which is that of a hang.
    let (soon, lease) = (HANG / 3, 2 * SECOND);
    let server = own_server().await;
    for adapter in Adapter::ALL {
        for fate in [
            Fate::Hangs,
            Fate::Closes,
            Fate::Fails("ERR max requests limit exceeded".to_owned()),
        ] {
            let what = format!("{adapter}, {fate:?}");
            let (front, digest) = tampered(&server, fate).await;
            let backend = adapter.connect_repeating(front.url(), AFTER / 10).await;
            let ours = Ours::over(Arc::clone(&backend), "likes", |b| b.lease(lease)).await;
            let other = Ours::start(Adapter::RedisRs, server.url(), "likes", |b| b).await;
            let work = async {
                // It is tried once something is stored.
                end_of(ours.get("first", "v")).await.unwrap();
                eventually("it is sent", || async {
                    let log = front.log();
                    log.iter().any(|sent| repeats(&sent.words, &digest))
                })
                .await;
                let (end, held) = ours.hold("held").await;
                let waits = other.get("held", "never");
                let began = tokio::time::Instant::now();
                let mut n = 0;
                while n < 20 || began.elapsed() < lease + lease / 2 {
                    n += 1;
                    let (id, theirs) = (format!("{n}"), format!("theirs {n}"));
                    for _ in 0..2 {
                        assert_eq!(*end_of(ours.get(&id, &id)).await.unwrap(), id, "{what}");
                    }
                    ours.likes.put(&id, &"put".to_owned()).await.unwrap();
                    ours.likes.invalidate(&id).await.unwrap();
                    let (ends, holds) = other.hold(&theirs).await;
                    let waiting = ours.get(&theirs, "never");
                    ends.send(Ok("heard".to_owned())).unwrap();
                    assert_eq!(*end_of(waiting).await.unwrap(), "heard", "{what}");
                    end_of(holds).await.unwrap();
                }
                end.send(Ok("held".to_owned())).unwrap();
                assert_eq!(*end_of(held).await.unwrap(), "held", "{what}");
                assert_eq!(*end_of(waits).await.unwrap(), "held", "{what}");
            };
            timeout(soon + 2 * lease, work)
                .await
                .unwrap_or_else(|_| panic!("{what}: it is delayed"));
            let stats = ours.likes.stats();
            assert_eq!((stats.degraded, stats.circuit_open), (0, false), "{what}");
            assert_eq!((stats.lost_leases, stats.unstored), (0, 0), "{what}");
            assert_eq!(stats.backend.reconnects, 0, "{what}");
            assert_eq!(stats.backend.repeated_notices, 0, "{what}");
            let close = async {
                ours.likes.close().await;
                backend.close().await;
            };
            timeout(soon, close)
                .await
                .unwrap_or_else(|_| panic!("{what}: the close waits"));
            other.likes.close().await;
            other.backend.close().await;
            cli(&server, &["FLUSHALL"]).await;
        }
    }
}

/// In a database other than 0, and by the ways that the peers of a tag have agreed on.
#[tokio::test]
async fn notices_are_repeated_where_the_peers_listen() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let url = format!("{}/3", server.url());
        let backend = adapter.connect_repeating(&url, AFTER).await;
        let mut ear = Ear::of(&server, "PSUBSCRIBE", "likes/notif*").await;
        put(&*backend, &likes("a"), "v", PutMode::Override).await;
        ear.hears("likes/notif@3:a", "v").await;
        ear.hears("likes/notif@3:a", "v").await;
        backend.close().await;

        let backend = adapter.connect_repeating(server.url(), AFTER).await;
        let space = keyspace("likes", Layout::HashTagged);
        let mut classic = Ear::of(&server, "SUBSCRIBE", "likes/notif:{a}").await;
        let mut sharded = Ear::of(&server, "SSUBSCRIBE", "likes/notif:{a}").await;
        let with = |notifications| {
            let space = space.clone().with_notifications(notifications);
            space.key("a").unwrap()
        };
        let ways = [
            (Notifications::Classic, true, false),
            (Notifications::Both, true, true),
            (Notifications::Sharded, false, true),
        ];
        for (way, by_publish, by_spublish) in ways {
            let value = format!("{way:?}");
            put(&*backend, &with(way), &value, PutMode::Override).await;
            for _ in 0..2 {
                if by_publish {
                    classic.hears("likes/notif:{a}", &value).await;
                }
                if by_spublish {
                    sharded.hears("likes/notif:{a}", &value).await;
                }
            }
        }
        backend.close().await;
    }
}

/// Keys of many slots, in both layouts: each is told where its listeners are.
#[tokio::test]
async fn on_a_cluster() {
    let options = ClusterOptions {
        replicas_per_master: 0,
        ..ClusterOptions::default()
    };
    let cluster = TestCluster::start_local_with(options).await.unwrap();
    for adapter in [Adapter::RedisRs, Adapter::Fred] {
        for layout in [Layout::Classic, Layout::HashTagged] {
            let backend = adapter.connect_repeating(cluster.url(), AFTER).await;
            let tag = unique_tag("likes");
            let ours = Ours::over(Arc::clone(&backend), &tag, |b| b.layout(layout)).await;
            let node = &cluster.nodes()[0];
            let mut ear = Ear::of(node, "PSUBSCRIBE", &format!("{tag}/notif:*")).await;
            for n in 0..20 {
                let id = n.to_string();
                match n % 2 {
                    0 => drop(end_of(ours.get(&id, &id)).await.unwrap()),
                    _ => ours.likes.put(&id, &id).await.unwrap(),
                }
            }
            let mut heard = std::collections::BTreeMap::new();
            for _ in 0..40 {
                let (channel, value) = ear.next().await;
                *heard.entry((channel, value)).or_insert(0) += 1;
            }
            assert_eq!(heard.len(), 20, "{adapter}, {layout:?}: {heard:?}");
            assert!(heard.values().all(|times| *times == 2), "{heard:?}");
            repeated(&*backend, 20).await;
            backend.close().await;
        }
    }
}

#[tokio::test]
async fn a_time_that_helps_nobody_is_refused() {
    let server = own_server().await;
    for after in [Duration::ZERO, 61 * SECOND, Duration::MAX] {
        let builder = RedisBackend::builder(server.url()).repeat_notice(after);
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("repeat_notice"), "{error}");
    }
    let shortest = Duration::from_nanos(1);
    let backend = Adapter::RedisRs
        .connect_repeating(server.url(), shortest)
        .await;
    put(&*backend, &likes("a"), "v", PutMode::Override).await;
    repeated(&*backend, 1).await;
}
