//! Beginning, end, and nothing left behind.

use std::time::Duration;

use futures_util::StreamExt;
use memolock_core::{Backend, ErrorKind, Layout, PutMode, Renewal};

use crate::server::{PATIENCE, Server, eventually, key, secs, token};
use crate::subject::{NAME, Subject};

fn tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

async fn alone(server: &Server) {
    eventually("no connection is left", || async {
        server.admin().await.others().await == 0
    })
    .await;
}

#[tokio::test]
async fn it_says_what_it_is() {
    let server = Server::start();
    let backend = server.backend().await;
    let capabilities = backend.capabilities();
    assert_eq!((capabilities.name, capabilities.shared), (NAME, true));
    assert_eq!(capabilities.layout, Layout::Classic);
    assert!(capabilities.bound.is_some());
}

#[tokio::test]
async fn after_close_everything_is_closed() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut listener = backend.subscribe(&key("a")).await.unwrap();
    let clone = backend.clone();
    backend.close().await;
    clone.close().await;
    assert!(
        tokio::time::timeout(PATIENCE, listener.next())
            .await
            .unwrap()
            .is_none()
    );

    let key = key("a");
    let renewal = Renewal {
        key: key.clone(),
        token: token(1),
        lease: secs(5),
    };
    let errors = [
        clone.get(&key).await.unwrap_err(),
        clone.acquire(&key, token(1), secs(5)).await.unwrap_err(),
        clone
            .fulfil(&key, token(1), "v".into(), secs(5))
            .await
            .unwrap_err(),
        clone.renew(&[renewal]).await.unwrap_err(),
        clone.release(&key, token(1), None).await.unwrap_err(),
        clone
            .put(&key, "v".into(), secs(5), PutMode::Override)
            .await
            .unwrap_err(),
        clone.invalidate(&key).await.unwrap_err(),
        clone.inspect(&key).await.unwrap_err(),
        clone.subscribe(&key).await.map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    }
    assert_eq!(clone.stats().subscriptions, 0);
    alone(&server).await;
}

#[tokio::test]
async fn close_ends_who_waits_for_a_connection() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let builder = Subject::builder(url)
        .connect_timeout(PATIENCE)
        .command_timeout(PATIENCE);
    let backend = builder.connect_lazy().unwrap();
    let waiting = tokio::spawn({
        let backend = backend.clone();
        async move {
            (
                backend.get(&key("a")).await,
                backend.subscribe(&key("a")).await.map(drop),
            )
        }
    });
    let listening = tokio::spawn({
        let backend = backend.clone();
        async move { backend.subscribe(&key("a")).await.map(drop) }
    });
    eventually("somebody listens", || async {
        backend.stats().subscriptions == 1
    })
    .await;
    backend.close().await;
    let (got, subscribed) = waiting.await.unwrap();
    assert_eq!(got.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(subscribed.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(
        listening.await.unwrap().unwrap_err().kind(),
        ErrorKind::Closed
    );
}

#[tokio::test]
async fn dropping_the_last_clone_ends_tasks_connections_and_listeners() {
    let server = Server::start();
    let before = tasks();
    let backend = server.backend().await;
    let mut listener = backend.subscribe(&key("a")).await.unwrap();
    let clone = backend.clone();
    drop(backend);
    assert_eq!(clone.get(&key("a")).await.unwrap(), None);
    drop(clone);
    assert!(
        tokio::time::timeout(PATIENCE, listener.next())
            .await
            .unwrap()
            .is_none()
    );
    eventually("no task is left", || async { tasks() == before }).await;
    alone(&server).await;
}

#[tokio::test]
async fn a_connect_that_fails_or_is_dropped_leaves_nothing() {
    let server = Server::with_password(Some("hunter2"));
    let before = tasks();
    let wrong = format!("redis://:wrong@127.0.0.1:{}", server.port());
    assert!(Subject::connect(wrong).await.is_err());
    for micros in [0, 50, 200, 500, 1000, 2000] {
        let connect = Subject::connect(server.url());
        let _ = tokio::time::timeout(Duration::from_micros(micros), connect).await;
    }
    eventually("no task is left", || async { tasks() == before }).await;
    alone(&server).await;
}

#[tokio::test]
async fn dropped_calls_leave_nothing() {
    let server = Server::start();
    let backend = server.backend().await;
    for micros in 0..100 {
        let patience = Duration::from_micros(micros * 5);
        let key = key("a");
        let _ = tokio::time::timeout(patience, backend.get(&key)).await;
        let _ = tokio::time::timeout(patience, backend.acquire(&key, token(1), secs(5))).await;
        let _ = tokio::time::timeout(patience, backend.subscribe(&key)).await;
    }
    eventually("no subscription is left", || async {
        backend.stats().subscriptions == 0
    })
    .await;
    // And the connection still pairs replies with their commands.
    backend
        .put(&key("b"), "v".into(), secs(60), PutMode::Override)
        .await
        .unwrap();
    assert_eq!(backend.get(&key("b")).await.unwrap(), Some("v".into()));
}

#[tokio::test]
async fn an_idle_backend_sends_nothing_before_its_first_heartbeat() {
    let server = Server::start();
    let backend = server.backend().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(backend.stats().commands, 0);
    let builder = Subject::builder(server.url()).heartbeat(Duration::from_millis(20));
    let beating = builder.connect().await.unwrap();
    eventually("heartbeats are counted", || async {
        beating.stats().commands > 4
    })
    .await;
}
