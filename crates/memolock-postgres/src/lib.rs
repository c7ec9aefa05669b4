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
//! * One connection for everything: commands are pipelined over it, and notifications come between the
//!   answers. A process costs the server one connection.
//! * At most 512 commands are on their way at once; more callers wait for their turn. Renewals and fences
//!   do not wait, so a crowd of callers costs no lease. All others are sent in the order in which they were
//!   first polled. A command that waits behind others does not time out as long as the server answers those.
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
//! `postgres://user:pass@host:port/database?parameter=value` or `host=… user=…`, with the parameters and
//! defaults of libpq. Several hosts with `target_session_attrs=read-write` follow a failover. A parameter
//! that libpq does not know, or that this client does not support, is refused by its name. Environment
//! variables such as `PGSSLMODE` and the password file are not read. No error, event or `Debug` shows a
//! password.
//!
//! ## TLS
//!
//! | `sslmode` | is the connection encrypted? | is the server checked? |
//! |---|---|---|
//! | `disable` | no | |
//! | `allow` | if the server refuses us without | only against an authority that is named |
//! | `prefer` (default) | if the server can; without if TLS fails | the same |
//! | `require` | yes | the same |
//! | `verify-ca` | yes | its certificate is of the named authority |
//! | `verify-full` | yes | and is for the host name of the URL |
//!
//! * `sslrootcert=FILE` names the authorities, in PEM. `sslrootcert=system` means those of the operating
//!   system, or Mozilla's where the system has none; it needs `verify-full`, and makes that the default.
//! * `sslcert=FILE` and `sslkey=FILE` are our certificate and its key (PEM; the key may be DER).
//!   `sslcrl=FILE` lists what was revoked.
//! * Without these, libpq's own files are used if they are there: `~/.postgresql/root.crt`, `root.crl`,
//!   `postgresql.crt` and `postgresql.key`.
//! * `sslnegotiation`, `sslsni`, `sslcertmode=disable`, `channel_binding`, `ssl_min_protocol_version` and
//!   `ssl_max_protocol_version` work too. TLS 1.2 is the oldest version.
//!
//! All of TLS is in the URL; the builder has no options for it. Files are read for each connection, so a
//! renewed certificate is used from the next one on. Three things differ from libpq on purpose: a file
//! that is needed and cannot be read is always an error, a password that was refused over TLS is not
//! sent again without, and the permissions of a key's file are not checked.
//!
//! # Poolers
//!
//! `LISTEN` needs a session of its own. A pooler in session mode (pgbouncer: `pool_mode=session`) gives one
//! and works. A pooler in transaction or statement mode is found out before anything is set in its
//! sessions, and refused as [`Unsupported`](memolock_core::ErrorKind::Unsupported). Where there is a
//! pooler, each attempt to connect makes a second connection for a moment, to find out its mode.
//!
//! # Limits
//!
//! PostgreSQL sends notifications through one queue per server, and commits that notify take turns at
//! it: thousands of completions a second, not hundreds of thousands. See the README for measured costs.

mod backend;
mod builder;
mod dial;
mod error;
mod granted;
mod link;
mod opening;
mod parameter;
mod paused;
mod payload;
mod pooler;
mod queue;
mod routes;
mod rows;
mod session;
mod socket;
mod statements;
mod table;
mod target;
mod tls;
mod transfers;
mod url;
mod verify;

pub use backend::PgBackend;
pub use builder::PgBackendBuilder;

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
