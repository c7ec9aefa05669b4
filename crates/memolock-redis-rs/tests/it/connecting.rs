//! Connecting: the forms of URLs, and clear errors within bounds.

use std::time::{Duration, Instant};

use memolock_core::{Backend, BackendError, ErrorKind, PutMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{Server, eventually, free_port, key, secs};
use crate::subject::Subject;

async fn refused(url: &str) -> BackendError {
    let since = Instant::now();
    let error = Subject::connect(url).await.unwrap_err();
    // The bound is 1 s; the rest is for a busy machine.
    assert!(since.elapsed() < secs(5), "{:?}", since.elapsed());
    let line = error.to_string();
    assert!(!line.contains('\n') && !line.contains("hunter2"), "{line}");
    assert!(!format!("{error:?}").contains("hunter2"));
    error
}

/// A server that says one thing to every command.
async fn parrot(line: &'static str) -> u16 {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = [0; 1024];
                while let Ok(n @ 1..) = stream.read(&mut heard).await {
                    let commands = heard[..n].iter().filter(|byte| **byte == b'*').count();
                    let said = line.repeat(commands.max(1));
                    if stream.write_all(said.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn every_form_of_url_connects() {
    let server = Server::start();
    let socket = server.socket();
    let urls = [
        server.url(),
        format!("redis://localhost:{}", server.port()),
        format!("redis://127.0.0.1:{}/0", server.port()),
        format!("redis+unix://{}", socket.display()),
    ];
    for url in urls {
        let backend = Subject::connect(&url).await.unwrap();
        backend
            .put(&key("a"), "v".into(), secs(60), PutMode::Override)
            .await
            .unwrap();
        assert_eq!(
            backend.get(&key("a")).await.unwrap(),
            Some("v".into()),
            "{url}"
        );
    }
    let elsewhere = Subject::connect(format!("{}/3", server.url()))
        .await
        .unwrap();
    assert_eq!(elsewhere.get(&key("a")).await.unwrap(), None);
}

#[tokio::test]
async fn passwords_and_users_are_used_and_never_shown() {
    let server = Server::with_password(Some("hunter2"));
    let backend = server.backend().await;
    assert_eq!(backend.get(&key("a")).await.unwrap(), None);
    let shown = format!("{backend:?}");
    assert!(
        !shown.contains("hunter2") && shown.contains("127.0.0.1"),
        "{shown}"
    );

    let port = server.port();
    for url in [
        format!("redis://:hunter23@127.0.0.1:{port}"),
        format!("redis://nobody:hunter23@127.0.0.1:{port}"),
        format!("redis://127.0.0.1:{port}"),
    ] {
        let error = refused(&url).await;
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    }

    let mut admin = server.admin().await;
    let user = [
        "ACL",
        "SETUSER",
        "ann",
        "on",
        ">p@ss/w:rd",
        "~*",
        "&*",
        "+@all",
    ];
    let _: () = admin.run(&user).await;
    let url = format!("redis://ann:p%40ss%2Fw%3Ard@127.0.0.1:{port}");
    Subject::connect(url).await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_unavailable_at_once() {
    let error = refused(&format!("redis://:hunter2@127.0.0.1:{}", free_port())).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
    let error = refused("redis+unix:///nowhere/at/all.sock").await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = refused("redis://:hunter2@no.such.host.invalid").await;
    assert!(error.is_outage(), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_a_timeout() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let error = refused(&format!("redis://:hunter2@127.0.0.1:{port}")).await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

#[tokio::test]
async fn bad_urls_are_named_at_once() {
    for url in [
        "",
        "localhost:6379",
        "http://h",
        "redis://",
        "redis://:hunter2@h/hunter2",
    ] {
        let error = refused(url).await;
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
    let error = refused("redis-cluster://:hunter2@h:1/2").await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let error = refused("redis-cluster://:hunter2@no.such.host.invalid:1").await;
    assert!(error.is_outage(), "{error}");
    let server = Server::start();
    let cluster = format!("redis-cluster://:hunter2@127.0.0.1:{}", server.port());
    let error = refused(&cluster).await;
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let error = refused(&format!("{}/99", server.url())).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

#[tokio::test]
async fn tls_to_a_plain_server_is_an_error_and_no_panic() {
    let server = Server::start();
    let error = refused(&format!("rediss://:hunter2@127.0.0.1:{}", server.port())).await;
    assert!(error.is_outage(), "{error}");
    let chatty = parrot("-ERR what?\r\n").await;
    let error = refused(&format!("rediss://:hunter2@127.0.0.1:{chatty}")).await;
    assert!(error.is_outage(), "{error}");
}

#[tokio::test]
async fn an_old_server_is_unsupported_and_its_echo_is_not_shown() {
    let echo =
        "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `hunter2`, \r\n";
    let modern =
        "-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'hunter2' \r\n";
    for line in [
        echo,
        modern,
        "-NOPROTO sorry, this protocol version is not supported\r\n",
    ] {
        let port = parrot(line).await;
        let error = refused(&format!("redis://:hunter2@127.0.0.1:{port}")).await;
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("RESP3"), "{error}");
    }
}

#[tokio::test]
async fn who_does_not_speak_redis_does_not_panic_us() {
    for line in [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "\r\n",
        "*-5\r\n",
        "$-7\r\n",
        ">0\r\n",
        ">1\r\n$9\r\nsubscribe\r\n",
        "%3\r\n",
        "\u{1}\u{2}\u{3}",
    ] {
        let port = parrot(line).await;
        let builder = Subject::builder(format!("redis://127.0.0.1:{port}"));
        let backend = builder
            .connect_timeout(Duration::from_millis(300))
            .command_timeout(Duration::from_millis(300));
        if let Ok(backend) = backend.connect().await {
            let _ = backend.get(&key("a")).await;
            let _ = backend.subscribe(&key("a")).await;
        }
    }
}

#[tokio::test]
async fn a_lazy_backend_finds_its_server_later() {
    let mut server = Server::start();
    let url = server.url();
    server.stop();
    let backend = Subject::connect_lazy(url).unwrap();
    let error = backend.get(&key("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    server.restart();
    eventually("the server is found", || async {
        backend.get(&key("a")).await.is_ok()
    })
    .await;
    eventually("and can be listened to", || async {
        backend.subscribe(&key("a")).await.is_ok()
    })
    .await;
    assert_eq!(backend.stats().reconnects, 0, "nothing broke");
}

#[tokio::test]
async fn a_lazy_backend_waits_for_its_first_attempt() {
    let server = Server::start();
    let backend = Subject::connect_lazy(server.url()).unwrap();
    assert_eq!(backend.get(&key("a")).await.unwrap(), None);
    let backend = Subject::connect_lazy(server.url()).unwrap();
    drop(backend.subscribe(&key("a")).await.unwrap());
}
