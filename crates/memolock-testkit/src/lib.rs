//! Test tools of [memolock](https://docs.rs/memolock): servers for tests, for authors of adapters and
//! of services, and the conformance [`suite`] for authors of backends.
//!
//! This crate never talks to a server through a Redis client library: it has a few lines of RESP of
//! its own, so that it serves every adapter alike and ties nobody to a version.
//!
//! [`TestServer::start`] gets a Redis or Valkey from wherever there is one, in this order:
//!
//! 1. `MEMOLOCK_TEST_URL`: a server that others share, so use [`unique_tag`] and leave the rest alone;
//! 2. Docker, with the image `MEMOLOCK_TEST_IMAGE` (default [`DEFAULT_IMAGE`]);
//! 3. `redis-server` or `valkey-server` on the `PATH`, as a child process on a free loopback port.
//!
//! `MEMOLOCK_TEST_PROVIDER=url|docker|local` insists on one of them. [`TestServer::start_local`] is for
//! tests that kill, pause or count: it gives a server that nobody else uses. Nothing is left running,
//! not even when the test panics or is itself killed.
//!
//! More than one server, of which each is a [`TestServer`] with all its verbs:
//!
//! * [`TestCluster`]: masters and replicas; failovers, slots on their way from one master to another, and
//!   nodes that are cut off; and a [`ClusterFront`], by which the lines of one client can be broken;
//! * [`TestSentinel`]: a master, its replicas, and the sentinels that watch them; and a [`SentinelFront`], which
//!   is for them what the other is for a cluster.
//!
//! `TlsServer` and `TestCluster::start_tls` (feature `tls`) have certificates of their own, and [`TestServer::start_unix`] a Unix socket.
//! [`PgServer`] is the same in small for backends over PostgreSQL.
//!
//! # Example
//!
//! ```no_run
//! use memolock_testkit::{TestServer, unique_tag};
//!
//! # async fn example() -> Result<(), memolock_testkit::ServerError> {
//! let server = TestServer::start().await?;
//! println!("{} at {}", server.provider(), server.url());
//! let key = format!("{}:kristoff", unique_tag("likes"));
//! server.command(&["SET", &key, "42"]).await?;
//! assert_eq!(server.command(&["GET", &key]).await?, "42");
//!
//! let server = TestServer::start_local().await?;
//! let mut monitor = server.monitor().await?;
//! server.command(&["PING"]).await?;
//! assert_eq!(monitor.drain().await?[0].name(), "PING");
//! server.pause().await?; // alive, and answers nothing
//! server.resume().await?;
//! server.restart().await?; // same port, and empty
//! # Ok(())
//! # }
//! ```

mod cluster;
mod connection;
mod error;
mod info;
mod monitor;
mod proxy;
mod resp;
mod sentinel;
mod server;
pub mod suite;
#[cfg(feature = "tls")]
mod tls;
mod unique;
mod wait;

pub use cluster::{ClusterFront, ClusterOptions, Migration, TestCluster};
pub use connection::Connection;
pub use error::ServerError;
pub use monitor::{Monitor, Observed};
pub use proxy::{Arrivals, End, Faults, Flow, Limit, Pace, Proxy, Tally, Way};
pub use resp::Value;
pub use sentinel::{SentinelFront, SentinelOptions, Switch, Switches, TestSentinel};
pub use server::{DEFAULT_IMAGE, PUBLIC_IMAGE, Provider, TestServer};
#[cfg(unix)]
pub use server::{PgBouncer, PgOptions, PgServer};
#[cfg(feature = "tls")]
pub use tls::{ClientAuth, Credentials, TlsServer};
pub use unique::unique_tag;
