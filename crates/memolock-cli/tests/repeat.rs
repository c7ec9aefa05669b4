//! `--repeat-notice`: what is stored is published once more before the process ends.

// Helpers are not test functions to the lint, and a failed one is a failed test.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{memolock, on, run, run_with_input, server};
use memolock_testkit::{Connection, TestServer};

/// Long enough to be told from a process that does not wait.
const AFTER: &str = "700ms";

async fn listen(server: &TestServer) -> Connection {
    let mut ear = server.connect().await.unwrap();
    let pattern = ["PSUBSCRIBE", "likes/notif:*"];
    ear.command(&pattern).await.unwrap();
    ear
}

/// How often the value was published until now.
async fn published(server: &TestServer, ear: &mut Connection, value: &str) -> usize {
    let end = ["PUBLISH", "likes/notif:end", "end"];
    server.command(&end).await.unwrap();
    let mut heard = 0;
    loop {
        let message = ear.read().await.unwrap();
        match message.items()[3].as_str() {
            Some("end") => return heard,
            other => assert_eq!(other, Some(value)),
        }
        heard += 1;
    }
}

fn words<'a>(command: &'a str, id: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec![command, "--tag", "likes", "--id", id];
    words.extend(rest);
    words
}

#[tokio::test]
async fn put_resolve_and_run_stay_until_the_value_is_told_again() {
    let server = server().await;
    for backend in ["redis-rs", "redis-rs-pooled", "fred"] {
        if !known(backend).await {
            continue;
        }
        let mut ear = listen(&server).await;
        let repeat = ["--backend", backend, "--repeat-notice", AFTER];
        let put = [&repeat[..], &["42"]].concat();
        let run_it = [&repeat[..], &["--", "printf", "42"]].concat();
        for (command, rest) in [("put", &put), ("resolve", &put), ("run", &run_it)] {
            let id = format!("{command} over {backend}");
            let began = Instant::now();
            let ended = run(on(&server, &words(command, &id, rest))).await;
            ended.succeeds();
            assert!(began.elapsed() >= Duration::from_millis(700), "{id}");
            assert_eq!(ended.text(), if command == "run" { "42" } else { "" });
            assert_eq!(published(&server, &mut ear, "42").await, 2, "{id}");
        }
        // What is stored already is not told again, and nothing is waited for.
        let id = format!("run over {backend}");
        run(on(&server, &words("run", &id, &run_it)))
            .await
            .succeeds();
        assert_eq!(published(&server, &mut ear, "42").await, 0);
    }
}

#[tokio::test]
async fn without_it_a_value_is_told_once() {
    let server = server().await;
    let mut ear = listen(&server).await;
    run(on(&server, &words("put", "x", &["42"])))
        .await
        .succeeds();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(published(&server, &mut ear, "42").await, 1);
}

#[tokio::test]
async fn the_empty_value_is_told_again_too() {
    let server = server().await;
    let mut ear = listen(&server).await;
    let put = on(
        &server,
        &words("put", "x", &["--repeat-notice", "1ms", "-"]),
    );
    run_with_input(put, b"").await.succeeds();
    assert_eq!(published(&server, &mut ear, "").await, 2);
}

#[tokio::test]
async fn it_is_refused_where_it_would_do_nothing() {
    let server = server().await;
    for time in ["0s", "61s"] {
        let words = words("put", "x", &["--repeat-notice", time, "42"]);
        let ended = run(on(&server, &words)).await;
        assert!(ended.fails(2).contains("repeat_notice"), "{ended:?}");
    }
    let stored = server.command(&["GET", "likes:x"]).await.unwrap();
    assert!(stored.is_nil());
    for backend in ["memory", "postgres"] {
        if !known(backend).await {
            continue;
        }
        let rest = [
            "--backend",
            backend,
            "--url",
            "postgres://127.0.0.1:1/x",
            "--repeat-notice",
        ];
        for (command, more) in [("put", ["100ms", "42"]), ("run", ["100ms", "true"])] {
            let words = words(command, "x", &[&rest[..], &more].concat());
            let ended = run(memolock(&words)).await;
            assert!(ended.fails(2).contains("--repeat-notice"), "{ended:?}");
        }
    }
}

/// Whether this binary was built with that backend.
async fn known(backend: &str) -> bool {
    let help = run(memolock(&["get", "--help"])).await;
    help.text().contains(backend)
}
