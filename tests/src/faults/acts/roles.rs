//! Acts on a server's role: made a replica of another, and promoted again.

use crate::faults::act::act;
use crate::{cli, eventually};

act!(
    /// It takes over the other's data, which is none, and refuses writes.
    demote, |stage| {
        let other = stage.other().await;
        // It would wait for five seconds whether more replicas come.
        cli(other, &["CONFIG", "SET", "repl-diskless-sync-delay", "0"]).await;
        let port = other.port().to_string();
        stage.cli(&["REPLICAOF", "127.0.0.1", &port]).await;
        eventually("the other's data", || async {
            let info = stage.cli(&["INFO", "replication"]).await;
            info.as_str().is_some_and(|info| info.contains("master_link_status:up"))
        })
        .await;
    }
);

act!(
    /// It accepts writes again, and keeps what it has.
    promote, |stage| {
        stage.cli(&["REPLICAOF", "NO", "ONE"]).await;
    }
);
