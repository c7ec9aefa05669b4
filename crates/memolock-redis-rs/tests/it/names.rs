//! What connections are called in `CLIENT LIST`.

use memolock_core::{Backend, Tag};

use crate::server::{Admin, PATIENCE, Server, eventually, key};
use crate::subject::Subject;

fn tag(tag: &str) -> Tag {
    Tag::new(tag).unwrap()
}

async fn named(admin: &mut Admin, name: &str) {
    let names = [format!("name={name} "), format!("name={name}-sub ")];
    eventually(name, || {
        let (mut admin, names) = (admin.clone(), names.clone());
        async move {
            let list: String = admin.run(&["CLIENT", "LIST"]).await;
            names.iter().all(|name| list.contains(name))
        }
    })
    .await;
}

#[tokio::test]
async fn a_name_that_was_chosen_stays() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let builder = Subject::builder(server.url()).client_name("likes-service");
    let backend = builder.connect_timeout(PATIENCE).connect().await.unwrap();
    backend.introduce(&tag("likes"));
    drop(backend.subscribe(&key("a")).await.unwrap());
    named(&mut admin, "likes-service").await;
}

#[tokio::test]
async fn connections_tell_whose_they_are_and_still_do_when_they_are_new() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let backend = server.backend().await;
    drop(backend.subscribe(&key("a")).await.unwrap());
    named(&mut admin, "memolock").await;
    backend.introduce(&tag("likes"));
    named(&mut admin, "memolock:likes").await;
    backend.introduce(&tag("likes"));
    let _: i64 = admin
        .run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
        .await;
    let _: i64 = admin.run(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    named(&mut admin, "memolock:likes").await;
    backend.introduce(&tag("views"));
    named(&mut admin, "memolock:2-tags").await;
}

#[tokio::test]
async fn every_tag_makes_a_name() {
    let server = Server::start();
    let mut admin = server.admin().await;
    for (written, name) in [
        ("a b", "memolock:a%20b"),
        ("ü\n", "memolock:%C3%BC%0A"),
        ("a\r\nQUIT", "memolock:a%0D%0AQUIT"),
    ] {
        let backend = server.backend().await;
        backend.introduce(&tag(written));
        named(&mut admin, name).await;
    }
}

#[tokio::test]
async fn who_may_not_have_a_name_is_served_all_the_same() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let user = [
        "ACL",
        "SETUSER",
        "default",
        "+@all",
        "-client|setname",
        "~*",
        "&*",
    ];
    let _: () = admin.run(&user).await;
    let backend = server.backend().await;
    backend.introduce(&tag("likes"));
    assert_eq!(backend.get(&key("a")).await.unwrap(), None);
    drop(backend.subscribe(&key("a")).await.unwrap());
    eventually("it was refused", || {
        let mut admin = admin.clone();
        async move {
            let log: Vec<redis::Value> = admin.run(&["ACL", "LOG"]).await;
            !log.is_empty()
        }
    })
    .await;
    assert_eq!(backend.get(&key("a")).await.unwrap(), None);
    assert_eq!(backend.stats().reconnects, 0);
}
