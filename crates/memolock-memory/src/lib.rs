//! The embedded backend of [memolock](https://docs.rs/memolock), and the reference for authors of
//! backends: everything that [`Backend`](memolock_core::Backend) promises, in the process's own memory.
//!
//! It never does IO, never waits (every future is ready when first polled) and needs no async
//! runtime. Time comes from a [`Clock`] that tests may turn by hand.
//!
//! Use it for programs of one process, for tests and demonstrations. Clones of a [`MemoryBackend`]
//! share what is stored, so that two clients, one clone each, behave like two processes at one server.
//!
//! # Example
//!
//! A lease by hand, and a value that expires:
//!
//! ```
//! use bytes::Bytes;
//! use memolock_core::{Acquired, Backend, Fulfilled, Keyspace, Layout, Tag, Token};
//! use memolock_memory::{ManualClock, MemoryBackend};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = ManualClock::new();
//! let backend = MemoryBackend::builder().clock(clock.clone()).build();
//! let key = Keyspace::new(Tag::new("likes")?, Layout::Classic)?.key("kristoff")?;
//! let (ours, theirs) = (Token::from_bits(1), Token::from_bits(2));
//! let (lease, ttl) = (Duration::from_secs(5), Duration::from_secs(60));
//!
//! assert_eq!(backend.acquire(&key, ours, lease).await?, Acquired::Granted);
//! assert!(matches!(backend.acquire(&key, theirs, lease).await?, Acquired::Held(_)));
//!
//! let seven = Bytes::from("7");
//! let stored = backend.fulfil(&key, ours, seven.clone(), ttl).await?;
//! assert_eq!(stored, Fulfilled::Stored);
//! assert_eq!(backend.acquire(&key, theirs, lease).await?, Acquired::Value(seven));
//!
//! clock.advance(ttl);
//! assert_eq!(backend.get(&key).await?, None);
//! # Ok(())
//! # }
//! ```
//!
//! # For authors of backends
//!
//! `store.rs` is the semantics, a dozen lines an operation, without time, errors or notification;
//! `backend.rs` adds these. What to take over: the effect and the message happen under one lock, so
//! nobody can hear of a value that is not there; durations pass through
//! [`millis`](memolock_core::millis); a closed backend says so before it does anything; listeners live
//! in a [`Switchboard`](memolock_core::Switchboard).

mod backend;
mod builder;
mod clock;
mod expiry;
mod locks;
mod store;
mod values;

pub use backend::MemoryBackend;
pub use builder::{DEFAULT_CAPACITY_BYTES, ENTRY_OVERHEAD_BYTES, MemoryBuilder};
pub use clock::{Clock, ManualClock, SystemClock, TokioClock};
pub use store::Usage;

/// The README's example is a test too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
