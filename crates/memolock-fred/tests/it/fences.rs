//! What only this adapter does: finding out by itself whether a connection and a subscription stand.

use std::io::Write;
use std::time::Duration;

use futures_util::StreamExt;
use memolock_core::{Backend, ErrorKind, Event, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{PATIENCE, Server, eventually, heard, key, secs};
use crate::subject::Subject;

fn value(text: &'static str) -> Event {
    Event::Message(Message::Value(text.into()))
}

/// In front of a server: hands its answers on line by line, with a pause after each.
async fn stammering(server: u16) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            near.set_nodelay(true).unwrap();
            let (mut from_near, mut to_near) = near.into_split();
            let (mut from_far, mut to_far) = far.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_near, &mut to_far).await });
            tokio::spawn(async move {
                let mut said = [0; 4096];
                while let Ok(n @ 1..) = from_far.read(&mut said).await {
                    for line in said[..n].split_inclusive(|byte| *byte == b'\n') {
                        if to_near.write_all(line).await.is_err() {
                            return;
                        }
                        // Not to let a race pass: this is the race.
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                }
            });
        }
    });
    port
}

async fn ann(server: &Server, rules: &[&str]) {
    let mut admin = server.admin().await;
    let user = ["ACL", "SETUSER", "ann", "on", ">pw", "~*", "+@all"];
    let _: () = admin.run(&[&user, rules].concat()).await;
}

#[tokio::test]
async fn a_refusal_whose_stray_answer_comes_late_spoils_nothing() {
    let server = Server::start();
    ann(&server, &["&likes/*:ok*"]).await;
    let port = stammering(server.port()).await;
    let backend = Subject::builder(format!("redis://ann:pw@127.0.0.1:{port}"))
        .connect_timeout(PATIENCE)
        .command_timeout(PATIENCE)
        .heartbeat(Duration::from_millis(5))
        .connect()
        .await
        .unwrap();
    let mut admin = server.admin().await;
    // The subscription connection comes up by itself; a refusal before that would be another story.
    let mut steady = backend.subscribe(&key("ok")).await.unwrap();
    for round in 0..10 {
        let refused = backend.subscribe(&key("no")).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
        let fine = key(&format!("ok{round}"));
        let mut listener = backend.subscribe(&fine).await.unwrap();
        admin.publish(&fine.notif_channel(), b"v").await;
        assert_eq!(heard(&mut listener).await, value("v"));
    }
    admin.publish("likes/notif:ok", b"w").await;
    assert_eq!(heard(&mut steady).await, value("w"), "and no gap before it");
    assert_eq!(backend.stats().reconnects, 0);
}

/// fred drops a refusal that finds nothing in flight: the fence behind it said that the subscription stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_never_taken_for_a_subscription() {
    let server = Server::start();
    ann(&server, &["&likes/*:ok*"]).await;
    let url = format!("redis://ann:pw@127.0.0.1:{}", server.port());
    let backend = Subject::connect(url).await.unwrap();
    let _steady = backend.subscribe(&key("ok")).await.unwrap();
    for round in 0..2000 {
        match backend.subscribe(&key(&format!("no{round}"))).await {
            Err(refused) => assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}"),
            Ok(_) => panic!("round {round}: a refusal is taken for a subscription"),
        }
    }
    assert_eq!(backend.stats().reconnects, 0);
}

#[tokio::test]
async fn who_may_not_unsubscribe_can_go_on() {
    let server = Server::start();
    ann(&server, &["&*", "-unsubscribe"]).await;
    let url = format!("redis://ann:pw@127.0.0.1:{}", server.port());
    let backend = Subject::connect(url).await.unwrap();
    let mut admin = server.admin().await;
    for round in 0..20 {
        let key = key(&round.to_string());
        let mut listener = backend.subscribe(&key).await.unwrap();
        admin.publish(&key.notif_channel(), b"v").await;
        assert_eq!(heard(&mut listener).await, value("v"));
    }
    eventually("all are given up", || async {
        backend.stats().subscriptions == 0
    })
    .await;
    assert_eq!(backend.stats().reconnects, 0);
}

#[tokio::test]
async fn a_flood_is_a_gap_and_not_the_end() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut listener = backend.subscribe(&key("a")).await.unwrap();
    let flood = "PUBLISH likes/notif:a flood\r\n".repeat(20_000);
    // Nothing of ours runs meanwhile: there is one thread, and it is this one.
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let mut answers = stream.try_clone().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
    stream.write_all(flood.as_bytes()).unwrap();
    stream.write_all(b"QUIT\r\n").unwrap();
    reader.join().unwrap().unwrap();

    let mut admin = server.admin().await;
    let mut events = Vec::new();
    // Floods make gaps; when the last of them is over, this is heard.
    while events.last() != Some(&value("after")) {
        admin.publish("likes/notif:a", b"after").await;
        while let Ok(event) = tokio::time::timeout(secs(1), listener.next()).await {
            events.push(event.unwrap());
            if events.last() == Some(&value("after")) {
                break;
            }
        }
    }
    assert!(events.contains(&Event::Gap) && events.contains(&Event::Resumed));
}

#[tokio::test]
async fn a_greeting_that_is_cut_off_is_no_connection() {
    for said in ["", "+OK\r\n", "%0\r\n"] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(said.as_bytes()).await;
            }
        });
        let url = format!("redis://:hunter2@127.0.0.1:{port}");
        let error = Subject::connect(url).await.unwrap_err();
        assert!(error.is_outage(), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
