//! Counting commands.

use memolock_testkit::TestServer;

use crate::Outcome;

#[tokio::test]
async fn every_command_is_seen_once_and_scripts_are_told_apart() -> Outcome {
    let server = TestServer::start_local().await?;
    server.command(&["SET", "before", "1"]).await?;
    let mut monitor = server.monitor().await?;
    let script = "return redis.call('GET', KEYS[1])";
    server.command(&["EVAL", script, "1", "before"]).await?;
    server
        .command(&["SET", "likes:\"kristoff\"", "a b"])
        .await?;
    let seen = monitor.drain().await?;
    let (inside, sent): (Vec<_>, Vec<_>) = seen.iter().partition(|command| command.from_script());
    let names: Vec<_> = sent.iter().map(|command| command.name()).collect();
    assert_eq!(names, ["EVAL", "SET"]);
    assert_eq!(sent[1].args(), ["SET", "likes:\"kristoff\"", "a b"]);
    assert_eq!(inside.len(), 1);
    assert_eq!(inside[0].name(), "GET");
    assert!(monitor.drain().await?.is_empty());
    Ok(())
}
