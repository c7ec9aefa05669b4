//! The commands on one value.

mod common;

use common::{backends, on, run, run_with_input, server};

fn args<'a>(command: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![command, "--tag", "likes", "--id", "x"];
    args.extend(rest);
    args
}

#[tokio::test]
async fn bytes_come_back_as_they_were_put() {
    let server = server().await;
    assert_eq!(run(on(&server, &args("get", &[]))).await.code, Some(3));
    let bytes = b"a\0b\xff\n";
    let put = on(&server, &args("put", &["-"]));
    run_with_input(put, bytes).await.succeeds();
    assert_eq!(
        run(on(&server, &args("get", &[]))).await.succeeds().stdout,
        bytes
    );
    let stored = server.command(&["GET", "likes:x"]).await.unwrap();
    assert_eq!(stored.as_bytes(), Some(&bytes[..]));
}

#[tokio::test]
async fn the_empty_value_is_there() {
    let server = server().await;
    run(on(&server, &args("put", &[""]))).await.succeeds();
    assert!(
        run(on(&server, &args("get", &[])))
            .await
            .succeeds()
            .stdout
            .is_empty()
    );
}

#[tokio::test]
async fn no_value_is_code_3_and_says_nothing() {
    let server = server().await;
    let ended = run(on(&server, &args("get", &[]))).await;
    assert_eq!(
        (ended.code, ended.text(), &*ended.stderr),
        (Some(3), "", "")
    );
    let ended = run(on(&server, &args("get", &["--json"]))).await;
    assert_eq!(ended.code, Some(3));
    assert_eq!(ended.json()["found"], false);
}

#[tokio::test]
async fn a_ttl_is_kept_and_shown() {
    let server = server().await;
    run(on(&server, &args("put", &["--ttl", "5m", "42"])))
        .await
        .succeeds();
    let ttl = server
        .command(&["PTTL", "likes:x"])
        .await
        .unwrap()
        .as_int()
        .unwrap();
    assert!((290_000..=300_000).contains(&ttl), "{ttl}");
    let seen = run(on(&server, &args("inspect", &["--json"])))
        .await
        .succeeds()
        .json();
    assert_eq!(seen["value"]["bytes"], 2);
    assert!(seen["value"]["ttl_ms"].as_f64() > Some(200_000.0), "{seen}");
    assert_eq!(seen["lock"], serde_json::Value::Null);
}

#[tokio::test]
async fn put_ends_a_lock_and_resolve_leaves_it() {
    let server = server().await;
    let lock = ["SET", "likes/lock:x", "tok", "PX", "30000"];
    let locked = ["EXISTS", "likes/lock:x"];
    for (command, left) in [("resolve", 1), ("put", 0), ("invalidate", 0)] {
        server.command(&lock).await.unwrap();
        let value: &[&str] = if command == "invalidate" { &[] } else { &["v"] };
        run(on(&server, &args(command, value))).await.succeeds();
        let locks = server.command(&locked).await.unwrap().as_int();
        assert_eq!(locks, Some(left), "{command}");
    }
    let value = server.command(&["EXISTS", "likes:x"]).await.unwrap();
    assert_eq!(value.as_int(), Some(0));
}

#[tokio::test]
async fn inspect_shows_value_and_lock() {
    let server = server().await;
    let nothing = run(on(&server, &args("inspect", &[]))).await;
    assert_eq!(
        nothing.succeeds().text(),
        "likes:x\n  value   none\n  lock    free\n"
    );

    run(on(&server, &args("put", &["hello"]))).await.succeeds();
    let lock = ["SET", "likes/lock:x", "tok\x1b", "PX", "30000"];
    server.command(&lock).await.unwrap();
    let ended = run(on(&server, &args("inspect", &[]))).await;
    let table = ended.succeeds().text();
    assert!(table.contains("value   5 bytes, expires in "), "{table}");
    assert!(
        table.contains(r"lock    held by tok\x1b, expires in "),
        "{table}"
    );
    // Looking changes nothing.
    let ttl = server.command(&["PTTL", "likes/lock:x"]).await.unwrap();
    assert!(ttl.as_int() > Some(0));
}

#[tokio::test]
async fn a_lock_without_an_end_is_odd() {
    let server = server().await;
    server
        .command(&["SET", "likes/lock:x", "tok"])
        .await
        .unwrap();
    let ended = run(on(&server, &args("inspect", &[]))).await;
    let table = ended.succeeds().text();
    assert!(
        table.contains("never expires") && table.contains("  odd "),
        "{table}"
    );
    let seen = run(on(&server, &args("inspect", &["--json"]))).await.json();
    assert_eq!(seen["lock"]["ttl_ms"], serde_json::Value::Null);
    assert_eq!(seen["oddities"].as_array().map(Vec::len), Some(1), "{seen}");
}

/// More than a computed value may have by default: what a user puts is only bounded by the server.
#[tokio::test]
async fn sixty_five_mib_are_put_and_resolved() {
    let value = vec![b'x'; 65 << 20];
    let server = server().await;
    for backend in backends() {
        for command in ["put", "resolve"] {
            let given = ["--backend", backend, "--timeout", "1m", "-"];
            let put = on(&server, &args(command, &given));
            run_with_input(put, &value).await.succeeds();
            let stored = server.command(&["STRLEN", "likes:x"]).await.unwrap();
            assert_eq!(stored.as_int(), Some(65 << 20), "{backend}: {command}");
            server.command(&["DEL", "likes:x"]).await.unwrap();
        }
    }
}
