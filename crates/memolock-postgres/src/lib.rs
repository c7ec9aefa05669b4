//! [memolock](https://docs.rs/memolock) over PostgreSQL, for those who have one and no Redis.
//!
//! [`PgBackend`] implements [`memolock_core::Backend`] with one table and `LISTEN`/`NOTIFY`: leases,
//! fencing and wake-ups by push as over Redis, and processes share promises with each other, not
//! with peers over Redis. PostgreSQL 14 or later.
//!
//! ```no_run
//! use memolock_core::{Backend, Keyspace, Layout, Tag};
//! use memolock_postgres::PgBackend;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let builder = PgBackend::builder("postgres://app:secret@127.0.0.1/app");
//! builder.create_table().await?; // once; or have an administrator run `builder.schema()?`
//! let backend = builder.connect().await?;
//! let likes = Keyspace::new(Tag::new("likes")?, Layout::Classic)?;
//! println!("{:?}", backend.get(&likes.key("kristoff")?).await?);
//! backend.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! * One row per key: a value and a lock, each with its own end. Each operation is one statement that
//!   locks that row, so it is atomic at `READ COMMITTED`, and what it tells is told in the order of
//!   effects. Time is the server's; what has expired counts as absent, and is swept away now and then.
//! * The table is `UNLOGGED`: fast, not replicated, and empty after a crash of the server, which is
//!   what a cache may be. An administrator who wants otherwise creates it so.
//! * A key's row and its place in notifications go by the SHA-256 of its name. Values up to about 5.9 KB
//!   travel in the notification itself; of larger ones listeners are told to look.
//! * One connection for everything: commands are pipelined over it in the order in which they were first
//!   polled, and notifications come between the answers. A process costs the server one connection.
//!
//! # When the server goes away
//!
//! As with the other adapters: commands in flight fail as
//! [`Unavailable`](memolock_core::ErrorKind::Unavailable) or [`Timeout`](memolock_core::ErrorKind::Timeout);
//! those that come during the first attempt to reconnect wait for it within their bound; later ones fail
//! at once until the link is back. Attempts never end. Listeners hear
//! [`Gap`](memolock_core::Event::Gap) and [`Resumed`](memolock_core::Event::Resumed).
//!
//! # URLs
//!
//! `postgres://user:pass@host:port/database?option=value` or `host=… user=…`, as `tokio-postgres` reads
//! them; several hosts with `target_session_attrs=read-write` follow a failover. `sslmode=require` means
//! TLS with the public certificate authorities; otherwise the connection is not encrypted.
//! No error, event or `Debug` shows a password. A pooler in transaction mode cannot be used: `LISTEN`
//! needs the connection for itself.
//!
//! # Limits
//!
//! PostgreSQL sends notifications through one queue per server, and commits that notify take turns at
//! it: thousands of completions a second, not hundreds of thousands. See the README for measured costs.

mod backend;
mod builder;
mod dial;
mod error;
mod link;
mod paused;
mod payload;
mod routes;
mod rows;
mod session;
mod statements;
mod table;
mod transfers;

pub use backend::PgBackend;
pub use builder::PgBackendBuilder;

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
