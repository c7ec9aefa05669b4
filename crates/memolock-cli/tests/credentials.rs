//! As whom the binary logs in, and in which database: as the URL says, over every backend for Redis.

#![cfg(unix)]

mod common;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use common::{Ended, memolock, run, server};

const BACKENDS: [&str; 3] = ["redis-rs", "redis-rs-pooled", "fred"];

/// By the environment, as the help advises.
async fn get(backend: &str, url: impl AsRef<OsStr>, id: &str) -> Ended {
    let mut command = memolock(&["--backend", backend, "--tag", "likes", "get", "--id", id]);
    command.env("MEMOLOCK_URL", url);
    run(command).await
}

#[tokio::test]
async fn a_user_without_a_password_is_not_the_default_one() {
    let server = server().await;
    server.command(&["SET", "likes:a", "mine"]).await.unwrap();
    server
        .command(&["SET", "likes:b", "other's"])
        .await
        .unwrap();
    let user = "ACL SETUSER ann on nopass ~likes:a &* +@all";
    let user: Vec<&str> = user.split(' ').collect();
    server.command(&user).await.unwrap();
    let port = server.port();
    for backend in BACKENDS {
        for (before, behind) in [("ann@", ""), ("ann:@", "/0"), ("", "?user=ann")] {
            let url = format!("redis://{before}127.0.0.1:{port}{behind}");
            let ended = get(backend, &url, "a").await;
            assert_eq!(ended.succeeds().text(), "mine", "{backend}: {url}");
            let line = get(backend, &url, "b").await;
            assert!(line.fails(1).contains("denied"), "{backend}: {line:?}");
        }
        let url = format!("redis://bob@127.0.0.1:{port}");
        let line = get(backend, &url, "a").await;
        assert!(line.fails(1).contains("denied"), "{backend}: {line:?}");
    }
}

#[tokio::test]
async fn the_database_stands_in_the_path_or_in_the_query() {
    let server = server().await;
    let mut admin = server.connect().await.unwrap();
    admin.command(&["SELECT", "2"]).await.unwrap();
    admin.command(&["SET", "likes:a", "two"]).await.unwrap();
    let port = server.port();
    for backend in BACKENDS {
        for behind in ["/2", "?db=2", "/?db=2", "/2?db=2"] {
            let url = format!("redis://127.0.0.1:{port}{behind}");
            let ended = get(backend, &url, "a").await;
            assert_eq!(ended.succeeds().text(), "two", "{backend}: {url}");
        }
        for behind in ["/1?db=2", "?db=x", "?database=2"] {
            let url = format!("redis://127.0.0.1:{port}{behind}");
            let line = get(backend, &url, "a").await;
            assert!(line.fails(2).contains("database"), "{backend}: {line:?}");
        }
    }
}

#[tokio::test]
async fn passwords_hold_what_ends_a_word_or_a_command_elsewhere() {
    const PASSWORD: &str = "p \"'\\\r\nDEL likes:a\r\n\0%\u{e9}";
    let server = server().await;
    server.command(&["SET", "likes:a", "mine"]).await.unwrap();
    let given = format!(">{PASSWORD}");
    let user = ["ACL", "SETUSER", "ann", "on", &given, "~*", "&*", "+@all"];
    server.command(&user).await.unwrap();
    let encode = |text: &str| -> String { text.bytes().map(|b| format!("%{b:02X}")).collect() };
    let port = server.port();
    for backend in BACKENDS {
        let url = format!("redis://ann:{}@127.0.0.1:{port}", encode(PASSWORD));
        let ended = get(backend, &url, "a").await;
        assert_eq!(ended.succeeds().text(), "mine", "{backend}");
        // As it is, but for what a URL takes for its own and what an environment cannot hold.
        let raw = PASSWORD.replace('\0', "%00");
        let url = format!("redis://ann:{raw}@127.0.0.1:{port}");
        let ended = get(backend, &url, "a").await;
        assert_eq!(ended.succeeds().text(), "mine", "{backend}");
        for (user, password) in [("ann", format!("{PASSWORD}x")), (PASSWORD, "pw".to_owned())] {
            let (user, password) = (encode(user), encode(&password));
            let url = format!("redis://{user}:{password}@127.0.0.1:{port}");
            let line = get(backend, &url, "a").await;
            assert!(line.fails(1).contains("denied"), "{backend}: {line:?}");
        }
    }
    let value = server.command(&["GET", "likes:a"]).await.unwrap();
    assert_eq!(value.as_str(), Some("mine"));
}

#[tokio::test]
async fn what_is_not_utf8_is_refused_in_one_line_that_does_not_repeat_it() {
    let bytes = OsStr::from_bytes(b"redis://ann:hunter2\xff@127.0.0.1:1");
    for backend in BACKENDS {
        for url in ["redis://ann:hunter2%FF@h", "redis://h?pass=hunter2%C3"] {
            let line = get(backend, url, "a").await;
            let line = line.fails(2);
            assert!(line.contains("UTF-8") && !line.contains("hunter"), "{line}");
        }
        let by_environment = get(backend, bytes, "a").await;
        let mut command = memolock(&["--backend", backend, "get", "--id", "a", "--url"]);
        command.arg(bytes);
        for ended in [by_environment, run(command).await] {
            let line = ended.fails(2);
            assert!(line.contains("UTF-8") && !line.contains("hunter"), "{line}");
        }
    }
}
