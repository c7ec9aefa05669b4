//! The same in a container, where there is Docker and an image.

use memolock_testkit::{Provider, ServerError, TestServer};

use crate::{Outcome, is_down, pause, restart};

/// Set where Docker must work, so that a broken set-up cannot pass for a missing one.
const REQUIRED: &str = "MEMOLOCK_TEST_DOCKER_REQUIRED";

/// What Docker started, or `None` where it may be missing.
pub(crate) fn started<T>(result: Result<T, ServerError>) -> Result<Option<T>, ServerError> {
    match result {
        Ok(started) => Ok(Some(started)),
        Err(error) if std::env::var_os(REQUIRED).is_some() => Err(error),
        Err(error) => {
            eprintln!("not checked, since Docker has no server for us: {error}");
            Ok(None)
        }
    }
}

#[tokio::test]
async fn a_container_does_what_a_process_does() -> Outcome {
    let Some(server) = started(TestServer::start_docker().await)? else {
        return Ok(());
    };
    println!("checked with {}", server.provider());
    assert!(matches!(server.provider(), Provider::Docker { .. }));
    assert!(server.is_private());
    pause::a_paused_server_answers_once_resumed(&server).await?;
    restart::it_comes_back_empty_on_the_same_port(&server).await?;
    server.command(&["SET", "kept", "1"]).await?;
    server.disconnect().await?;
    assert!(is_down(&server), "off its network");
    server.reconnect().await?;
    assert_eq!(server.command(&["GET", "kept"]).await?, "1", "it went on");
    server.pause().await?;
    server.kill().await?;
    assert!(is_down(&server), "killed while paused");
    server.restart().await?;
    server.pause().await?;
    let port = server.port();
    drop(server);
    let left = std::net::TcpStream::connect(("127.0.0.1", port));
    assert!(left.is_err(), "dropped while paused");
    Ok(())
}
