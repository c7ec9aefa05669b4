//! Streams that the application makes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use memolock_core::{Acquired, Backend, ErrorKind, Event, Message, PutMode};
use memolock_redis_rs::RedisBackend;
use tokio::net::UnixStream;

use crate::server::{Server, eventually, heard, key, secs, token};

#[tokio::test]
async fn it_is_asked_for_every_connection_and_for_no_more() {
    let server = Server::start();
    let asked = Arc::new(AtomicU32::new(0));
    let backend = RedisBackend::builder("redis://nowhere.invalid/3")
        .connector({
            let (asked, socket) = (Arc::clone(&asked), server.socket());
            move || {
                asked.fetch_add(1, SeqCst);
                UnixStream::connect(socket.clone())
            }
        })
        .connect()
        .await
        .unwrap();
    let acquired = backend.acquire(&key("a"), token(1), secs(5)).await.unwrap();
    assert_eq!(acquired, Acquired::Granted);
    let mut listener = backend.subscribe(&key("a")).await.unwrap();
    assert_eq!(asked.load(SeqCst), 2);
    let mut admin = server.admin().await;
    let list: String = admin.run(&["CLIENT", "LIST"]).await;
    assert_eq!(list.matches("db=3").count(), 2, "{list}");

    // In this order: a subscription connection that is new is a normal one still.
    let _: i64 = admin.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    let _: i64 = admin.run(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert_eq!(heard(&mut listener).await, Event::Gap);
    assert_eq!(heard(&mut listener).await, Event::Resumed);
    eventually("commands are answered", || async {
        let key = key("a");
        let put = backend.put(&key, "v".into(), secs(60), PutMode::Override);
        put.await.is_ok()
    })
    .await;
    assert_eq!(
        heard(&mut listener).await,
        Event::Message(Message::Value("v".into()))
    );
    assert_eq!(asked.load(SeqCst), 4);
}

#[tokio::test]
async fn its_streams_end_with_the_backend_even_if_a_reply_is_outstanding() {
    let server = Server::start();
    let backend = RedisBackend::builder("redis://nowhere.invalid")
        .connector({
            let socket = server.socket();
            move || UnixStream::connect(socket.clone())
        })
        .connect()
        .await
        .unwrap();
    let mut admin = server.admin().await;
    let _: () = admin.run(&["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let putting = tokio::spawn(async move {
        let key = key("a");
        let put = backend.put(&key, "v".into(), secs(60), PutMode::Override);
        let _ = put.await;
    });
    eventually("it is held up", || async {
        let mut admin = server.admin().await;
        let info: String = admin.run(&["INFO", "clients"]).await;
        info.contains("blocked_clients:1")
    })
    .await;
    putting.abort();
    eventually("nobody is connected", || async {
        let mut admin = server.admin().await;
        let list: String = admin.run(&["CLIENT", "LIST"]).await;
        !list.contains("name=memolock")
    })
    .await;
}

#[tokio::test]
async fn what_it_says_is_the_error() {
    let refuse = || async { Err::<UnixStream, _>(io::Error::other("the tunnel is shut")) };
    let builder = RedisBackend::builder("redis://nowhere.invalid").connector(refuse);
    let error = builder.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("the tunnel is shut") && text.contains("nowhere.invalid"),
        "{text}"
    );
}
