//! Changes of values, told by the server, and values with their times.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use memolock_core::redis::KEYS_PER_COMMAND;
use memolock_core::{
    Backend, Change, ErrorKind, Key, Keyspace, Layout, PutMode, Remaining, Tag, Tracking,
};

use crate::server::{Admin, PATIENCE, Server, eventually, heard, key, secs, token};
use crate::subject::{ALSO_NEEDED, Subject};

fn space(tag: &str) -> Keyspace {
    Keyspace::new(Tag::new(tag).unwrap(), Layout::Classic).unwrap()
}

fn value(id: &str) -> Change {
    Change::Value(id.to_owned())
}

async fn next(tracking: &mut Tracking) -> Change {
    let next = tokio::time::timeout(PATIENCE, tracking.next()).await;
    next.expect("no change came").expect("the tracking ended")
}

/// The next change of a value that is not this one: several changes of one value may be told as one.
async fn next_but(tracking: &mut Tracking, id: &str) -> Change {
    loop {
        let change = next(tracking).await;
        if change != value(id) {
            return change;
        }
    }
}

/// A tracker that hears.
async fn live(backend: &Subject, tag: &str) -> Tracking {
    let mut tracking = backend.track(&space(tag)).unwrap();
    assert_eq!(next(&mut tracking).await, Change::Resumed);
    tracking
}

async fn put(backend: &Subject, key: &Key) {
    let put = backend.put(key, "v".into(), secs(60), PutMode::Override);
    put.await.unwrap();
}

#[tokio::test]
async fn every_way_in_which_a_value_changes_is_told() {
    let server = Server::start();
    let (backend, other) = (server.backend().await, server.backend().await);
    let mut admin = server.admin().await;
    let mut tracking = live(&backend, "likes").await;
    let mut nth = 0;
    let mut fresh = || {
        nth += 1;
        key(&nth.to_string())
    };
    for writer in [&backend, &other] {
        let k = fresh();
        put(writer, &k).await;
        assert_eq!(next(&mut tracking).await, value(k.id()));
        writer.invalidate(&k).await.unwrap();
        assert_eq!(next(&mut tracking).await, value(k.id()));
        let k = fresh();
        writer.acquire(&k, token(1), secs(5)).await.unwrap();
        let fulfilled = writer.fulfil(&k, token(1), "v".into(), secs(5));
        fulfilled.await.unwrap();
        assert_eq!(
            next(&mut tracking).await,
            value(k.id()),
            "and nothing of the lock"
        );
    }
    let k = fresh();
    let name = k.value_name();
    let _: () = admin.run(&["SET", &name, "v", "PX", "30"]).await;
    assert_eq!(next(&mut tracking).await, value(k.id()));
    // It expires in its own time, sooner if somebody looks.
    assert_eq!(next(&mut tracking).await, value(k.id()));
    let _: () = admin.run(&["SET", &name, "v"]).await;
    let _: () = admin.run(&["RENAME", &name, "likes:ü"]).await;
    assert_eq!(next_but(&mut tracking, k.id()).await, value("ü"));
    let _: () = admin.run(&["FLUSHALL"]).await;
    assert_eq!(next_but(&mut tracking, "ü").await, Change::All);
}

#[tokio::test]
async fn many_changes_at_once_are_all_told() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let mut tracking = live(&backend, "likes").await;
    let names: Vec<String> = (0..1000).map(|n| format!("likes:{n}")).collect();
    let mut words = vec!["MSET"];
    words.extend(names.iter().flat_map(|name| [name.as_str(), "v"]));
    let _: () = admin.run(&words).await;
    let mut told = BTreeSet::new();
    while told.len() < 1000 {
        match next(&mut tracking).await {
            Change::Value(id) => told.insert(id),
            other => panic!("{other:?}"),
        };
    }
}

#[tokio::test]
async fn keyspaces_that_overlap_are_told_apart() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut long = live(&backend, "a:b").await;
    let mut other = live(&backend, "x").await;
    // The server refuses both prefixes at once, so the longer one starts over.
    let mut short = live(&backend, "a").await;
    for tracking in [&mut long, &mut other] {
        assert_eq!(next(tracking).await, Change::Gap);
        assert_eq!(next(tracking).await, Change::Resumed);
    }
    put(&backend, &space("a:b").key("c").unwrap()).await;
    put(&backend, &space("x").key("c").unwrap()).await;
    assert_eq!(next(&mut long).await, value("c"));
    assert_eq!(next(&mut short).await, value("b:c"));
    assert_eq!(next(&mut other).await, value("c"));
    let mut longest = live(&backend, "a:b:c").await;
    put(&backend, &space("a:b:c").key("d").unwrap()).await;
    assert_eq!(next(&mut longest).await, value("d"));
    assert_eq!(next(&mut long).await, value("c:d"));
}

#[tokio::test]
async fn a_lost_connection_is_a_gap_that_ends() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let mut tracking = live(&backend, "likes").await;
    for _ in 0..3 {
        kill_listeners(&mut admin).await;
        assert_eq!(next(&mut tracking).await, Change::Gap);
        assert_eq!(next(&mut tracking).await, Change::Resumed);
        put(&backend, &key("a")).await;
        assert_eq!(next(&mut tracking).await, value("a"));
    }
}

/// Kills each connection but the commands' and the test's own.
async fn kill_listeners(admin: &mut Admin) {
    let list: String = admin.run(&["CLIENT", "LIST"]).await;
    for line in list.lines() {
        let field = |name: &str| {
            let found = line.split(' ').find_map(|word| word.strip_prefix(name));
            found.unwrap_or_default()
        };
        // Who tracks, and who hears of it.
        let flags = field("flags=");
        if flags.contains('t') || flags.contains('P') {
            let _: i64 = admin.run(&["CLIENT", "KILL", "ID", field("id=")]).await;
        }
    }
}

#[tokio::test]
async fn tracking_and_listening_share_a_connection_and_do_not_mind_each_other() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut tracking = live(&backend, "likes").await;
    for nth in 0..50 {
        let k = key(&nth.to_string());
        let mut listener = backend.subscribe(&k).await.unwrap();
        put(&backend, &k).await;
        assert!(matches!(
            heard(&mut listener).await,
            memolock_core::Event::Message(_)
        ));
        assert_eq!(next(&mut tracking).await, value(k.id()));
    }
}

#[tokio::test]
async fn a_user_without_the_right_is_told_and_goes_on_as_before() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let mut rules = vec![
        "ACL", "SETUSER", "poor", "on", ">secret", "~likes:*", "~likes/*", "&likes/*",
    ];
    rules.extend([
        "-@all",
        "+get",
        "+set",
        "+eval",
        "+evalsha",
        "+publish",
        "+subscribe",
        "+unsubscribe",
        "+ping",
        "+pttl",
        "+del",
        "+exists",
    ]);
    rules.extend(ALSO_NEEDED);
    let _: () = admin.run(&rules).await;
    let url = format!("redis://poor:secret@127.0.0.1:{}", server.port());
    let backend = Subject::connect(url).await.unwrap();
    let mut tracking = backend.track(&space("likes")).unwrap();
    match next(&mut tracking).await {
        Change::Refused(error) => {
            assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
            assert!(!error.to_string().contains("secret"));
        }
        other => panic!("{other:?}"),
    }
    // Not asked again, and subscriptions work.
    let k = key("a");
    let mut listener = backend.subscribe(&k).await.unwrap();
    put(&backend, &k).await;
    assert!(matches!(
        heard(&mut listener).await,
        memolock_core::Event::Message(_)
    ));
    assert_eq!(backend.stats().reconnects, 0);
}

#[tokio::test]
async fn r9_when_nobody_tracks_the_server_tells_nothing() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let tracking = live(&backend, "likes").await;
    let info = async |admin: &mut Admin| {
        let info: String = admin.run(&["INFO", "clients"]).await;
        info.contains("tracking_clients:0")
    };
    assert!(!info(&mut admin).await);
    drop(tracking);
    eventually("nobody tracks", || {
        let mut admin = admin.clone();
        async move { info(&mut admin).await }
    })
    .await;
    let mut tracking = live(&backend, "likes").await;
    backend.close().await;
    assert_eq!(tracking.next().await, None);
    eventually("nobody is connected", || {
        let mut admin = admin.clone();
        async move { admin.others().await == 0 }
    })
    .await;
}

#[tokio::test]
async fn values_come_with_their_times_in_one_round_trip() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    put(&backend, &key("a")).await;
    let _: () = admin.run(&["SET", "likes:forever", ""]).await;
    let keys = ["a", "absent", "forever", "a"].map(key);
    // The first time the server does not know the script.
    backend.get_timed(&keys[..1]).await.unwrap();
    let commands = backend.stats().commands;
    let found = backend.get_timed(&keys).await.unwrap();
    assert_eq!(backend.stats().commands, commands + 1);
    let [a, absent, forever, again] = <[_; 4]>::try_from(found).unwrap();
    let a = a.unwrap();
    match a.remaining {
        Remaining::Expires(left) => {
            assert!(left <= secs(60) && left > secs(60) - PATIENCE, "{left:?}");
        }
        Remaining::Forever => panic!("it expires"),
    }
    assert_eq!((&*a.value, absent), (&b"v"[..], None));
    let forever = forever.unwrap();
    assert_eq!(
        (&*forever.value, forever.remaining),
        (&b""[..], Remaining::Forever)
    );
    assert_eq!(again.unwrap().value, a.value);
    let many: Vec<Key> = (0..2 * KEYS_PER_COMMAND + 1)
        .map(|n| key(&n.to_string()))
        .collect();
    assert_eq!(backend.get_timed(&many).await.unwrap().len(), many.len());
    assert!(backend.get_timed(&[]).await.unwrap().is_empty());
    let _: () = admin.run(&["RPUSH", "likes:list", "x"]).await;
    let error = backend.get_timed(&[key("list")]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.key()),
        (ErrorKind::WrongType, Some(&key("list")))
    );
}
