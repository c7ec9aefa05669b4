//! The pure heart of [memolock](https://docs.rs/memolock): distributed memoization with promises.
//!
//! This crate never does IO, never reads a clock, never draws a random number and knows no async
//! runtime: `now` and random bits are arguments. That is what lets the same code run in production,
//! in a seeded simulation and in a browser (it builds for `wasm32-unknown-unknown`). A lint
//! (`clippy.toml`) and `cargo xtask tidy` keep it so.
//!
//! What is here:
//!
//! * [`Tag`], [`Layout`], [`Keyspace`] and [`Key`]: how a memoized call is named on the wire;
//! * [`Token`]: the unguessable proof of holding a lease;
//! * [`Backend`]: the one trait that a store implements, with its [`Event`]s and [`BackendError`];
//! * [`Machine`]: the protocol, as a state machine that is fed one [`Input`] and says one [`Output`];
//! * [`Switchboard`]: routing of notifications to listeners, for authors of backends;
//! * [`connection`]: what backends over a connection share: options, faults, delays;
//! * [`striped`]: what threads do not fight for on hot paths;
//! * [`scripts`]: the Lua that every Redis adapter sends, so that it is written once;
//! * [`redis`]: the rest that adapters for Redis and Valkey share: addresses, calls, replies.
//!
//! Applications want the `memolock` crate; this one is for authors of backends and adapters.
//!
//! # Example
//!
//! The machine by hand: probe, miss, acquire, compute, fulfil.
//!
//! ```
//! use bytes::Bytes;
//! use memolock_core::{
//!     Acquired, Completion, Entropy, Fulfilled, Input, Machine, Mode, Outcome, Output, Policy,
//!     Timestamp,
//! };
//! use std::time::Duration;
//!
//! struct Fixed;
//! impl Entropy for Fixed {
//!     fn bits(&mut self) -> u128 {
//!         42 // a real driver asks the operating system
//!     }
//! }
//!
//! let now = Timestamp::ZERO;
//! let mut machine = Machine::new(Policy::default(), Mode::Compute);
//! assert_eq!(machine.output(), Output::Probe);
//! machine.handle(now, Input::Probed(Ok(None)), &mut Fixed);
//! assert!(matches!(machine.output(), Output::Acquire { .. }));
//! machine.handle(now, Input::Acquired(Ok(Acquired::Granted)), &mut Fixed);
//! assert!(matches!(machine.output(), Output::Compute { .. }));
//! let done = Completion::Value { value: Bytes::from("7"), ttl: Duration::from_secs(60) };
//! machine.handle(now, Input::Computed(done), &mut Fixed);
//! machine.handle(now, Input::Fulfilled(Ok(Fulfilled::Stored)), &mut Fixed);
//! assert!(matches!(machine.outcome(), Some(Outcome::Computed { .. })));
//! assert_eq!(machine.output(), Output::Rest);
//! ```

mod alias;
mod backend;
pub mod connection;
mod error;
mod event;
mod key;
mod lease_clock;
pub mod machine;
mod notice;
pub mod redis;
pub mod scripts;
pub mod striped;
mod switchboard;
mod sync;
mod tag;
mod terms;
mod time;
mod token;
mod tracking;

pub use async_trait::async_trait;
pub use backend::{Backend, Subscription};
pub use error::{BackendError, ErrorKind, Operation};
pub use event::{Event, Message};
pub use key::{Key, KeyError, Keyspace, Layout, MAX_ID_BYTES, Notifications};
pub use lease_clock::LeaseClock;
#[doc(inline)]
pub use machine::{
    Completion, Deadline, Entropy, FailurePolicy, Held, Input, LeaseLimits, Machine, Mode, Origin,
    OutagePolicy, Outcome, Output, Phase, Policy, Storage,
};
pub use notice::{MAX_MESSAGE_BYTES, Notice};
pub use switchboard::{Changes, Listener, Switchboard};
pub use tag::{MAX_TAG_BYTES, Tag, TagError};
pub use terms::{
    Acquired, Attempt, BackendStats, Capabilities, Fulfilled, Fulfilment, Inspection, LockInfo,
    PutMode, Remaining, Renewal, Timed, ValueInfo,
};
pub use time::{MAX_TTL, Timestamp, millis};
pub use token::Token;
pub use tracking::{Change, Tracker, Tracking, TrackingBoard, Wish};
