//! `run`: once, however many ask; the bytes and the failures of the command are the command's own.

#![cfg(unix)]

mod common;

use std::time::Duration;

use common::{Holder, finish, memolock, on, run, server};
use memolock_testkit::{Faults, Proxy, Way};

/// Writes a line to `file` and then bytes that are neither text nor without zeros.
const BINARY: &str = r#"echo run >> "$0"; sleep 0.3; printf 'a\000b\377\n'"#;

#[tokio::test]
async fn twenty_at_once_run_the_command_once_and_print_the_same_bytes() {
    let server = server().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs");
    let file = file.to_str().unwrap();
    let args = [
        "run", "--tag", "t", "--ttl", "10s", "--", "sh", "-c", BINARY, file,
    ];
    let children: Vec<_> = (0..20)
        .map(|_| on(&server, &args).spawn().unwrap())
        .collect();
    for child in children {
        let ended = finish(child).await;
        assert_eq!(ended.succeeds().stdout, b"a\0b\xff\n");
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), "run\n");
}

#[tokio::test]
async fn a_failing_command_is_itself_and_is_not_stored() {
    let server = server().await;
    let script = "echo out; echo err >&2; exit 7";
    let args = ["run", "--id", "x", "--", "sh", "-c", script];
    for _ in 0..2 {
        let ended = run(on(&server, &args)).await;
        assert_eq!(ended.code, Some(7));
        assert_eq!((ended.text(), &*ended.stderr), ("out\n", "err\n"));
    }
    assert_eq!(run(on(&server, &["get", "--id", "x"])).await.code, Some(3));
    // Nor does its lock stay.
    let lock = server
        .command(&["EXISTS", "memolock/lock:x"])
        .await
        .unwrap();
    assert_eq!(lock.as_int(), Some(0));

    let args = ["run", "--json", "--", "sh", "-c", script];
    let ended = run(on(&server, &args)).await;
    assert_eq!(ended.code, Some(7));
    let report = ended.json();
    assert_eq!(
        (&report["outcome"], &report["value"]),
        (&"failed".into(), &"out\n".into())
    );
    assert_eq!(
        (&report["exit_code"], &report["stored"]),
        (&7.into(), &false.into())
    );
}

#[tokio::test]
async fn a_command_that_a_signal_ended_has_the_code_of_a_shell() {
    let server = server().await;
    let args = ["run", "--", "sh", "-c", "kill -TERM $$"];
    assert_eq!(run(on(&server, &args)).await.code, Some(143));
}

#[tokio::test]
async fn a_command_that_cannot_be_started_has_the_code_of_a_shell() {
    let server = server().await;
    let ended = run(on(&server, &["run", "--", "/nowhere/at-all"])).await;
    assert!(ended.fails(127).contains("/nowhere/at-all"), "{ended:?}");
    let ended = run(on(&server, &["run", "--", "/"])).await;
    assert!(ended.fails(126).contains("cannot run /"), "{ended:?}");
}

#[tokio::test]
async fn the_default_id_is_the_command_line() {
    let server = server().await;
    run(on(&server, &["run", "echo", "-n", "a  b"]))
        .await
        .succeeds();
    let value = server
        .command(&["GET", "memolock:echo -n 'a  b'"])
        .await
        .unwrap();
    assert_eq!(value, "a  b");
}

#[tokio::test]
async fn the_report_says_where_the_value_came_from() {
    let server = server().await;
    let args = ["--json", "run", "--id", "x", "--", "printf", r"\377"];
    let report = run(on(&server, &args)).await.succeeds().json();
    assert_eq!(report["outcome"], "computed");
    assert_eq!(
        (&report["value_base64"], &report["value"]),
        (&"/w==".into(), &serde_json::Value::Null)
    );
    assert!(report["elapsed_ms"].as_f64() > Some(0.0));
    let report = run(on(&server, &args)).await.succeeds().json();
    assert_eq!(report["outcome"], "hit");
    assert_eq!(report["stored"], true);
}

#[tokio::test]
async fn an_empty_output_is_a_value() {
    let server = server().await;
    let args = ["run", "--id", "x", "--json", "--", "true"];
    assert_eq!(
        run(on(&server, &args)).await.succeeds().json()["outcome"],
        "computed"
    );
    let report = run(on(&server, &args)).await.succeeds().json();
    assert_eq!(
        (&report["outcome"], &report["value"]),
        (&"hit".into(), &"".into())
    );
}

#[tokio::test]
async fn without_a_server_that_answers_the_command_runs_all_the_same() {
    let args = ["--url", "redis://127.0.0.1:1", "run", "--", "echo", "hi"];
    let ended = run(memolock(&args)).await;
    assert_eq!((ended.code, ended.text()), (Some(0), "hi\n"));
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert!(
        ended.stderr.contains("running the command without"),
        "{ended:?}"
    );

    let args = ["--url", "redis://127.0.0.1:1", "run", "sh", "-c", "exit 9"];
    assert_eq!(run(memolock(&args)).await.code, Some(9));

    let args = [
        "--url",
        "redis://127.0.0.1:1",
        "run",
        "--strict",
        "echo",
        "hi",
    ];
    let ended = run(memolock(&args)).await;
    ended.fails(1);
    assert!(ended.stdout.is_empty());
}

#[tokio::test]
async fn a_server_that_dies_meanwhile_costs_a_line_and_not_the_output() {
    let server = server().await;
    let holder = Holder::start(&server, "5s").await;
    server.kill().await.unwrap();
    let ended = holder.end("done").await;
    assert_eq!(ended.text(), "done");
    assert!(
        ended.fails(0).contains("may not be stored: the server"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_reader_that_leaves_early_is_no_failure() {
    let server = server().await;
    let args = ["run", "--", "head", "-c", "1000000", "/dev/zero"];
    let mut child = on(&server, &args).spawn().unwrap();
    drop(child.stdout.take());
    finish(child).await.succeeds();
}

/// Once "stored" was told while the output was still on its way.
#[tokio::test]
async fn a_large_output_is_told_to_be_stored_when_it_is() {
    let server = server().await;
    let target = ([127, 0, 0, 1], server.port()).into();
    let proxy = Proxy::start(target).await.unwrap();
    // 8 MB in 4 s at the least.
    let slow = Way::CLEAR.slow(64 << 10, Duration::from_millis(32));
    proxy.set(Faults::up(slow)).await;
    let url = format!("redis://{}", proxy.address());
    let script = "head -c 8000000 /dev/zero | tr '\\0' x";
    let args = ["run", "--json", "--id", "x", "--", "sh", "-c", script];
    let mut command = memolock(&args);
    command.env("MEMOLOCK_URL", &url);
    let ended = run(command).await;
    assert_eq!(ended.succeeds().json()["stored"], true);
    let stored = server.command(&["STRLEN", "memolock:x"]).await.unwrap();
    assert_eq!(stored.as_int(), Some(8_000_000));

    let most = ["CONFIG", "SET", "proto-max-bulk-len", "1mb"];
    server.command(&most).await.unwrap();
    let args = ["run", "--json", "--id", "y", "--", "sh", "-c", script];
    let ended = run(on(&server, &args)).await;
    assert_eq!(ended.json()["stored"], false);
    assert!(ended.stderr.contains("not stored"), "{}", ended.stderr);
}
