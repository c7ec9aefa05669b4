//! What access control lists allow and forbid.

use std::time::Duration;

use memolock_core::{Backend, ErrorKind, Event, Message, Notice, PutMode, Renewal};

use crate::server::{Server, eventually, heard, key, secs, token};
use crate::subject::{ALSO_NEEDED, Subject};

/// The user of the README.
#[tokio::test]
async fn a_user_who_may_no_more_than_is_needed_may_do_everything() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let user = "ACL SETUSER ann on >password ~likes:* ~likes/lock:* &likes/notif:* &likes/fail:* \
        +get +set +del +publish +pexpire +pttl +type +strlen +eval +evalsha +subscribe \
        +unsubscribe +ping +hello +client|setname +select";
    let words: Vec<&str> = user
        .split_whitespace()
        .chain(ALSO_NEEDED.iter().copied())
        .collect();
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
                let value = Event::Message(Message::Value("v".into()));
                assert_eq!(heard(&mut listener).await, value);
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
