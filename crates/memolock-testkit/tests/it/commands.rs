//! Commands, replies and messages, on whatever server there is: only names of our own are touched.

use memolock_testkit::{ServerError, TestServer, unique_tag};

use crate::Outcome;

#[tokio::test]
async fn values_come_back_byte_for_byte() -> Outcome {
    let server = TestServer::start().await?;
    let key = unique_tag("commands");
    let value = b"\0\r\n\xff$5\r\n";
    server
        .command(&[b"SET".as_slice(), key.as_bytes(), value, b"PX", b"60000"])
        .await?;
    let reply = server.command(&["GET", &key]).await?;
    assert_eq!(reply.as_bytes(), Some(value.as_slice()));
    assert_eq!(server.command(&["DEL", &key]).await?.as_int(), Some(1));
    assert!(server.command(&["GET", &key]).await?.is_nil());
    Ok(())
}

#[tokio::test]
async fn a_large_value_arrives_whole() -> Outcome {
    let server = TestServer::start().await?;
    let key = unique_tag("commands");
    let value = "x".repeat(3 << 20);
    server
        .command(&["SET", &key, &value, "PX", "60000"])
        .await?;
    assert_eq!(server.command(&["GET", &key]).await?, value.as_str());
    server.command(&["DEL", &key]).await?;
    Ok(())
}

#[tokio::test]
async fn an_error_reply_names_command_and_reason() -> Outcome {
    let server = TestServer::start().await?;
    match server.command(&["EVAL", "return nonsense(", "0"]).await {
        Err(ServerError::Refused { command, message }) => {
            assert_eq!(command, "EVAL");
            assert!(message.starts_with("ERR"), "{message}");
        }
        other => panic!("not refused: {other:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn a_connection_hears_what_is_published() -> Outcome {
    let server = TestServer::start().await?;
    let channel = unique_tag("channel");
    let mut ear = server.connect().await?;
    ear.command(&["SUBSCRIBE", &channel]).await?;
    let heard_by = server.command(&["PUBLISH", &channel, ""]).await?;
    assert_eq!(heard_by.as_int(), Some(1));
    let message = ear.read().await?;
    assert_eq!(message.items()[0], "message");
    assert_eq!(message.items()[2], "");
    Ok(())
}
