//! `run` as a peer among others: it waits for whoever holds the lock, and takes over from the dead.

#![cfg(unix)]

mod common;

use std::time::{Duration, Instant};

use common::{Holder, finish, on, run, sees, server};
use memolock_testkit::TestServer;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

const WAITING: [&str; 9] = [
    "run", "--tag", "likes", "--id", "x", "--json", "--", "echo", "own",
];

/// A lock as a peer in another language takes it.
async fn lock(server: &TestServer, ms: &str) {
    let set = ["SET", "likes/lock:x", "tok", "NX", "PX", ms];
    assert_eq!(server.command(&set).await.expect("a reply"), "OK");
}

/// Starts a `run` and waits until it waits.
async fn waiting(server: &TestServer) -> Child {
    let mut monitor = server.monitor().await.expect("a monitor");
    let child = on(server, &WAITING).spawn().expect("the binary");
    sees(&mut monitor, "SUBSCRIBE").await;
    child
}

fn signal(child: &Child, signal: Signal) {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let process = id.and_then(Pid::from_raw).expect("a child that lives");
    kill_process(process, signal).expect("it lives");
}

async fn locks(server: &TestServer) -> Option<i64> {
    let reply = server.command(&["EXISTS", "likes/lock:x"]).await;
    reply.expect("a reply").as_int()
}

#[tokio::test]
async fn it_waits_for_a_peer_and_prints_what_that_publishes() {
    let server = server().await;
    lock(&server, "30000").await;
    let child = waiting(&server).await;
    server
        .command(&["SET", "likes:x", "hello", "EX", "60"])
        .await
        .unwrap();
    server
        .command(&["PUBLISH", "likes/notif:x", "hello"])
        .await
        .unwrap();
    let report = finish(child).await.succeeds().json();
    assert_eq!(report["outcome"], "waited");
    assert_eq!(report["value"], "hello");
}

#[tokio::test]
async fn resolve_answers_those_who_wait_and_leaves_the_lock() {
    let server = server().await;
    lock(&server, "30000").await;
    let child = waiting(&server).await;
    let args = ["resolve", "--tag", "likes", "--id", "x", "hello"];
    run(on(&server, &args)).await.succeeds();
    assert_eq!(finish(child).await.succeeds().json()["value"], "hello");
    assert_eq!(locks(&server).await, Some(1));
}

#[tokio::test]
async fn it_takes_over_when_a_peers_lock_expires() {
    let server = server().await;
    lock(&server, "500").await;
    let report = run(on(&server, &WAITING)).await.succeeds().json();
    assert_eq!(
        (&report["outcome"], &report["value"]),
        (&"computed".into(), &"own\n".into())
    );
}

#[tokio::test]
async fn invalidate_lets_one_who_waits_go_on() {
    let server = server().await;
    lock(&server, "30000").await;
    let child = waiting(&server).await;
    let args = ["invalidate", "--tag", "likes", "--id", "x"];
    run(on(&server, &args)).await.succeeds();
    assert_eq!(finish(child).await.succeeds().json()["outcome"], "computed");
}

#[tokio::test]
async fn its_patience_ends_with_code_4() {
    let server = server().await;
    lock(&server, "30000").await;
    let mut args = vec!["run", "--wait", "200ms"];
    args.extend(&WAITING[1..]);
    let ended = run(on(&server, &args)).await;
    let line = ended.fails(4);
    assert!(line.contains("likes:x") && line.contains("200ms"), "{line}");
    assert!(ended.stdout.is_empty());
}

#[tokio::test]
async fn a_run_that_is_killed_is_taken_over_when_its_lease_ends() {
    let server = server().await;
    let mut holder = Holder::start(&server, "2s").await;
    // Its command outlives it, and ends when this test drops this.
    let _stdin = holder.child.stdin.take();
    let waiter = waiting(&server).await;
    signal(&holder.child, Signal::KILL);
    let killed = Instant::now();
    let left = server.command(&["PTTL", "likes/lock:x"]).await.unwrap();
    let left = Duration::from_millis(left.as_int().unwrap().try_into().unwrap());
    let report = finish(waiter).await.succeeds().json();
    assert_eq!(
        (&report["outcome"], &report["value"]),
        (&"computed".into(), &"own\n".into())
    );
    let late = killed.elapsed().saturating_sub(left);
    eprintln!("took over, ran and ended {late:?} after the lease of {left:?} had ended");
    assert!(late < Duration::from_secs(10), "{late:?}");
}

#[tokio::test]
async fn a_run_that_is_interrupted_ends_its_command_and_releases_the_lock() {
    let server = server().await;
    for (sent, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let mut holder = Holder::start(&server, "30s").await;
        let _stdin = holder.child.stdin.take();
        let waiter = waiting(&server).await;
        signal(&holder.child, sent);
        // This waits for the command, too.
        holder.finish().await.fails(code);
        // Long before the lease's end: it was released.
        assert_eq!(
            finish(waiter).await.succeeds().json()["outcome"],
            "computed"
        );
        assert_eq!(locks(&server).await, Some(0));
        server.command(&["DEL", "likes:x"]).await.unwrap();
    }
}

#[tokio::test]
async fn a_waiting_run_can_be_interrupted() {
    let server = server().await;
    lock(&server, "30000").await;
    for (sent, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let child = waiting(&server).await;
        signal(&child, sent);
        finish(child).await.fails(code);
    }
    // It was the other's, and still is.
    assert_eq!(locks(&server).await, Some(1));
}

#[tokio::test]
async fn a_lost_lease_is_said_and_the_output_printed() {
    let server = server().await;
    let holder = Holder::start(&server, "30s").await;
    let put = ["put", "--tag", "likes", "--id", "x", "other"];
    run(on(&server, &put)).await.succeeds();
    let ended = holder.end("done").await;
    assert_eq!(ended.text(), "done");
    assert!(
        ended.fails(0).contains("not stored: the lease was lost"),
        "{ended:?}"
    );
    let get = ["get", "--tag", "likes", "--id", "x"];
    assert_eq!(run(on(&server, &get)).await.succeeds().text(), "other");
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended_and_the_lock_released() {
    let server = server().await;
    let mut args = vec![
        "run",
        "--compute-timeout",
        "300ms",
        "--tag",
        "likes",
        "--id",
        "x",
    ];
    args.extend([
        "--",
        "sh",
        "-c",
        "trap 'kill $!; exit 0' TERM; echo begun; sleep 600 & wait",
    ]);
    let begun = Instant::now();
    let ended = run(on(&server, &args)).await;
    let line = ended.fails(124);
    assert!(
        line.contains("the command took longer than 300ms"),
        "{line}"
    );
    assert!(ended.stdout.is_empty());
    assert!(
        begun.elapsed() < Duration::from_secs(300),
        "it does not wait for the end"
    );
    assert_eq!(locks(&server).await, Some(0));
    let stored = server.command(&["EXISTS", "likes:x"]).await.unwrap();
    assert_eq!(stored.as_int(), Some(0));
}

/// R16, where a user asks for it; without it a run has its lock for as long as it takes.
#[tokio::test]
async fn r16_a_run_keeps_its_lock_for_as_long_as_it_may() {
    let server = server().await;
    let mut args = vec![
        "run",
        "--lease",
        "500ms",
        "--max-lease",
        "1s",
        "--tag",
        "likes",
        "--id",
        "x",
    ];
    let folder = tempfile::tempdir().unwrap();
    let ends = folder.path().join("ends");
    let script = "echo held; until [ -e \"$0\" ]; do sleep 0.05; done; echo late";
    args.extend(["--", "sh", "-c", script, ends.to_str().unwrap()]);
    let holder = on(&server, &args).spawn().unwrap();
    while locks(&server).await != Some(1) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let own = [
        "run", "--tag", "likes", "--id", "x", "--json", "--", "echo", "own",
    ];
    let report = run(on(&server, &own)).await.succeeds().json();
    assert_eq!(
        (&report["outcome"], &report["value"]),
        (&"computed".into(), &"own\n".into())
    );
    std::fs::write(&ends, "").unwrap();
    let ended = finish(holder).await;
    assert_eq!(ended.text(), "held\nlate\n", "its user has its output");
    assert!(
        ended.fails(0).contains("not stored: the lease was lost"),
        "{ended:?}"
    );
}
