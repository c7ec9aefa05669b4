//! A server that listens on a Unix socket.
#![cfg(unix)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use memolock_testkit::TestServer;

use crate::Outcome;

#[tokio::test]
async fn a_socket_and_a_port_lead_to_one_server() -> Outcome {
    let server = TestServer::start_unix().await?;
    let url = server.unix_url().expect("it was started with one");
    let path = url.strip_prefix("redis+unix://").expect("the scheme");
    assert!(path.starts_with('/'), "{url}");
    let mut stream = UnixStream::connect(path).expect("it listens");
    stream.write_all(b"SET likes 42\r\n").expect("it is open");
    let mut reply = [0; 5];
    stream.read_exact(&mut reply).expect("it answers");
    assert_eq!(&reply, b"+OK\r\n");
    assert_eq!(server.command(&["GET", "likes"]).await?, "42");

    server.kill().await?;
    assert!(UnixStream::connect(path).is_err(), "killed");
    server.restart().await?;
    assert_eq!(server.unix_url().as_ref(), Some(&url));
    UnixStream::connect(path).expect("it listens again");
    drop(server);
    assert!(!std::path::Path::new(path).exists(), "{path} is left");
    Ok(())
}

#[tokio::test]
async fn others_have_none() -> Outcome {
    let server = TestServer::start_local().await?;
    assert_eq!(server.unix_url(), None);
    Ok(())
}
