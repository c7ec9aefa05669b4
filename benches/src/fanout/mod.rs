//! What a cluster's nodes have to do with a fleet: messages and bytes of completions, with classic and with sharded
//! notifications; connections, subscriptions, commands and script time of real processes. docs/scaling.md reckons with it.

mod bus;
mod census;
mod completions;
mod fleet;
mod table;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use memolock::Notifications;
use memolock_testkit::{ClusterOptions, TestCluster};
use serde::Serialize;

pub use census::{Call, Calls, Clients, Messages};
pub use completions::{Completions, Load};
pub use fleet::{Fleet, Host};

use crate::adapter::Adapter;
use crate::machine::Machine;
use crate::strategy::Kind;

/// Masters, and replicas of each.
const SIZES: [(usize, usize); 3] = [(3, 0), (6, 0), (3, 1)];

/// A server's own default, where a test's nodes are more nervous: gossip grows as it shrinks.
const NODE_TIMEOUT: Duration = Duration::from_secs(15);

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Fanout {
    /// Where.
    pub machine: Machine,
    /// Whether it was a smoke run.
    pub quick: bool,
    /// On each cluster, in each way.
    pub completions: Vec<Completions>,
    /// Processes on the first cluster, in each way.
    pub fleets: Vec<Fleet>,
}

/// Measures completions on clusters of three sizes, and 32 processes on the first. `program` is `memolock-bench`, which is a
/// process of a squad too. With `quick` it is fewer of everything.
///
/// # Errors
/// If a cluster or a process cannot be started, or anything comes out other than it must: a value twice computed, a
/// waiter that is not told, a message of the bus that is lost.
pub async fn measure(program: &Path, quick: bool) -> Result<Fanout> {
    let (count, herd) = match quick {
        true => (50, (4, 20)),
        // Of ten times as many keys, two cores do not serve all within a command's time-out.
        false => (1_000, (32, 100)),
    };
    let sizes = match quick {
        true => &SIZES[..1],
        false => &SIZES[..],
    };
    let (mut machine, mut completions, mut fleets) = (None, Vec::new(), Vec::new());
    for &(masters, replicas) in sizes {
        let options = ClusterOptions {
            masters,
            replicas_per_master: replicas,
            node_timeout: NODE_TIMEOUT,
            ..ClusterOptions::default()
        };
        let cluster = TestCluster::start_local_with(options).await?;
        if machine.is_none() {
            let seen = Machine::look(&cluster.nodes()[0]).await?;
            eprintln!("{}", seen.line());
            machine = Some(seen);
        }
        for way in [Notifications::Classic, Notifications::Sharded] {
            eprintln!("{masters} masters, {replicas} replicas each, {way:?}");
            let run = completions::run(&cluster, (masters, replicas), way, count).await?;
            completions.push(run);
        }
        if (masters, replicas) == SIZES[0] {
            for kind in [
                Kind::Memolock(Adapter::RedisRs),
                Kind::Sharded(Adapter::RedisRs),
            ] {
                fleets.push(fleet::run(program, &cluster, masters, kind, herd).await?);
            }
        }
    }
    Ok(Fanout {
        // The sizes are not empty.
        machine: machine.context("nothing was measured")?,
        quick,
        completions,
        fleets,
    })
}

impl Fanout {
    /// All of it as text.
    #[must_use]
    pub fn table(&self) -> String {
        table::table(self)
    }
}
