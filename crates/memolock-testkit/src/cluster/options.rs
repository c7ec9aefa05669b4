//! How large a cluster is, and how patient.

use std::time::Duration;

/// What [`TestCluster::start_local_with`](super::TestCluster::start_local_with) makes.
///
/// ```
/// use memolock_testkit::ClusterOptions;
///
/// let six = ClusterOptions { masters: 6, replicas_per_master: 0, ..ClusterOptions::default() };
/// assert_eq!(six.nodes(), 6);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterOptions {
    /// Default 3, the fewest that can agree that one of them failed. At least 1.
    pub masters: usize,
    /// Default 1; with 0, what a failed master had stays out of reach.
    pub replicas_per_master: usize,
    /// `cluster-node-timeout`: after how long a silent node is held to have failed. Default 1 s, where
    /// a server's is 15 s: a failover takes about twice as long.
    pub node_timeout: Duration,
    /// `cluster-require-full-coverage`: whether a slot without a master keeps all others from being
    /// served. Default `true`, as a server's.
    pub full_coverage: bool,
    /// Whether nodes tell ports alone, in `CLUSTER SLOTS` and in `MOVED`: a client then stays on the host by
    /// which it came, as a [front](super::TestCluster::front) wants it. Default `false`. It takes Redis 7.0 or
    /// Valkey (`cluster-preferred-endpoint-type unknown-endpoint`), and processes: containers name their hosts
    /// all the same, since all of them have one port.
    pub hostless: bool,
    /// More options of each node's program, such as `--appendonly yes`.
    pub options: Vec<String>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            masters: 3,
            replicas_per_master: 1,
            node_timeout: Duration::from_secs(1),
            full_coverage: true,
            hostless: false,
            options: Vec::new(),
        }
    }
}

impl ClusterOptions {
    /// How many nodes that makes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.masters
            .saturating_mul(self.replicas_per_master.saturating_add(1))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self.masters {
            0 => Err("a cluster without masters has no slots".into()),
            _ => Ok(()),
        }
    }

    /// The command line of each node; `local` ones are processes.
    pub(super) fn arguments(&self, local: bool) -> Vec<String> {
        let timeout = self.node_timeout.as_millis().to_string();
        let coverage = if self.full_coverage { "yes" } else { "no" };
        let fixed = [
            "--cluster-node-timeout",
            &timeout,
            "--cluster-require-full-coverage",
            coverage,
            // A replica of whatever age may follow: a test's pauses are long beside its time-outs.
            "--cluster-replica-validity-factor",
            "0",
            // None waits for others that might want the same copy, nor writes it to a disk.
            "--repl-diskless-sync",
            "yes",
            "--repl-diskless-sync-delay",
            "0",
        ];
        let hostless: &[&str] = match self.hostless && local {
            true => &["--cluster-preferred-endpoint-type", "unknown-endpoint"],
            false => &[],
        };
        fixed
            .iter()
            .chain(hostless)
            .copied()
            .map(Into::into)
            .chain(self.options.iter().cloned())
            .collect()
    }
}
