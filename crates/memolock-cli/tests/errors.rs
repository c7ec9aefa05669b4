//! Errors: the right exit code, one line, no password.

mod common;

use common::{backends, memolock, on, run, server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PASSWORD: &str = "hunter2-secret";

#[tokio::test]
async fn a_wrong_url_is_a_usage_error() {
    for url in [
        "bogus",
        "http://127.0.0.1",
        "redis://:hunter2-secret@",
        "redis-cluster://h:1/2",
    ] {
        for command in [&["get", "--id", "x"][..], &["run", "true"], &["herd"]] {
            let ended = run(memolock(&[&["--url", url], command].concat())).await;
            let line = ended.fails(2);
            assert!(!line.contains(PASSWORD), "{line}");
        }
    }
}

#[tokio::test]
async fn a_wrong_password_fails_and_is_not_shown() {
    let server = server().await;
    server
        .command(&["CONFIG", "SET", "requirepass", "right"])
        .await
        .unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    let wrong = format!("redis://:{PASSWORD}@{address}");
    let none = format!("redis://{address}");
    for url in [&wrong, &none] {
        for command in [
            &["get", "--id", "x"][..],
            &["run", "echo", "hi"],
            &["herd", "--processes", "2"],
        ] {
            let ended = run(memolock(&[&["--url", url], command].concat())).await;
            let line = ended.fails(1);
            assert!(
                line.contains("denied") && !line.contains(PASSWORD),
                "{line}"
            );
            assert!(ended.stdout.is_empty());
        }
    }
    let right = format!("redis://:right@{address}");
    let ended = run(memolock(&["--url", &right, "get", "--id", "x"])).await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
}

#[tokio::test]
async fn another_type_at_the_key_fails_in_one_line() {
    let server = server().await;
    server.command(&["LPUSH", "memolock:x", "v"]).await.unwrap();
    for command in [
        &["get", "--id", "x"][..],
        &["run", "--id", "x", "echo", "hi"],
    ] {
        let ended = run(on(&server, command)).await;
        assert!(ended.fails(1).contains("another type"), "{ended:?}");
        assert!(ended.stdout.is_empty());
    }
    let ended = run(on(&server, &["inspect", "--id", "x"])).await;
    assert!(ended.succeeds().text().contains("  odd "), "{ended:?}");
}

#[tokio::test]
async fn nobody_at_the_address_is_a_failure() {
    let ended = run(memolock(&[
        "--url",
        "redis://127.0.0.1:1",
        "get",
        "--id",
        "x",
    ]))
    .await;
    assert!(ended.fails(1).contains("127.0.0.1:1"), "{ended:?}");
}

#[tokio::test]
async fn commands_on_values_need_a_server_and_an_id() {
    for command in [
        &["get"][..],
        &["put", "v"],
        &["resolve", "v"],
        &["invalidate"],
        &["inspect"],
        &["run", "true"],
    ] {
        for backend in [&[][..], &["--backend", "memory"]] {
            let args = [&["--id", "x"], backend, command].concat();
            let ended = run(memolock(&args)).await;
            let line = ended.fails(2);
            assert!(
                line.contains("--url") && line.contains("MEMOLOCK_URL"),
                "{line}"
            );
        }
    }
    let ended = run(memolock(&["get"])).await;
    assert!(ended.fails(2).contains("--id"), "{ended:?}");
}

#[tokio::test]
async fn what_cannot_be_used_is_said_in_one_line() {
    let server = server().await;
    for args in [
        &["nonsense"][..],
        &["herd", "--tasks", "0"],
        &["herd", "--tasks", "2", "--keys", "3"],
        &["herd", "--compute", "5"],
        &["herd", "--lease", "1ms"],
        &["run"],
        &["put", "--id", "x", "--ttl", "0s", "v"],
        &["get", "--id", "x", "--tag", ""],
        &["get", "--id", "x", "--backend", "nonsense"],
    ] {
        run(on(&server, args)).await.fails(2);
    }
}

#[tokio::test]
async fn help_and_version_are_fine_and_show_no_url() {
    let url = format!("redis://:{PASSWORD}@127.0.0.1:1");
    for args in [
        &["--help"][..],
        &["-h"],
        &["run", "--help"],
        &["herd", "-h"],
        &["--version"],
    ] {
        let mut command = memolock(args);
        command.env("MEMOLOCK_URL", &url);
        let ended = run(command).await;
        let text = ended.succeeds().text();
        assert!(
            text.contains("memolock") && !text.contains(PASSWORD),
            "{text}"
        );
        // Not a terminal: no colours.
        assert!(!text.contains('\x1b'));
    }
    let help = run(memolock(&["--help"])).await;
    for needed in ["Examples:", "Exit codes:", "MEMOLOCK_URL", "herd"] {
        assert!(help.text().contains(needed), "{needed}");
    }
    assert!(!help.text().contains("herd-worker"));
}

#[tokio::test]
async fn logging_is_off_unless_asked_for() {
    let server = server().await;
    let args = ["run", "--id", "x", "echo", "hi"];
    run(on(&server, &args)).await.succeeds();
    let ended = run(on(&server, &[&["-v"], &args[..]].concat())).await;
    assert_eq!(ended.text(), "hi\n");
    assert!(ended.stderr.contains("transition"), "{ended:?}");
    let mut command = on(&server, &args);
    command.env("RUST_LOG", "=nonsense=");
    assert!(run(command).await.fails(2).contains("RUST_LOG"));
}

/// Once: "the connection was lost".
#[tokio::test]
async fn what_a_server_at_its_maxclients_says_is_told() {
    let server = server().await;
    let mut admin = server.connect().await.unwrap();
    let full = ["CONFIG", "SET", "maxclients", "1"];
    admin.command(&full).await.unwrap();
    for backend in backends() {
        let get = ["get", "--backend", backend, "--id", "x"];
        let ended = run(on(&server, &get)).await;
        let line = ended.fails(1);
        assert!(line.contains("max number of clients"), "{backend}: {line}");
    }
}

/// It knows no command of RESP3, and closes the connection after its line.
#[tokio::test]
async fn what_a_proxy_without_resp3_says_is_told() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", proxy.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = proxy.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                let _ = stream.read(&mut asked).await;
                let line = b"-ERR unknown command 'HELLO'\r\n";
                let _ = stream.write_all(line).await;
            });
        }
    });
    for backend in backends() {
        let get = ["get", "--url", &url, "--backend", backend, "--id", "x"];
        let ended = run(memolock(&get)).await;
        let line = ended.fails(1);
        assert!(line.contains("unknown command"), "{backend}: {line}");
    }
}
