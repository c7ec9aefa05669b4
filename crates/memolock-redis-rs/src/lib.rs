//! [memolock](https://docs.rs/memolock) over Redis or Valkey, with the [`redis`] crate.
//!
//! [`RedisBackend`] implements [`memolock_core::Backend`]. It speaks RESP3, so the server must be
//! Redis 6.0 or later, or any Valkey. It never retries a command by itself (the one exception is a
//! script that the server has forgotten), never polls, and never keeps a caller waiting without a
//! bound in time.
//!
//! ```no_run
//! use memolock_core::{Backend, Keyspace, Layout, Tag};
//! use memolock_redis_rs::RedisBackend;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let backend = RedisBackend::connect("redis://127.0.0.1:6379").await?;
//! let likes = Keyspace::new(Tag::new("likes")?, Layout::Classic)?;
//! println!("{:?}", backend.get(&likes.key("kristoff")?).await?);
//! backend.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Connections
//!
//! Two, each kept alive by one task: one for commands, multiplexed, and one for subscriptions. They
//! are separate because a connection that subscribes falls in the server's `pubsub` output-buffer
//! class, where a large reply would get it killed. A quiet connection is pinged once per
//! [heartbeat](RedisBackendBuilder::heartbeat), so that a server which hangs without closing its
//! connections is noticed too.
//!
//! Computed values above 1 MiB are stored over a third one, which is made when it is needed and ends after 10 s without
//! use. So nothing small waits behind them, and a server that refuses them closes no connection of others.
//!
//! An application that owns a `deadpool_redis::Pool` may lend it for commands: feature `deadpool`,
//! `RedisBackendBuilder::pool`.
//!
//! # When the server goes away
//!
//! * A command that was in flight fails as [`Unavailable`](memolock_core::ErrorKind::Unavailable) or
//!   [`Timeout`](memolock_core::ErrorKind::Timeout): whether it took effect is unknown.
//! * Commands that come while the first attempt to reconnect is under way wait for it, within their
//!   [bound](RedisBackendBuilder::command_timeout): a killed connection is not an outage.
//! * Once an attempt has failed, commands fail at once with the reason, until the link is back.
//!   Attempts go on for ever, with exponential delays and jitter.
//! * Listeners hear [`Event::Gap`](memolock_core::Event::Gap), and
//!   [`Event::Resumed`](memolock_core::Event::Resumed) when the server has confirmed them again.
//!
//! # URLs
//!
//! `redis://[user[:pass]@]host[:port][/db]`, `rediss://…` for TLS, `redis+unix:///path.sock`,
//! `redis-sentinel://[user[:pass]@]host[:port][,host…]/service[/db][?sentinel_user=…&sentinel_pass=…]` for the
//! master of a service, and `rediss-sentinel://…` for the same over TLS. All forms take `?db=1&user=…&pass=…` too.
//! A user without a password logs in with an empty password, and never as the default user. In a password, `@`, `/`,
//! `?`, `#` and `%` are percent-encoded. Unknown query options are ignored. No error, event or `Debug` shows a password.
//!
//! TLS trusts the public certificate authorities, or [others](TlsOptions); passwords that are rotated come from
//! [a provider](RedisBackendBuilder::credentials).
//!
//! # Sentinel
//!
//! One more connection for each sentinel, which listens to it. A failover is followed as soon as any
//! sentinel announces it: both connections leave the old master, whether or not it still answers, and listeners
//! hear a gap. A server that says that it is a replica is never used.
//!
//! # Clusters
//!
//! `redis-cluster://host:port,host:port`, or `?node=host:port`, names some nodes of a cluster: the README says what it
//! does there.

mod backend;
mod builder;
mod command;
#[cfg(feature = "deadpool")]
mod connection_info;
mod dial;
mod error;
mod opening;
#[cfg(feature = "deadpool")]
mod pooled;
mod pushes;
mod reply;
mod road;
mod session;
mod shards;
mod stream;
mod tls;
mod tracking;
mod url;

pub use backend::RedisBackend;
pub use builder::RedisBackendBuilder;
/// The pool that [`RedisBackendBuilder::pool`] takes.
#[cfg(feature = "deadpool")]
pub use deadpool_redis;
/// What the builder takes.
pub use memolock_core::redis::{Credentials, TlsOptions};

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
