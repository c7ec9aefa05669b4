//! Whatever fails, and however much is logged: neither password nor value is in what the binary says.

mod common;

use common::{Ended, finish, memolock, run, sees_script, server, with_descriptor_3};
use memolock_testkit::Proxy;
use memolock_testkit::suite::Line;
use tokio::io::AsyncWriteExt;

/// With characters that are written otherwise in a URL.
const PASSWORD: &str = "Hunter2@s:cret/%";

const ENCODED: &str = "Hunter2%40s%3Acret%2F%25";

const BASE64: &str = "SHVudGVyMkBzOmNyZXQvJQ";

/// A part that no escaping changes.
const PART: &str = "unter2";

const VALUE: &str = "a-value-that-nobody-logs";

fn quiet(ended: &Ended, what: &str) {
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &ended.stderr;
    for secret in [PASSWORD, ENCODED, BASE64, PART] {
        assert!(!said.contains(secret), "{what} says {secret}: {said}");
    }
    assert!(
        !ended.stderr.contains(VALUE),
        "{what} logs its value: {said}"
    );
}

/// Runs the binary with everything logged that can be.
async fn loud(url: &str, in_the_environment: bool, args: &[&str]) -> Ended {
    let mut command = match in_the_environment {
        true => memolock(args),
        false => memolock(&[&["--url", url], args].concat()),
    };
    if in_the_environment {
        command.env("MEMOLOCK_URL", url);
    }
    command
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full");
    run(command).await
}

const COMMANDS: [&[&str]; 4] = [
    &["get", "--id", "x"],
    &["put", "--id", "x", "--ttl", "1m", VALUE],
    &["run", "--id", "x", "--strict", "echo", VALUE],
    &["inspect", "--id", "x", "--json"],
];

#[tokio::test]
async fn urls_that_cannot_be_used() {
    for url in [
        "Hunter2",
        "redis:Hunter2@h",
        "redis://:Hunter2@",
        "redis://Hunter2:Hunter2@h:port",
        "redis://u:Hunter2@h:99999",
        "redis://u:Hunter2@h/Hunter2",
        "redis://u:Hun/ter2Hunter2@h",
        "redis://u:1?Hunter2@h",
        "redis://u:1#Hunter2@h",
        "redis://:Hunter2%ff@h",
        "redis://h/?protocol=Hunter2",
        "redis+unix:///s?db=Hunter2",
        "redis-cluster://:Hunter2@h:1",
        "redis-sentinel://u:Hunter2@h:1",
        "http://u:Hunter2@h",
        "postgres://u:Hunter2@h:port/d",
        "postgres://u:Hunter2@/?port=Hunter2",
        "postgres://u:p@h/d?what=Hunter2",
    ] {
        for backend in ["redis-rs", "redis-rs-pooled", "fred", "postgres"] {
            for env in [true, false] {
                let args = ["--backend", backend, "get", "--id", "x"];
                let ended = loud(url, env, &args).await;
                assert!(matches!(ended.code, Some(1 | 2)), "{url}: {ended:?}");
                quiet(&ended, url);
            }
        }
    }
}

#[tokio::test]
async fn servers_that_cannot_be_used() {
    let server = server().await;
    let words = ["CONFIG", "SET", "requirepass", "another"];
    server.command(&words).await.expect("a setting");
    let port = server.port();
    for url in [
        format!("redis://:{ENCODED}@127.0.0.1:1"),
        format!("redis://:{ENCODED}@127.0.0.1:{port}"),
        format!("redis://nobody:{ENCODED}@127.0.0.1:{port}"),
        format!("rediss://nobody:{ENCODED}@127.0.0.1:{port}"),
        format!("redis://:{ENCODED}@no-such-host.invalid"),
        format!("redis+unix:///no/such.sock?pass={ENCODED}"),
    ] {
        for backend in ["redis-rs", "redis-rs-pooled", "fred"] {
            for command in COMMANDS {
                let args = [&["--backend", backend], command].concat();
                let ended = loud(&url, true, &args).await;
                assert_eq!(ended.code, Some(1), "{url} {args:?}: {ended:?}");
                quiet(&ended, &url);
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_works_and_one_that_dies() {
    let server = server().await;
    for words in [
        &[
            "ACL",
            "SETUSER",
            "ann",
            "on",
            &format!(">{PASSWORD}"),
            "~*",
            "&*",
            "+@all",
        ][..],
        &[
            "ACL",
            "SETUSER",
            "poor",
            "on",
            &format!(">{PASSWORD}"),
            "~x",
            "+ping",
        ],
    ] {
        server.command(words).await.expect("a user");
    }
    let target = ([127, 0, 0, 1], server.port()).into();
    let proxy = Proxy::start(target).await.expect("a proxy");
    for backend in ["redis-rs", "redis-rs-pooled", "fred"] {
        for command in COMMANDS {
            let args = [&["--backend", backend], command].concat();
            let url = |user: &str| format!("redis://{user}:{ENCODED}@{}", proxy.address());
            let ended = loud(&url("ann"), true, &args).await;
            assert!(matches!(ended.code, Some(0 | 3)), "{args:?}: {ended:?}");
            quiet(&ended, "what works");
            let ended = loud(&url("poor"), true, &args).await;
            assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
            quiet(&ended, "what is denied");
        }
    }
    // It dies with a command under way, whose value cannot be stored then.
    for backend in ["redis-rs", "redis-rs-pooled", "fred"] {
        proxy.heal().await;
        let url = format!("redis://ann:{ENCODED}@{}", proxy.address());
        let run = ["--backend", backend, "run", "--id", backend];
        let command = memolock(&[&run[..], &["sh", "-c", "cat <&3"]].concat());
        let mut command = with_descriptor_3(&command);
        command.env("MEMOLOCK_URL", &url).env("RUST_LOG", "trace");
        let mut monitor = server.monitor().await.expect("a monitor");
        let mut child = command.spawn().expect("the binary");
        sees_script(&mut monitor).await;
        proxy.cut().await;
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(VALUE.as_bytes()).await.expect("it reads");
        drop(stdin);
        let ended = finish(child).await;
        assert_eq!(ended.text(), VALUE, "{ended:?}");
        quiet(&ended, "what is cut off");
    }
}
