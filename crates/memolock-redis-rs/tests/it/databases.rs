//! Databases of one server: channels know none of them, and yet nobody hears another's.

use std::time::Duration;

use futures_util::StreamExt;
use memolock_core::{Acquired, Backend, Event, Fulfilled, Fulfilment, Message, Notice, PutMode};

use crate::server::{Server, heard, key, secs, token};
use crate::subject::Subject;

async fn at(server: &Server, database: u32) -> Subject {
    let url = format!("{}/{database}", server.url());
    Subject::connect(url).await.unwrap()
}

/// Everything that is published of a key, by way of every operation.
async fn everything(backend: &Subject, value: &str) {
    let key = key("a");
    let value = || value.to_owned().into();
    let (ttl, lease) = (secs(60), secs(5));
    backend
        .put(&key, value(), ttl, PutMode::Override)
        .await
        .unwrap();
    backend
        .put(&key, value(), ttl, PutMode::Resolve)
        .await
        .unwrap();
    backend.invalidate(&key).await.unwrap();
    let granted = backend.acquire(&key, token(1), lease).await.unwrap();
    assert_eq!(granted, Acquired::Granted);
    let notice = Some(Notice::failed("no"));
    assert!(backend.release(&key, token(1), notice).await.unwrap());
    let granted = backend.acquire(&key, token(2), lease).await.unwrap();
    assert_eq!(granted, Acquired::Granted);
    let stored = backend.fulfil(&key, token(2), value(), ttl).await.unwrap();
    assert_eq!(stored, Fulfilled::Stored);
    backend.invalidate(&key).await.unwrap();
    let granted = backend.acquire(&key, token(3), lease).await.unwrap();
    assert_eq!(granted, Acquired::Granted);
    let many = [Fulfilment {
        key: key.clone(),
        token: token(3),
        value: value(),
        ttl,
    }];
    let stored = backend.fulfil_many(&many).await;
    assert!(
        matches!(stored.as_slice(), [Ok(Fulfilled::Stored)]),
        "{stored:?}"
    );
}

fn said(value: &str) -> Vec<Event> {
    let value = || Event::Message(Message::Value(value.to_owned().into()));
    let notice = |notice| Event::Message(Message::Notice(notice));
    vec![
        value(),
        value(),
        notice(Notice::Invalidated),
        notice(Notice::failed("no")),
        value(),
        notice(Notice::Invalidated),
        value(),
    ]
}

#[tokio::test]
async fn each_hears_its_own_and_nothing_else() {
    let server = Server::start();
    let (zero, one, three) = (
        at(&server, 0).await,
        at(&server, 1).await,
        at(&server, 3).await,
    );
    let mut listeners = Vec::new();
    for backend in [&zero, &one, &three] {
        listeners.push(backend.subscribe(&key("a")).await.unwrap());
    }
    for (backend, value) in [(&zero, "of 0"), (&one, "of 1"), (&three, "of 3")] {
        everything(backend, value).await;
    }
    for (listener, value) in listeners.iter_mut().zip(["of 0", "of 1", "of 3"]) {
        for event in said(value) {
            assert_eq!(heard(listener).await, event, "{value}");
        }
        let more = tokio::time::timeout(Duration::from_millis(50), listener.next());
        assert!(more.await.is_err(), "{value} heard of another");
    }
    for (backend, value) in [(&zero, "of 0"), (&one, "of 1"), (&three, "of 3")] {
        assert_eq!(backend.get(&key("a")).await.unwrap(), Some(value.into()));
    }
    drop(listeners);
    let mut admin = server.admin().await;
    crate::server::eventually("nobody listens any more", || {
        let mut admin = admin.clone();
        async move {
            let channels: Vec<String> = admin.run(&["PUBSUB", "CHANNELS"]).await;
            channels.is_empty()
        }
    })
    .await;
    let _: () = admin.run(&["PING"]).await;
}

/// The names of the wire: those of the ancestors in database 0.
#[tokio::test]
async fn channels_have_the_documented_names() {
    let server = Server::start();
    let mut admin = server.admin().await;
    for (database, notif, fail) in [
        (0, "likes/notif:a", "likes/fail:a"),
        (3, "likes/notif@3:a", "likes/fail@3:a"),
    ] {
        let backend = at(&server, database).await;
        let mut listener = backend.subscribe(&key("a")).await.unwrap();
        assert_eq!(admin.publish(notif, b"v").await, 1);
        assert_eq!(
            heard(&mut listener).await,
            Event::Message(Message::Value("v".into()))
        );
        assert_eq!(admin.publish(fail, b"released").await, 1);
        let released = Event::Message(Message::Notice(Notice::Released));
        assert_eq!(heard(&mut listener).await, released);
    }
}
