//! What a server says in place of a greeting is told, whatever connection it was.

use memolock_core::{Backend, BackendError, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{Server, eventually, key};
use crate::subject::Subject;

/// When a scripted server says its line. It closes the connection after it.
#[derive(Debug, Clone, Copy)]
enum When {
    /// At once, without reading.
    AtOnce,
    /// After the first command.
    Asked,
    /// After the first command, and after it has read no more of it than this byte: the system resets the connection.
    Reset,
}

/// A server that says one line to everybody.
async fn scripted(line: &'static [u8], when: When) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(say(stream, line, when));
        }
    });
    port
}

async fn say(mut stream: TcpStream, line: &'static [u8], when: When) {
    let mut heard = [0; 4096];
    let most = match when {
        When::AtOnce => 0,
        When::Asked => heard.len(),
        When::Reset => 1,
    };
    if most > 0 && stream.read(&mut heard[..most]).await.is_err() {
        return;
    }
    let _ = stream.write_all(line).await;
}

async fn refused(url: &str) -> BackendError {
    let error = Subject::connect(url).await.unwrap_err();
    let line = error.to_string();
    assert!(!line.contains('\n') && !line.contains("hunter2"), "{line}");
    error
}

/// Once: "the connection was lost".
#[tokio::test]
async fn what_a_server_says_before_it_closes_is_told() {
    use ErrorKind::{Denied, Refused, Unsupported};
    let full = b"-ERR max number of clients reached\r\n";
    let hello = b"-ERR unknown command 'HELLO'\r\n";
    let echo =
        b"-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `hunter2`, \r\n";
    let lines: [(&'static [u8], &str, ErrorKind); 5] = [
        (full, "max number of clients reached", Refused),
        (hello, "unknown command", Unsupported),
        (echo, "unknown command", Unsupported),
        (
            b"-NOPROTO unsupported protocol version\r\n",
            "NOPROTO",
            Unsupported,
        ),
        (
            b"-DENIED Redis is running in protected mode\r\n",
            "protected mode",
            Denied,
        ),
    ];
    for (line, told, kind) in lines {
        for when in [When::AtOnce, When::Asked, When::Reset] {
            let port = scripted(line, when).await;
            let error = refused(&format!("redis://ann:hunter2@127.0.0.1:{port}")).await;
            assert!(error.to_string().contains(told), "{when:?}: {error}");
            assert_eq!(error.kind(), kind, "{when:?}: {error}");
        }
    }
}

#[tokio::test]
async fn what_is_no_redis_is_told_by_its_own_words() {
    let lines: [(&'static [u8], &str); 4] = [
        (
            b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n",
            "HTTP/1.1 400 Bad Request",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"),
        // A TLS alert.
        (b"\x15\x03\x01\x00\x02\x02\x46", "rediss://"),
        (b"", "without a word"),
    ];
    for (line, told) in lines {
        for when in [When::AtOnce, When::Asked, When::Reset] {
            let port = scripted(line, when).await;
            let error = refused(&format!("redis://:hunter2@127.0.0.1:{port}")).await;
            assert!(error.to_string().contains(told), "{when:?}: {error}");
        }
    }
}

/// The same of the connection of a lazy backend, of subscriptions, and of commands.
#[tokio::test]
async fn callers_of_a_lazy_backend_are_told_too() {
    let port = scripted(b"-ERR max number of clients reached\r\n", When::Reset).await;
    let backend = Subject::connect_lazy(format!("redis://127.0.0.1:{port}")).unwrap();
    let command = backend.get(&key("a")).await.unwrap_err();
    let Err(listening) = backend.subscribe(&key("a")).await else {
        panic!("nobody is there to listen to");
    };
    for error in [command, listening] {
        assert!(
            error.to_string().contains("max number of clients"),
            "{error}"
        );
        assert!(error.is_outage(), "{error}");
    }
}

#[tokio::test]
async fn what_a_sentinel_says_is_told() {
    let port = scripted(b"-ERR max number of clients reached\r\n", When::Reset).await;
    let error = refused(&format!("redis-sentinel://127.0.0.1:{port}/likes")).await;
    assert!(
        error.to_string().contains("max number of clients"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_at_its_maxclients_is_told_and_used_once_it_has_room() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let url = format!("redis://127.0.0.1:{}", server.port());
    let _: () = admin.run(&["CONFIG", "SET", "maxclients", "1"]).await;
    let error = refused(&url).await;
    assert!(
        error.to_string().contains("max number of clients"),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    let lazy = Subject::connect_lazy(url).unwrap();
    let error = lazy.get(&key("a")).await.unwrap_err();
    assert!(
        error.to_string().contains("max number of clients"),
        "{error}"
    );
    let _: () = admin.run(&["CONFIG", "SET", "maxclients", "100"]).await;
    eventually("it is used", || async { lazy.get(&key("a")).await.is_ok() }).await;
}
