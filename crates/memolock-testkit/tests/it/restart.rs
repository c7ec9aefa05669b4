//! A server that dies and comes back.

use memolock_testkit::{ServerError, TestServer};

use crate::{Outcome, is_down};

/// What kill, stop and restart do, on any private server.
pub(crate) async fn it_comes_back_empty_on_the_same_port(server: &TestServer) -> Outcome {
    let url = server.url().to_owned();
    server.command(&["SET", "k", "v"]).await?;
    let mut connection = server.connect().await?;
    connection.command(&["PING"]).await?;
    server.kill().await?;
    assert!(is_down(server), "killed");
    let broken = connection.command(&["PING"]).await;
    assert!(
        matches!(broken, Err(ServerError::Connection { .. })),
        "{broken:?}"
    );
    server.restart().await?;
    assert_eq!(server.url(), url);
    assert!(server.command(&["GET", "k"]).await?.is_nil());

    server.command(&["SET", "k", "v"]).await?;
    server.stop().await?;
    assert!(is_down(server), "stopped");
    server.restart().await?;
    assert!(server.command(&["GET", "k"]).await?.is_nil());

    // Also from alive.
    server.command(&["SET", "k", "v"]).await?;
    server.restart().await?;
    assert!(server.command(&["GET", "k"]).await?.is_nil());
    Ok(())
}

#[tokio::test]
async fn a_local_server_can_die() -> Outcome {
    let server = TestServer::start_local().await?;
    it_comes_back_empty_on_the_same_port(&server).await
}

#[tokio::test]
async fn a_paused_server_can_be_killed() -> Outcome {
    let server = TestServer::start_local().await?;
    server.pause().await?;
    server.kill().await?;
    assert!(is_down(&server));
    let refused = server.pause().await;
    assert!(
        matches!(refused, Err(ServerError::Control { .. })),
        "{refused:?}"
    );
    Ok(())
}

#[tokio::test]
async fn options_reach_the_server_and_bad_ones_are_explained() -> Outcome {
    let server = TestServer::start_local_with(&["--maxmemory", "3mb"]).await?;
    let reply = server.command(&["CONFIG", "GET", "maxmemory"]).await?;
    assert_eq!(reply.items()[1], "3145728");
    let refused = TestServer::start_local_with(&["--no-such-option", "1"]).await;
    let message = refused.expect_err("a bad option").to_string();
    assert!(message.contains("no-such-option"), "{message}");
    assert!(!message.contains('\n'), "{message}");
    Ok(())
}
