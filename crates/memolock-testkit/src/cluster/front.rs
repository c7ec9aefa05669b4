//! What stands before a whole cluster, for one client: a proxy for each node.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use memolock_core::async_trait;

use super::{PLAIN, TestCluster, url};
use crate::suite::Line;
use crate::{Proxy, ServerError, TestServer, Value};

/// The first address of fronts: below it lives what systems have there (127.0.0.1, 127.0.0.53, 127.0.1.1).
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);
/// How many there are at the least, up to the end of 127.0.0.0/8.
const ADDRESSES: u32 = 1 << 23;

/// An address of this machine at which every node of a cluster has a [`Proxy`], on the node's own port. Who comes by
/// its [`url`](Self::url) has all its connections led through these, so that its lines can be broken while nobody
/// else notices.
///
/// As a [`Line`] of the conformance suite it cuts, stalls and heals all of them at once. Dropping it ends all
/// connections through it.
///
/// ```no_run
/// # async fn example() -> Result<(), memolock_testkit::ServerError> {
/// use memolock_testkit::suite::Line;
/// use memolock_testkit::{ClusterOptions, TestCluster};
///
/// let hostless = ClusterOptions { hostless: true, ..ClusterOptions::default() };
/// let cluster = TestCluster::start_local_with(hostless).await?;
/// let front = cluster.front().await?;
/// println!("{}", front.url()); // redis-cluster://127.1.0.1:…?node=127.1.0.1:…&node=…
/// front.cut().await;
/// front.heal().await;
/// front.proxies()[1].cut().await; // the second node alone
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ClusterFront {
    proxies: Vec<Proxy>,
    url: String,
}

impl TestCluster {
    /// A front before all nodes that there are now, at an address that no other front has. It takes a
    /// [hostless](super::ClusterOptions::hostless) cluster without TLS (no certificate names a front), of which every node answers; and a system on which all of
    /// 127.0.0.0/8 is this machine, as Linux.
    ///
    /// # Errors
    /// [`ServerError::Control`] if a node names hosts, to which clients would go past the front, if it has TLS, or if a
    /// proxy cannot listen; [`ServerError`] if a node does not answer.
    pub async fn front(&self) -> Result<ClusterFront, ServerError> {
        if self.scheme() != PLAIN {
            return Err(unfit(&"no certificate of the cluster's names a front"));
        }
        let slots = self.command_all(&["CLUSTER", "SLOTS"]).await?;
        if let Some(talker) = slots.iter().position(names_hosts) {
            return Err(unfit(&format!(
                "{} names hosts in CLUSTER SLOTS, to which clients would go: start the cluster by \
                 ClusterOptions::hostless",
                self.place(talker)
            )));
        }
        ClusterFront::at(fresh(), &self.nodes).await
    }
}

impl ClusterFront {
    async fn at(host: Ipv4Addr, nodes: &[TestServer]) -> Result<Self, ServerError> {
        let mut proxies = Vec::new();
        for node in nodes {
            let here = SocketAddr::from((host, node.port()));
            // A hostless cluster is one of processes, each of which is at an IP address.
            let target: IpAddr = node.host().parse().map_err(|error| unfit(&error))?;
            let proxy = Proxy::start_at(here, (target, node.port()).into()).await;
            proxies.push(proxy.map_err(|error| unfit(&format!("at {here}: {error}")))?);
        }
        let places = proxies.iter().map(|proxy| proxy.address().to_string());
        Ok(Self {
            url: url(PLAIN, places),
            proxies,
        })
    }

    /// The URL for the client that it leads, with all nodes: `redis-cluster://127.1.0.1:1?node=127.1.0.1:2&node=…`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The proxies, one for each node, in the order of [`TestCluster::nodes`].
    #[must_use]
    pub fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }
}

#[async_trait]
impl Line for ClusterFront {
    async fn cut(&self) {
        join_all(self.proxies.iter().map(Line::cut)).await;
    }

    async fn heal(&self) {
        join_all(self.proxies.iter().map(Line::heal)).await;
    }

    async fn stall(&self) -> bool {
        let stalled = join_all(self.proxies.iter().map(Line::stall)).await;
        stalled.into_iter().all(|stalled| stalled)
    }
}

/// Whether any node has a host in a reply to `CLUSTER SLOTS`.
fn names_hosts(slots: &Value) -> bool {
    let nodes = slots.items().iter().flat_map(|range| {
        // First and last slot come before them.
        range.items().iter().skip(2)
    });
    let mut hosts = nodes.filter_map(|node| node.items().first()?.as_str());
    hosts.any(|host| !host.is_empty())
}

/// An address that no other front of this process has. Those of others have other nodes, thus other ports.
fn fresh() -> Ipv4Addr {
    static FRONTS: AtomicU32 = AtomicU32::new(0);
    let number = FRONTS.fetch_add(1, Ordering::Relaxed) % ADDRESSES;
    Ipv4Addr::from_bits(FIRST.to_bits() + number)
}

fn unfit(why: &dyn std::fmt::Display) -> ServerError {
    ServerError::Control {
        verb: "fronted",
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_differ_and_are_this_machines() {
        let (one, other) = (fresh(), fresh());
        assert!(one != other && one.is_loopback() && other.is_loopback());
        let last = Ipv4Addr::from_bits(FIRST.to_bits() + ADDRESSES - 1);
        assert!(last.is_loopback(), "{last}");
    }

    #[test]
    fn hosts_are_noticed_wherever_they_are_named() {
        let range = |host: Value| {
            let node = Value::Array(vec![host, Value::Integer(7000)]);
            Value::Array(vec![Value::Integer(0), Value::Integer(100), node])
        };
        let named = || range(Value::Bytes("127.0.0.1".into()));
        let unnamed = || range(Value::Nil);
        let empty = || range(Value::Bytes("".into()));
        assert!(!names_hosts(&Value::Array(vec![unnamed(), empty()])));
        assert!(names_hosts(&Value::Array(vec![unnamed(), named()])));
    }
}
