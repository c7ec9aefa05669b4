//! Connections that break, servers that hang, restart or stay away.

use std::time::{Duration, Instant};

use memolock_core::{
    Acquired, Backend, BackendError, ErrorKind, Event, Message, PutMode, Subscription,
};

use crate::server::{PATIENCE, Server, eventually, heard, key, secs, token};
use crate::subject::Subject;

const SHORT: Duration = Duration::from_millis(300);

/// Time-outs and heartbeats that let a test of a hang take a second.
async fn brisk(server: &Server) -> Subject {
    let builder = Subject::builder(server.url())
        .connect_timeout(SHORT)
        .command_timeout(SHORT)
        .heartbeat(Duration::from_millis(50))
        .reconnect_delay(Duration::from_millis(5), Duration::from_millis(50));
    // The bounds are short for this machine when it is busy: be patient at the start.
    let deadline = Instant::now() + PATIENCE;
    loop {
        match builder.clone().connect().await {
            Ok(backend) => return backend,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

async fn subscribed(backend: &Subject, id: &str) -> Subscription {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match backend.subscribe(&key(id)).await {
            Ok(subscription) => return subscription,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

async fn gap_and_back(listener: &mut Subscription) {
    assert_eq!(heard(listener).await, Event::Gap);
    assert_eq!(heard(listener).await, Event::Resumed);
}

/// Published after the listener has resumed, so it is heard.
async fn flows(server: &Server, listener: &mut Subscription, id: &str) {
    let mut admin = server.admin().await;
    assert_eq!(admin.publish(&key(id).notif_channel(), b"after").await, 1);
    // The heartbeat of a busy machine may have made another gap meanwhile.
    loop {
        match heard(listener).await {
            Event::Message(message) => {
                assert_eq!(message, Message::Value("after".into()));
                return;
            }
            Event::Gap => panic!("a second gap"),
            Event::Resumed => {}
        }
    }
}

fn lost(error: &BackendError) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}

#[tokio::test]
async fn a_killed_command_connection_is_no_outage() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let mut listener = backend.subscribe(&key("a")).await.unwrap();
    for round in 1..=5 {
        let killed: i64 = admin.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        assert_eq!(killed, 1);
        // At most the command that was in flight fails; the link is never found down.
        if let Err(error) = backend.get(&key("a")).await {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.to_string().contains("connection was lost"), "{error}");
        }
        eventually("a reconnect", || async {
            backend.stats().reconnects == round
        })
        .await;
        assert_eq!(backend.get(&key("a")).await.unwrap(), None);
    }
    // The other connection did not notice.
    admin.publish("likes/notif:a", b"after").await;
    assert_eq!(
        heard(&mut listener).await,
        Event::Message(Message::Value("after".into()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_a_kill_fails_only_what_was_in_flight() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let until = Instant::now() + Duration::from_millis(600);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let backend = backend.clone();
            tokio::spawn(async move {
                let (mut fine, mut failed) = (0_u64, 0_u64);
                while Instant::now() < until {
                    match backend.get(&key("a")).await {
                        Ok(_) => fine += 1,
                        Err(error) => {
                            assert!(lost(&error) && error.is_ambiguous(), "{error}");
                            // Else a kill hit an attempt to reconnect: then they fail fast.
                            failed += u64::from(error.detail() == "the connection was lost");
                        }
                    }
                }
                (fine, failed)
            })
        })
        .collect();
    let mut kills = 0;
    while Instant::now() < until - Duration::from_millis(100) {
        let killed: u64 = admin.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        kills += killed;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (mut fine, mut failed) = (0, 0);
    for task in tasks {
        let (f, x) = task.await.unwrap();
        (fine, failed) = (fine + f, failed + x);
    }
    assert!(
        kills >= 2 && fine > 0,
        "{kills} kills, {fine} fine, {failed} failed"
    );
    // Each task has one command in flight, so that is what a kill can fail. One more may meet the
    // dead connection on a machine so busy that the break is noticed late.
    assert!(
        failed <= kills * 32,
        "{failed} of {fine} failed after {kills} kills"
    );
}

#[tokio::test]
async fn a_command_in_flight_on_a_killed_connection_is_not_sent_again() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    // Holds up scripts that write, and nothing else.
    let _: () = admin.run(&["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let putting = tokio::spawn({
        let backend = backend.clone();
        async move {
            let key = key("a");
            let put = backend.put(&key, "v".into(), secs(60), PutMode::Override);
            put.await
        }
    });
    eventually("it is held up", || async {
        let mut admin = server.admin().await;
        let info: String = admin.run(&["INFO", "clients"]).await;
        info.contains("blocked_clients:1")
    })
    .await;
    let _: i64 = admin.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    let error = putting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.is_ambiguous());
    let _: () = admin.run(&["CLIENT", "UNPAUSE"]).await;
    // Over the new connection, behind whatever was sent there first.
    eventually("it is back", || async {
        backend.get(&key("a")).await.is_ok()
    })
    .await;
    assert_eq!(backend.get(&key("a")).await.unwrap(), None);
}

#[tokio::test]
async fn a_killed_subscription_connection_is_a_gap() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let mut one = backend.subscribe(&key("a")).await.unwrap();
    let mut two = backend.subscribe(&key("b")).await.unwrap();
    for _ in 0..3 {
        let killed: i64 = admin.run(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        assert_eq!(killed, 1);
        gap_and_back(&mut one).await;
        gap_and_back(&mut two).await;
        flows(&server, &mut one, "a").await;
        flows(&server, &mut two, "b").await;
    }
    assert_eq!(backend.stats().reconnects, 3);
    assert_eq!(backend.get(&key("a")).await.unwrap(), None);
}

#[tokio::test]
async fn a_quiet_subscription_connection_is_rebuilt_quietly() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    drop(backend.subscribe(&key("a")).await.unwrap());
    eventually("nobody listens", || async {
        backend.stats().subscriptions == 0
    })
    .await;
    // Without subscriptions it is a normal one, like the other.
    let killed: i64 = admin.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    assert_eq!(killed, 2);
    eventually("both are back", || async {
        backend.stats().reconnects == 2
    })
    .await;
    let mut listener = backend.subscribe(&key("a")).await.unwrap();
    flows(&server, &mut listener, "a").await;
}

#[tokio::test]
async fn a_hung_server_gives_bounded_errors_and_recovers() {
    let server = Server::start();
    let backend = brisk(&server).await;
    let mut listener = subscribed(&backend, "a").await;
    server.signal("-STOP");

    let since = Instant::now();
    while since.elapsed() < secs(2) {
        let asked = Instant::now();
        let error = backend.get(&key("a")).await.unwrap_err();
        assert!(lost(&error), "{error}");
        assert!(asked.elapsed() < SHORT * 5, "{:?}", asked.elapsed());
        let asked = Instant::now();
        if let Err(error) = backend.subscribe(&key("b")).await {
            assert!(lost(&error), "{error}");
        }
        assert!(asked.elapsed() < SHORT * 5, "{:?}", asked.elapsed());
    }
    // The heartbeat noticed: the listener knows that it is deaf.
    assert_eq!(heard(&mut listener).await, Event::Gap);
    // And by now nobody waits in vain any more.
    let asked = Instant::now();
    assert_eq!(
        backend.get(&key("a")).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    assert!(asked.elapsed() < SHORT, "{:?}", asked.elapsed());

    server.signal("-CONT");
    eventually("commands are answered", || async {
        backend.get(&key("a")).await.is_ok()
    })
    .await;
    assert_eq!(heard(&mut listener).await, Event::Resumed);
    flows(&server, &mut listener, "a").await;
    assert!(backend.stats().reconnects >= 2);
}

#[tokio::test]
async fn a_command_that_times_out_has_the_connections_checked_at_once() {
    let server = Server::start();
    // The heartbeat alone would notice in an hour.
    let backend = Subject::builder(server.url())
        .command_timeout(SHORT)
        .connect_timeout(SHORT)
        .heartbeat(secs(3600))
        .connect()
        .await
        .unwrap();
    let mut listener = subscribed(&backend, "a").await;
    server.signal("-STOP");
    let error = backend.get(&key("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(heard(&mut listener).await, Event::Gap);
    server.signal("-CONT");
    assert_eq!(heard(&mut listener).await, Event::Resumed);
    eventually("commands are answered", || async {
        backend.get(&key("a")).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_slow_server_is_not_a_dead_one() {
    let server = Server::start();
    // The script takes a fraction of a second, or more where many tests share the processor.
    let builder = Subject::builder(server.url()).command_timeout(PATIENCE);
    let backend = builder
        .heartbeat(Duration::from_millis(20))
        .connect()
        .await
        .unwrap();
    let mut admin = server.admin().await;
    let busy = "local n = 0; for i = 1, 3e7 do n = n + i end; return n";
    let _: f64 = admin.run(&["EVAL", busy, "0"]).await;
    assert_eq!(backend.get(&key("a")).await.unwrap(), None);
    assert_eq!(backend.stats().reconnects, 0);
    assert!(backend.stats().commands > 1, "{:?}", backend.stats());
}

#[tokio::test]
async fn a_server_that_stays_away_fails_fast_until_it_is_back() {
    let mut server = Server::start();
    let backend = server.backend().await;
    let mut listener = backend.subscribe(&key("a")).await.unwrap();
    backend
        .put(&key("a"), "v".into(), secs(60), PutMode::Override)
        .await
        .unwrap();
    heard(&mut listener).await;
    server.stop();
    eventually("it is down", || async {
        backend.get(&key("a")).await.is_err()
    })
    .await;
    eventually("and known to be", || async {
        let error = backend.get(&key("a")).await.unwrap_err();
        error.to_string().contains("refused") && backend.subscribe(&key("b")).await.is_err()
    })
    .await;

    let asked = Instant::now();
    for _ in 0..1000 {
        let error = backend.get(&key("a")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let error = backend.subscribe(&key("b")).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    assert!(
        asked.elapsed() < secs(2),
        "not at once: {:?}",
        asked.elapsed()
    );

    server.restart();
    eventually("it is back", || async {
        backend.get(&key("a")).await.is_ok()
    })
    .await;
    // The new process knows neither values nor scripts nor listeners.
    assert_eq!(backend.get(&key("a")).await.unwrap(), None);
    let acquired = backend.acquire(&key("a"), token(1), secs(5)).await.unwrap();
    assert_eq!(acquired, Acquired::Granted);
    gap_and_back(&mut listener).await;
    flows(&server, &mut listener, "a").await;
}

#[tokio::test]
async fn while_the_password_is_wrong_it_says_so_and_then_recovers() {
    let server = Server::start();
    let backend = server.backend().await;
    let mut admin = server.admin().await;
    let _: () = admin
        .run(&["CONFIG", "SET", "requirepass", "hunter2"])
        .await;
    let _: () = admin.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    eventually("denied", || async {
        matches!(backend.get(&key("a")).await, Err(e) if e.kind() == ErrorKind::Denied)
    })
    .await;
    let _: () = admin.run(&["CONFIG", "SET", "requirepass", ""]).await;
    eventually("let in", || async { backend.get(&key("a")).await.is_ok() }).await;
}

#[tokio::test]
async fn listeners_that_come_during_an_outage_are_served_after_it() {
    let mut server = Server::start();
    let backend = server.backend().await;
    let mut old = backend.subscribe(&key("old")).await.unwrap();
    server.stop();
    assert_eq!(heard(&mut old).await, Event::Gap);
    drop(old);
    server.restart();
    let mut new = subscribed(&backend, "new").await;
    flows(&server, &mut new, "new").await;
    let mut admin = server.admin().await;
    assert_eq!(
        admin.listeners("likes/notif:old").await,
        0,
        "who left meanwhile stays away"
    );
}
