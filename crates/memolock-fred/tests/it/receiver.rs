//! The third connection, which hears of changes: what happens where it cannot be had.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use memolock_core::{Backend, Change, ErrorKind, PutMode};

use crate::server::{PATIENCE, Server, eventually, heard, key, secs};
use crate::subject::Subject;

#[tokio::test]
async fn a_server_that_takes_no_more_clients_is_asked_again_and_subscriptions_go_on() {
    let server = Server::start();
    let beat = Duration::from_millis(50);
    let builder = Subject::builder(server.url()).heartbeat(beat);
    let backend = builder.connect().await.unwrap();
    let mut admin = server.admin().await;
    eventually("both connections are there", || {
        let mut admin = admin.clone();
        async move { admin.others().await == 2 }
    })
    .await;
    let _: () = admin.run(&["CONFIG", "SET", "maxclients", "3"]).await;
    let a = key("a");
    let space = a.space().clone();
    let mut tracking = backend.track(&space).unwrap();
    let mut listener = backend.subscribe(&a).await.unwrap();
    let refused = async |admin: &mut crate::server::Admin| {
        let info: String = admin.run(&["INFO", "stats"]).await;
        !info.contains("rejected_connections:0\r")
    };
    eventually("it was refused", || {
        let mut admin = admin.clone();
        async move { refused(&mut admin).await }
    })
    .await;
    let put = backend.put(&a, "v".into(), secs(60), PutMode::Override);
    put.await.unwrap();
    heard(&mut listener).await;
    assert_eq!(tracking.next().now_or_never(), None, "it is deaf");
    assert_eq!(backend.stats().reconnects, 0);
    let _: () = admin.run(&["CONFIG", "SET", "maxclients", "100"]).await;
    let resumed = tokio::time::timeout(PATIENCE, tracking.next()).await;
    assert_eq!(resumed.unwrap(), Some(Change::Resumed));
}

/// fred drops a refusal that finds no command in flight. Whoever asked only then whether the subscription stands was
/// told so, and near copies were trusted that nobody kept coherent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_may_not_hear_is_never_taken_for_one_that_does() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let user = [
        "ACL", "SETUSER", "ann", "on", ">pw", "~*", "+@all", "&likes/*",
    ];
    let _: () = admin.run(&user).await;
    let url = format!("redis://ann:pw@127.0.0.1:{}", server.port());
    let space = key("a").space().clone();
    for round in 0..300 {
        let backend = Subject::connect(&url).await.unwrap();
        let mut tracking = backend.track(&space).unwrap();
        let change = tokio::time::timeout(PATIENCE, tracking.next()).await;
        let Some(Change::Refused(error)) = change.unwrap() else {
            panic!("round {round}: it is taken for one that hears");
        };
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        backend.close().await;
    }
}
