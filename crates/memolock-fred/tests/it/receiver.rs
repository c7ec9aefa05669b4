//! The third connection, which hears of changes: what happens where it cannot be had.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use memolock_core::{Backend, Change, PutMode};

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
