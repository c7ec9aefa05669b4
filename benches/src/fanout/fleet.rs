//! Real processes on one cluster, all of which want the same keys at once: what they cost each node.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use memolock_testkit::TestCluster;
use serde::Serialize;

use super::census::{Calls, Census, Clients};
use crate::squad::Squad;
use crate::strategy::Kind;

/// How long a compute takes.
const TAKES: Duration = Duration::from_millis(500);

/// How often connections and subscriptions are looked at while the herd is on its way.
const GLANCE: Duration = Duration::from_millis(100);

/// A bound that only a listener that stays would miss.
const LEAVING: Duration = Duration::from_secs(30);

/// What a herd of processes cost.
#[derive(Debug, Clone, Serialize)]
pub struct Fleet {
    /// Masters of the cluster.
    pub masters: usize,
    /// `classic` or `sharded`.
    pub way: &'static str,
    /// Processes.
    pub processes: u32,
    /// Keys, of which every process wants each.
    pub keys: u32,
    /// Computes, over all processes.
    pub computes: u64,
    /// Commands sent by all processes, as they count them.
    pub commands: u64,
    /// Commands sent by the process that sent the most.
    pub busiest: u64,
    /// From the opening of the gate to the last caller's having its value, in milliseconds; of that 500 are the compute.
    pub millis: f64,
    /// Each master.
    pub nodes: Vec<Host>,
}

/// What one node had to do with it.
#[derive(Debug, Clone, Serialize)]
pub struct Host {
    /// The processes' connections, before the herd.
    pub idle: Clients,
    /// The same in the herd: the most subscriptions that were seen at once.
    pub peak: Clients,
    /// Commands that were executed, those within scripts included, and the measurement's own left out.
    pub calls: Calls,
    /// Processor time in microseconds.
    pub cpu: u64,
    /// Bytes to clients.
    pub sent: u64,
    /// Bytes from clients.
    pub received: u64,
}

pub(super) async fn run(
    program: &Path,
    cluster: &TestCluster,
    masters: usize,
    kind: Kind,
    (processes, keys): (u32, u32),
) -> Result<Fleet> {
    let mut squad = Squad::muster(program, processes, kind, cluster.url(), TAKES).await?;
    // The first herd opens what is opened when it is needed.
    squad.herd(processes, 1).await?;
    let idle = idle(cluster).await?;
    let before = try_join_all(cluster.nodes().iter().map(Census::of)).await?;
    let mut peak = idle.clone();
    let herd = squad.herd(processes * keys, keys);
    tokio::pin!(herd);
    let began = Instant::now();
    let herd = loop {
        tokio::select! {
            done = &mut herd => break done?,
            () = tokio::time::sleep(GLANCE) => {
                for (peak, seen) in peak.iter_mut().zip(clients(cluster).await?) {
                    if seen.subscriptions > peak.subscriptions {
                        *peak = seen;
                    }
                }
            }
        }
    };
    eprintln!(
        "{processes} processes: {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let after = try_join_all(cluster.nodes().iter().map(Census::of)).await?;
    if let Some(error) = &herd.example {
        anyhow::bail!("{} callers failed: {error}", herd.errors);
    }
    ensure!(
        herd.queries == u64::from(keys),
        "{} computes of {keys} keys: more than that are of servers that did not answer in time",
        herd.queries
    );
    let nodes = after
        .into_iter()
        .zip(before)
        .zip(idle.into_iter().zip(peak));
    let nodes = nodes.map(|((after, before), (idle, peak))| {
        let done = after - before;
        Host {
            idle,
            peak,
            calls: done.calls.without(&["info", "client|list", "cluster|info"]),
            cpu: done.facts.cpu.as_micros() as u64,
            sent: done.facts.sent,
            received: done.facts.received,
        }
    });
    Ok(Fleet {
        masters,
        way: match kind {
            Kind::Sharded(_) => "sharded",
            _ => "classic",
        },
        processes,
        keys,
        computes: herd.queries,
        commands: herd.commands,
        busiest: herd.busiest,
        millis: herd.latency(100).as_secs_f64() * 1e3,
        nodes: nodes.collect(),
    })
}

/// Those of processes that wait for nothing: listeners leave a moment after their callers have what they came for.
async fn idle(cluster: &TestCluster) -> Result<Vec<Clients>> {
    let deadline = Instant::now() + LEAVING;
    loop {
        let seen = clients(cluster).await?;
        if seen.iter().all(|node| node.subscriptions == 0) {
            return Ok(seen);
        }
        ensure!(
            Instant::now() < deadline,
            "nobody waits, and after {LEAVING:?} somebody listens: {seen:?}"
        );
        tokio::time::sleep(GLANCE / 10).await;
    }
}

async fn clients(cluster: &TestCluster) -> Result<Vec<Clients>> {
    try_join_all(cluster.nodes().iter().map(Clients::of)).await
}
