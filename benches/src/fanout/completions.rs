//! Many completions on one cluster, each with one waiter elsewhere: what each node sends and hears of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use memolock::codec::Text;
use memolock::{Backend, Memolock, Notifications};
use memolock_testkit::TestCluster;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use super::bus::Bus;
use super::census::{Census, Messages};
use crate::adapter::Adapter;
use crate::server::Facts;

/// The length of each value.
pub(super) const BYTES: usize = 256;

/// Longer than any run, so that no renewal is counted.
const LEASE: Duration = Duration::from_secs(60);

/// Keys before it begins: so many that each node has some.
const WARMTH: u32 = 100;

/// How long anything may take to settle.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one run cost.
#[derive(Debug, Clone, Serialize)]
pub struct Completions {
    /// Masters of the cluster.
    pub masters: usize,
    /// Replicas of each.
    pub replicas: usize,
    /// `classic` or `sharded`.
    pub way: &'static str,
    /// How many values were stored and told.
    pub count: u32,
    /// From the first fulfil to the last waiter's having its value, in milliseconds.
    pub millis: f64,
    /// Microseconds of one script: an acquire that is granted, one that finds a holder, a fulfil.
    pub scripts: [f64; 3],
    /// Microseconds of the nodes' processors for one key: to find no value and take its lease; to find a holder and begin
    /// to wait; to store the value and tell it, with the end of the waiting.
    pub cpu: [f64; 3],
    /// Each node, masters first.
    pub nodes: Vec<Load>,
}

/// What one node had to do with it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Load {
    /// Messages over the bus.
    pub messages: Messages,
    /// Bytes that peers sent it over the bus; none where the kernel does not say.
    pub bus: Option<u64>,
    /// The same of one second in which nobody did anything: what nodes tell each other anyway.
    pub gossip: Option<u64>,
    /// Bytes to clients.
    pub sent: u64,
    /// Bytes from clients.
    pub received: u64,
    /// Processor time in microseconds.
    pub cpu: u64,
}

/// One memolock of the two.
struct Side {
    backend: Arc<dyn Backend>,
    memolock: Memolock<String, Text>,
}

pub(super) async fn run(
    cluster: &TestCluster,
    (masters, replicas): (usize, usize),
    notifications: Notifications,
    count: u32,
) -> Result<Completions> {
    let tag = cluster.unique_tag("fanout");
    let holder = Side::open(cluster, &tag, notifications).await?;
    let waiter = Side::open(cluster, &tag, notifications).await?;
    holder.warm().await?;
    let gossip = idle(cluster).await;
    let costs = cluster.nodes().iter().map(Census::cost);
    let costs = try_join_all(costs).await?;

    // The holder takes every lease, and computes until the gate opens.
    let fresh = look(cluster).await?;
    let (gate, opened) = watch::channel(false);
    let begun = Arc::new(Semaphore::new(0));
    let computing: Vec<_> = (0..count)
        .map(|id| {
            let (memolock, begun) = (holder.memolock.clone(), Arc::clone(&begun));
            let mut opened = opened.clone();
            tokio::spawn(async move {
                let compute = |_| async move {
                    begun.add_permits(1);
                    let gone = |_| "the gate is gone";
                    opened.wait_for(|open| *open).await.map_err(gone)?;
                    Ok::<_, &str>(value(id))
                };
                memolock.get_or_compute(&id.to_string(), compute).await
            })
        })
        .collect();
    let all = tokio::time::timeout(PATIENCE, begun.acquire_many(count)).await;
    all.context("the leases were not taken in time")??.forget();
    let held = look(cluster).await?;

    // The waiter finds a holder of each, listens, and looks once more.
    let waiting: Vec<_> = (0..count)
        .map(|id| {
            let memolock = waiter.memolock.clone();
            tokio::spawn(async move {
                let compute = |_| async { Err::<String, _>("a waiter had to compute") };
                memolock.get_or_compute(&id.to_string(), compute).await
            })
        })
        .collect();
    waiter.settled(u64::from(count)).await?;
    let before = look(cluster).await?;
    let bus = Bus::look().await.ok();

    let began = Instant::now();
    gate.send_replace(true);
    for (id, call) in (0..count).zip(waiting) {
        let got = call.await.context("a waiter panicked")?;
        let got = got.map_err(|error| anyhow::anyhow!("a waiter failed: {error}"))?;
        ensure!(*got == value(id), "another value than that of {id}");
    }
    let millis = began.elapsed().as_secs_f64() * 1e3;
    for call in computing {
        let got = call.await.context("a holder panicked")?;
        got.map_err(|error| anyhow::anyhow!("a holder failed: {error}"))?;
    }
    let told = waiter.memolock.stats();
    ensure!(
        told.awaited == u64::from(count) && told.computes == 0,
        "{} of {count} waiters were told",
        told.awaited
    );
    waiter.settled(0).await?;
    let after = delivered(cluster).await?;
    let later = Bus::look().await.ok();
    holder.close().await;
    waiter.close().await;

    let phases = [(&held, &fresh), (&before, &held), (&after, &before)];
    let scripts = phases.map(|(after, before)| script(after, before));
    let spent = phases.map(|(after, before)| cpu(after, before, &costs) / f64::from(count));
    let nodes = cluster.nodes().iter().enumerate();
    let nodes = nodes.map(|(at, node)| {
        let done = after[at].clone() - before[at].clone();
        let facts = done.facts - costs[at];
        Load {
            messages: done.messages,
            bus: (later.as_ref().zip(bus.as_ref())).map(|(later, bus)| later.received(node, bus)),
            gossip: gossip.as_ref().ok().map(|each| each[at]),
            sent: facts.sent,
            received: facts.received,
            cpu: facts.cpu.as_micros() as u64,
        }
    });
    Ok(Completions {
        masters,
        replicas,
        way: match notifications.is_sharded() {
            true => "sharded",
            false => "classic",
        },
        count,
        millis,
        scripts,
        cpu: spent,
        nodes: nodes.collect(),
    })
}

impl Side {
    async fn open(cluster: &TestCluster, tag: &str, told: Notifications) -> Result<Self> {
        let backend = Adapter::RedisRs.connect(cluster.url()).await?;
        let builder = Memolock::<String>::builder(tag, Arc::clone(&backend));
        let builder = builder.codec(Text).lease(LEASE).wait_timeout(LEASE);
        let memolock = builder.notifications(told).build().await?;
        Ok(Self { backend, memolock })
    }

    /// Has every node know the scripts: a call that meets a node without one is sent twice, and the second time whole.
    async fn warm(&self) -> Result<()> {
        for id in 0..WARMTH {
            let compute = |_| async { Ok::<_, &str>(value(id)) };
            let id = format!("warm-{id}");
            let got = self.memolock.get_or_compute(&id, compute).await;
            got.map_err(|error| anyhow::anyhow!("cannot warm up: {error}"))?;
        }
        Ok(())
    }

    /// Returns once it listens to so many keys and sends nothing any more.
    async fn settled(&self, subscriptions: u64) -> Result<()> {
        let began = Instant::now();
        let mut before = None;
        while began.elapsed() < PATIENCE {
            let stats = self.backend.stats();
            let quiet = before == Some(stats.commands);
            if quiet && stats.subscriptions == subscriptions {
                return Ok(());
            }
            before = Some(stats.commands);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        bail!("it does not come to listen to {subscriptions} keys")
    }

    async fn close(&self) {
        self.memolock.close().await;
        self.backend.close().await;
    }
}

fn value(id: u32) -> String {
    format!("{id:BYTES$}")
}

async fn look(cluster: &TestCluster) -> Result<Vec<Census>> {
    try_join_all(cluster.nodes().iter().map(Census::of)).await
}

/// What each node did, once everything that was sent over the bus has come.
async fn delivered(cluster: &TestCluster) -> Result<Vec<Census>> {
    let began = Instant::now();
    loop {
        let seen = look(cluster).await?;
        let sum = seen.iter().map(|census| census.messages);
        let sum = sum.fold(Messages::default(), |sum, messages| sum + messages);
        if sum.sent() == sum.received() {
            return Ok(seen);
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "{} messages were sent over the bus, and {} came",
            sum.sent(),
            sum.received()
        );
    }
}

/// Bytes that come to each node's bus in a second in which nobody does anything.
async fn idle(cluster: &TestCluster) -> Result<Vec<u64>> {
    const SECONDS: u64 = 2;
    let before = Bus::look().await?;
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let after = Bus::look().await?;
    let nodes = cluster.nodes().iter();
    Ok(nodes
        .map(|node| after.received(node, &before) / SECONDS)
        .collect())
}

/// Microseconds of one script, over all nodes.
fn script(after: &[Census], before: &[Census]) -> f64 {
    let (mut calls, mut micros) = (0, 0);
    for (after, before) in after.iter().zip(before) {
        let done = (after.clone() - before.clone()).calls.of("evalsha");
        calls += done.calls;
        micros += done.micros;
    }
    micros as f64 / calls.max(1) as f64
}

/// Microseconds of processor time, over all nodes, less what the questions cost.
fn cpu(after: &[Census], before: &[Census], costs: &[Facts]) -> f64 {
    let each = after.iter().zip(before).zip(costs);
    each.map(|((after, before), cost)| (after.facts - before.facts - *cost).cpu.as_secs_f64() * 1e6)
        .sum()
}
