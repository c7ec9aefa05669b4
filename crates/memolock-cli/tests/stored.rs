//! Whether an output was stored: what is said is what is true, also where the reply was lost.

#![cfg(unix)]

mod common;

use std::time::Duration;

use common::{Holder, PATIENCE, backends, memolock, on, run, server};
use memolock_testkit::suite::Line;
use memolock_testkit::{End, Faults, Proxy, TestServer, Value, Way};
use tokio::time::{sleep, timeout};

/// A line to the server that can be broken. The server knows the scripts: each needs one command and one reply.
async fn proxied(server: &TestServer) -> (Proxy, String) {
    let warm = ["run", "--id", "warm", "true"];
    run(on(server, &warm)).await.succeeds();
    let target = ([127, 0, 0, 1], server.port()).into();
    let proxy = Proxy::start(target).await.expect("a proxy");
    let url = format!("redis://{}", proxy.address());
    (proxy, url)
}

/// Waits until the server has this value.
async fn has(server: &TestServer, value: &str) {
    let seen = async {
        while server.command(&["GET", "likes:x"]).await.expect("a reply") != value {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, seen).await.expect("it is stored");
}

/// The server stores the output, and its reply never arrives: neither "not stored" nor `false` may be said.
#[tokio::test]
async fn an_output_that_was_stored_is_not_reported_as_not_stored_after_a_lost_reply() {
    // A pool sees whether a connection is alive before it lends it: nothing is sent over such a line.
    for backend in backends()
        .into_iter()
        .filter(|name| *name != "redis-rs-pooled")
    {
        let server = server().await;
        let (proxy, url) = proxied(&server).await;
        let options = ["--backend", backend, "--json", "--lease", "1m"];
        let holder = Holder::begin(&url, &options).await;
        proxy.set(Faults::down(Way::CLEAR.vanishing())).await;
        let lose = async {
            has(&server, "done").await;
            proxy.sever(End::Close).await;
            proxy.heal().await;
        };
        let (ended, ()) = tokio::join!(holder.end("done"), lose);
        let report = ended.succeeds().json();
        assert_eq!(
            (&report["stored"], &report["value"]),
            (&true.into(), &"done".into()),
            "{backend}"
        );
    }
}

/// The reply is lost and something else is stored by then: it is not ours.
#[tokio::test]
async fn another_value_in_its_place_is_not_ours() {
    let server = server().await;
    let (proxy, url) = proxied(&server).await;
    let holder = Holder::begin(&url, &["--json", "--lease", "1m"]).await;
    proxy.set(Faults::down(Way::CLEAR.vanishing())).await;
    let lose = async {
        has(&server, "done").await;
        // As long as the other.
        let put = ["put", "--tag", "likes", "--id", "x", "gone"];
        run(on(&server, &put)).await.succeeds();
        proxy.sever(End::Close).await;
        proxy.heal().await;
    };
    let (ended, ()) = tokio::join!(holder.end("done"), lose);
    assert!(
        ended.fails(0).contains("the output was not stored"),
        "{ended:?}"
    );
    assert_eq!(ended.json()["stored"], false);
}

#[tokio::test]
async fn what_a_full_server_refuses_is_not_stored() {
    let server = server().await;
    let holder = Holder::begin(server.url(), &["--json"]).await;
    server
        .command(&["CONFIG", "SET", "maxmemory", "1"])
        .await
        .expect("a setting");
    let ended = holder.end("done").await;
    assert!(
        ended
            .fails(0)
            .contains("not stored: the server did not take it"),
        "{ended:?}"
    );
    assert_eq!(ended.json()["stored"], false);
}

/// What is stored by a later try, in the background, is stored.
#[tokio::test]
async fn what_is_refused_for_a_moment_is_stored_and_reported_as_stored() {
    for backend in backends() {
        let server = server().await;
        let options = ["--backend", backend, "--json", "--lease", "1m"];
        let holder = Holder::begin(server.url(), &options).await;
        let replicas = async |n| {
            let set = ["CONFIG", "SET", "min-replicas-to-write", n];
            server.command(&set).await.expect("a setting");
        };
        replicas("1").await;
        let mend = async {
            let refused = async {
                loop {
                    let info = server
                        .command(&["INFO", "errorstats"])
                        .await
                        .expect("a reply");
                    if info
                        .as_str()
                        .is_some_and(|info| info.contains("errorstat_NOREPLICAS"))
                    {
                        return;
                    }
                    sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(PATIENCE, refused).await.expect("it is refused");
            replicas("0").await;
        };
        let (ended, ()) = tokio::join!(holder.end("done"), mend);
        assert_eq!(ended.succeeds().json()["stored"], true, "{backend}");
        has(&server, "done").await;
    }
}

#[tokio::test]
async fn a_server_that_is_gone_leaves_it_open() {
    let server = server().await;
    let holder = Holder::begin(server.url(), &["--json"]).await;
    server.kill().await.expect("it is ours");
    let ended = holder.end("done").await;
    assert!(ended.fails(0).contains("may not be stored"), "{ended:?}");
    let report = ended.json();
    assert_eq!(
        (&report["stored"], &report["value"]),
        (&serde_json::Value::Null, &"done".into())
    );
}

/// 200 MB, with the time-out that there is by default: it may be too short, and what is said is true then too.
#[tokio::test]
async fn what_is_said_of_200_mb_is_true() {
    const BYTES: &str = "200000000";
    let server = server().await;
    let args = ["run", "--id", "x", "--", "head", "-c", BYTES, "/dev/zero"];
    let ended = run(on(&server, &args)).await;
    assert_eq!(
        (ended.code, ended.stdout.len().to_string()),
        (Some(0), BYTES.into())
    );
    let stored = server
        .command(&["STRLEN", "memolock:x"])
        .await
        .expect("a reply");
    match stored.as_int() {
        Some(0) => assert!(ended.stderr.contains("stored"), "{}", ended.stderr),
        _ => assert_eq!(ended.stderr, ""),
    }
}

#[tokio::test]
async fn with_time_enough_200_mb_are_stored_and_found() {
    const BYTES: &str = "200000000";
    let server = server().await;
    let folder = tempfile::tempdir().expect("a folder");
    let runs = folder.path().join("runs");
    let script = "echo run >> \"$0\"; head -c \"$1\" /dev/zero";
    let run_it = [
        "run",
        "--timeout",
        "1m",
        "--id",
        "x",
        "--",
        "sh",
        "-c",
        script,
    ];
    let args = [&run_it[..], &[runs.to_str().expect("UTF-8"), BYTES]].concat();
    for outcome in ["stored", "found"] {
        let ended = run(on(&server, &args)).await;
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{outcome}");
        assert_eq!(ended.stdout.len().to_string(), BYTES, "{outcome}");
        let stored = server
            .command(&["STRLEN", "memolock:x"])
            .await
            .expect("a reply");
        assert_eq!(
            stored.as_int().map(|n| n.to_string()).as_deref(),
            Some(BYTES)
        );
    }
    assert_eq!(std::fs::read_to_string(runs).expect("its runs"), "run\n");
}

/// Every reply is late by more than a second.
#[tokio::test]
async fn a_slow_store_is_waited_for_as_long_as_the_time_out_says() {
    let server = server().await;
    let (proxy, url) = proxied(&server).await;
    proxy
        .set(Faults::down(
            Way::CLEAR.late(Duration::from_millis(1500), Duration::ZERO),
        ))
        .await;
    let get = |backend: &'static str, more: &[&str]| {
        let common = ["--url", &url, "--backend", backend, "get", "--id", "x"];
        run(memolock(&[&common[..], more].concat()))
    };
    for backend in backends() {
        let (hasty, patient) = tokio::join!(get(backend, &[]), get(backend, &["--timeout", "1m"]));
        hasty.fails(1);
        assert_eq!((patient.code, &*patient.stderr), (Some(3), ""), "{backend}");
    }
}

/// A server that takes away the right to scripts answers: the lock is given back when it grants the right again.
#[tokio::test]
async fn a_lock_is_given_back_when_the_right_to_is_granted_again() {
    for backend in backends() {
        let server = server().await;
        let url = format!("redis://127.0.0.1:{}", server.port());
        let options = ["--backend", backend, "--json", "--lease", "1m"];
        let holder = Holder::begin(&url, &options).await;
        let user = async |rights: &[&str]| {
            let command = [&["ACL", "SETUSER", "default"], rights].concat();
            server.command(&command).await.expect("a reply");
        };
        user(&["-eval", "-evalsha"]).await;
        let grant = async {
            let log = ["ACL", "LOG"];
            let refused = async {
                while server.command(&log).await.expect("a reply") == Value::Array(Vec::new()) {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(PATIENCE, refused).await.expect("it is refused");
            user(&["+eval", "+evalsha"]).await;
        };
        let (ended, ()) = tokio::join!(holder.end("done"), grant);
        let said = "the output was not stored: the server did not take it (-v says why)";
        assert_eq!(ended.fails(0), said, "{backend}");
        assert_eq!(ended.json()["value"], "done", "{backend}");
        let lock = server.command(&["EXISTS", "likes/lock:x"]).await;
        assert_eq!(lock.expect("a reply"), Value::Integer(0), "{backend}");
    }
}
