//! Many tests, each with a server of its own, at the same time.

use std::collections::BTreeSet;

use memolock_testkit::TestServer;

use crate::Outcome;

#[tokio::test]
async fn servers_started_together_share_nothing() -> Outcome {
    let starting: Vec<_> = (0..12)
        .map(|_| tokio::spawn(TestServer::start_local()))
        .collect();
    let mut servers = Vec::new();
    for task in starting {
        servers.push(task.await.expect("starting does not panic")?);
    }
    let ports: BTreeSet<_> = servers.iter().map(TestServer::port).collect();
    assert_eq!(ports.len(), servers.len());
    for (i, server) in servers.iter().enumerate() {
        server.command(&["SET", "who", &i.to_string()]).await?;
    }
    for (i, server) in servers.iter().enumerate() {
        assert!(server.is_private());
        assert_eq!(
            server.command(&["GET", "who"]).await?,
            i.to_string().as_str()
        );
    }
    Ok(())
}
