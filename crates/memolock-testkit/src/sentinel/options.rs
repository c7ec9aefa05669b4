//! How many servers sentinels watch, and how patiently.

use std::time::Duration;

/// What [`TestSentinel::start_local_with`](super::TestSentinel::start_local_with) makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentinelOptions {
    /// Replicas of the master. Default 1.
    pub replicas: usize,
    /// Default 3, the fewest of which one may fail. More than half must agree that the master failed.
    pub sentinels: usize,
    /// The name of the master, as clients ask for it. Default `memolock`.
    pub name: String,
    /// `down-after-milliseconds`: after how long a silent server is held to have failed. Default 1 s,
    /// where a sentinel's is 30 s: a failover takes about twice as long.
    pub down_after: Duration,
    /// `failover-timeout`: how long a failover may take; another is tried after twice as long. Default
    /// 5 s, where a sentinel's is 3 minutes.
    pub failover_timeout: Duration,
    /// More options of the servers' program, such as `--appendonly yes`.
    pub options: Vec<String>,
}

impl Default for SentinelOptions {
    fn default() -> Self {
        Self {
            replicas: 1,
            sentinels: 3,
            name: "memolock".into(),
            down_after: Duration::from_secs(1),
            failover_timeout: Duration::from_secs(5),
            options: Vec::new(),
        }
    }
}

impl SentinelOptions {
    /// How many sentinels must agree.
    pub(super) fn quorum(&self) -> usize {
        self.sentinels / 2 + 1
    }

    /// The command line of each server; a replica's names its master.
    pub(super) fn arguments(&self, master: Option<(&str, u16)>) -> Vec<String> {
        // None waits for others that might want the same copy, nor writes it to a disk.
        let fixed = [
            "--repl-diskless-sync",
            "yes",
            "--repl-diskless-sync-delay",
            "0",
        ];
        let mut arguments: Vec<String> = fixed.map(Into::into).into();
        if let Some((host, port)) = master {
            arguments.extend(["--replicaof".into(), host.into(), port.to_string()]);
        }
        arguments.extend(self.options.iter().cloned());
        arguments
    }
}
