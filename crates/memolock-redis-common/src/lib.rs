//! What [memolock](https://docs.rs/memolock)'s adapters for Redis and Valkey share above their clients.
//!
//! * [`cluster`]: many servers as one backend, a router in front of one single-server stack for each master.
//! * [`forward_backend!`]: a backend that is one of several.
//!
//! Whatever needs neither timers nor tasks is in [`memolock_core::redis`]. Applications want the `memolock` crate; this
//! one is for authors of adapters.

mod client;
pub mod cluster;
mod counters;
mod dial;
mod dice;
mod forward;
mod link;
mod nodes;
mod road;
mod sentinels;
mod server;
mod site;
mod store;
mod subscriptions;
mod tls;
mod trunk;

pub use client::{Client, Ends, Purpose};
pub use counters::Counters;
pub use dial::{Dialer, Line};
pub use dice::Dice;
pub use link::{Doubt, Link, Tenant, heartbeat};
pub use road::Road;
pub use site::{NameWatch, Names, Site, Way};
pub use store::Store;
pub use subscriptions::Owner;
pub use tls::client_config;
pub use trunk::{SenderOf, Trunk, Wire};

#[doc(hidden)]
pub mod reexports {
    pub use bytes::Bytes;
    pub use memolock_core as core;
}
