//! Distributed memoization with promises.
//!
//! A service asks for a value by id. If it is stored, it is returned. If not, exactly one caller in the
//! whole fleet computes it, and everyone else, in this process or another, in Rust or another language,
//! waits for that promise and is woken by push when it is there.
//!
//! It is about doing less work, not about mutual exclusion for correctness: when a lease is lost (a
//! process paused for longer than it, a server that lost its memory) a compute may run twice.
//!
//! ```
//! use memolock::{Memolock, memory::MemoryBackend};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let likes: Memolock<u64> = Memolock::builder("likes", MemoryBackend::new())
//!     .ttl(Duration::from_secs(60))
//!     .build()
//!     .await?;
//!
//! async fn count_likes(_user: &str) -> Result<u64, std::io::Error> {
//!     Ok(42) // the database, in real life
//! }
//! let n = likes.get_or_compute("kristoff", |_lease| count_likes("kristoff")).await?;
//! assert_eq!(*n, 42);
//! # likes.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Over Redis or Valkey, with the feature `redis-rs`, the backend is
//! `memolock::redis_rs::RedisBackend::connect("redis://127.0.0.1:6379").await?`; with the feature `fred`
//! it is `memolock::fred::FredBackend`, and with `postgres`, for those without a Redis,
//! `memolock::postgres::PgBackend`.

mod breaker;
mod builder;
mod called;
mod cleanup;
mod client;
mod closing;
mod codec_check;
mod commands;
mod computed;
mod crew;
mod detached;
mod driver;
mod engine;
mod entropy;
mod entry;
mod error;
mod flight;
mod glance;
mod heartbeat;
mod holding;
mod home;
mod hub;
#[cfg(all(test, memolock_shuttle))]
mod interleavings;
mod landing;
mod lease;
mod limits;
mod many;
mod memo;
mod near;
mod nesting;
mod places;
mod remembered;
mod runtime_error;
mod settled;
mod shared;
mod sieve;
mod stats;
mod store;
mod sync;
mod table;
mod tags;
mod transfer;
mod undecodable;
mod watch;
mod work;

pub use breaker::CircuitBreaker;
pub use builder::Builder;
pub use client::{InFlight, Memolock};
pub use computed::Computed;
pub use entropy::OsEntropy;
pub use entry::{Detached, Entry};
pub use error::{BoxError, Error};
pub use lease::Lease;
pub use many::{Entries, Many};
pub use memo::{Memo, Source};
pub use near::{Coherence, NearCache, NearStats};
pub use runtime_error::RuntimeError;
pub use stats::Stats;
pub use undecodable::UndecodablePolicy;

/// The codec of a memolock that was not given one.
#[cfg(feature = "json")]
pub type DefaultCodec = memolock_codec::Json;
/// Without the feature `json` there is no default: [`Builder::codec`] must be called.
#[cfg(not(feature = "json"))]
pub type DefaultCodec = ();

pub use memolock_codec as codec;
pub use memolock_core as core;
#[doc(no_inline)]
pub use memolock_core::{Backend, FailurePolicy, Layout, Notifications, OutagePolicy, Phase};

/// The backend over PostgreSQL.
#[cfg(feature = "postgres")]
pub use memolock_postgres as postgres;

/// The backend over the `fred` crate.
#[cfg(feature = "fred")]
pub use memolock_fred as fred;
/// The embedded backend.
#[cfg(feature = "memory")]
pub use memolock_memory as memory;
/// The backend over the `redis` crate.
#[cfg(feature = "redis-rs")]
pub use memolock_redis_rs as redis_rs;

/// The code of the README compiles and runs.
#[cfg(all(doctest, feature = "memory", feature = "json"))]
#[doc = include_str!("../README.md")]
struct Readme;
