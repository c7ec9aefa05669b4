//! What stands before a master and its sentinels, for one client: a sentinel that names a proxy.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join;
use memolock_core::async_trait;

use super::start::{start, watch};
use super::{SentinelOptions, TestSentinel};
use crate::server::Role;
use crate::suite::Line;
use crate::{Provider, Proxy, ServerError, TestServer, unique_tag};

/// How long the master of a front may be silent: for longer than any line is broken.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// What a sentinel makes and unmakes masters by, in its older name and in its newer.
const POWERS: [&str; 2] = ["SLAVEOF", "REPLICAOF"];

/// A [`Proxy`] before the master, a sentinel that takes the proxy for the master, and one more proxy before this
/// sentinel. Who comes by its [`url`](Self::url) has all its connections led through these, so that its lines can be
/// broken while nobody else notices.
///
/// Its sentinel watches under a name of its own: the others do not count it, and it does not listen to them. It says
/// where the master is, and can do nothing to it: after a failover it still leads to the old one.
///
/// As a [`Line`] of the conformance suite it cuts, stalls and heals both proxies at once. Dropping it ends its sentinel
/// and all connections.
///
/// ```no_run
/// # async fn example() -> Result<(), memolock_testkit::ServerError> {
/// use memolock_testkit::TestSentinel;
/// use memolock_testkit::suite::Line;
///
/// let sentinel = TestSentinel::start_local().await?;
/// let front = sentinel.front().await?;
/// println!("{}", front.url()); // redis-sentinel://127.0.0.1:…/memolock-…
/// front.cut().await;
/// front.heal().await;
/// front.master().cut().await; // and the sentinel still says where it is
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SentinelFront {
    master: Proxy,
    sentinel: Proxy,
    #[allow(dead_code)] // It is held for its drop.
    process: TestServer,
    url: String,
}

impl TestSentinel {
    /// A front before the present master, for one client. It takes processes.
    ///
    /// # Errors
    /// [`ServerError::Control`] if they are containers, which reach no proxy here, or if one more sentinel or a proxy
    /// does not start; those of [`master`](Self::master).
    pub async fn front(&self) -> Result<SentinelFront, ServerError> {
        if !matches!(self.provider(), Provider::Local { .. }) {
            let why =
                "a sentinel in a container reaches no proxy on this machine, it takes processes";
            return Err(unfit(&why));
        }
        let master = before(&self.servers[self.master().await?]).await?;
        let options = SentinelOptions {
            sentinels: 1,
            name: unique_tag(&self.name),
            down_after: NEVER,
            failover_timeout: NEVER,
            ..SentinelOptions::default()
        };
        let process = start(&self.ground, Role::Sentinel, &[]).await;
        let process = process.map_err(|why| unfit(&why))?;
        let host = master.address().ip().to_string();
        watch(&process, (&host, master.address().port()), &options).await?;
        // It finds the replicas elsewhere than it believes the master to be, and would set that right.
        for power in POWERS {
            let disarmed = ["SENTINEL", "SET", &options.name, "rename-command", power];
            process
                .command(&[&disarmed[..], &["none"]].concat())
                .await?;
        }
        let sentinel = before(&process).await?;
        Ok(SentinelFront {
            url: format!("redis-sentinel://{}/{}", sentinel.address(), options.name),
            master,
            sentinel,
            process,
        })
    }
}

impl SentinelFront {
    /// The URL for the client that it leads, with its sentinel and its name of the master.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What stands before the master.
    #[must_use]
    pub fn master(&self) -> &Proxy {
        &self.master
    }

    /// What stands before the sentinel that names [`master`](Self::master).
    #[must_use]
    pub fn sentinel(&self) -> &Proxy {
        &self.sentinel
    }
}

#[async_trait]
impl Line for SentinelFront {
    async fn cut(&self) {
        join(self.master.cut(), self.sentinel.cut()).await;
    }

    async fn heal(&self) {
        join(self.master.heal(), self.sentinel.heal()).await;
    }

    async fn stall(&self) -> bool {
        join(self.master.stall(), self.sentinel.stall()).await == (true, true)
    }
}

/// A proxy before a process of ours, all of which are at one host.
async fn before(server: &TestServer) -> Result<Proxy, ServerError> {
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
    Proxy::start(target).await.map_err(|error| unfit(&error))
}

fn unfit(why: &dyn std::fmt::Display) -> ServerError {
    ServerError::Control {
        verb: "fronted",
        why: why.to_string(),
    }
}
