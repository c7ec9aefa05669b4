//! A server that hangs.

use std::time::Duration;

use memolock_testkit::{Provider, TestServer};

use crate::Outcome;

/// What a pause and a resume do, on any private server.
pub(crate) async fn a_paused_server_answers_once_resumed(server: &TestServer) -> Outcome {
    let mut connection = server.connect().await?;
    connection.command(&["PING"]).await?;
    server.pause().await?;
    connection.send(&["PING"]).await?;
    let silence = connection.read_within(Duration::from_millis(100)).await?;
    assert_eq!(silence, None, "{}", server.provider());
    server.resume().await?;
    assert_eq!(connection.read().await?, "PONG");
    Ok(())
}

#[tokio::test]
async fn a_local_server_can_hang() -> Outcome {
    let server = TestServer::start_local().await?;
    assert_ne!(*server.provider(), Provider::Url);
    a_paused_server_answers_once_resumed(&server).await
}
