//! What [memolock](https://docs.rs/memolock)'s adapters for Redis and Valkey share above their clients.
//!
//! ```text
//! Store -+- a server -+- Road (adapter) --commands--> Trunk --+
//!        |            '- subscriptions --attended by Client --+--> Link --> Dialer --connect--> Client (adapter)
//!        '- Cluster: one such server for each master                          '- Site: address, options, sentinels
//! ```
//!
//! An adapter says four things of its client: how it connects and what a connection can do ([`Client`], [`Ends`]), how it
//! sends commands ([`Road`]), and how one life of the subscription connection goes ([`Client::attend`]). The rest is here:
//!
//! * [`Store`]: one server or many as one backend; [`forward_backend!`] hands on to it without a box more for each call.
//! * [`Trunk`] and [`Link`]: connections that heal themselves, and what a command does that meets a dead one.
//! * [`Home`]: the runtime that all of it lives on, whoever asks.
//! * Two more connections to a server, made when they are needed: for the fulfils of large values, and for repeated notices.
//! * [`Boxes`]: room for the futures of hits, used again.
//! * [`Site`] and [`Dialer`]: where to, as whom and within which bound; sentinels are asked and listened to.
//! * [`Owner`] and [`Plan`]: what a session of subscriptions works for, and what it is to ask next.
//! * [`Repeats`]: notices that are published once more, for clients of 2019.
//! * [`cluster`]: a router in front of one single-server stack for each master.
//!
//! Whatever needs neither timers nor tasks is in [`memolock_core::redis`]. Applications want the `memolock` crate; this
//! one is for authors of adapters.

mod boxes;
mod client;
pub mod cluster;
mod counters;
mod dial;
mod dice;
mod forward;
mod gate;
mod greeting;
mod home;
mod known_scripts;
mod large;
mod link;
mod nodes;
mod paused;
mod plan;
mod repeats;
mod road;
mod sentinels;
mod server;
mod site;
mod store;
mod subscriptions;
mod tls;
mod transfers;
mod trunk;
mod watched;

pub use boxes::{Boxed, Boxes};
pub use client::{Client, Ends, Purpose};
pub use counters::Counters;
pub use dial::{Dialer, Line};
pub use dice::Dice;
pub use greeting::{Duplex, RawStream, RawTls, raw_stream};
pub use home::Home;
pub use known_scripts::KnownScripts;
pub use link::{Doubt, Link, heartbeat};
pub use paused::{RealTime, late};
pub use plan::{Plan, Step};
pub use repeats::{Repeated, Repeater, Repeats};
pub use road::Road;
pub use site::{NameWatch, Names, Site, Way};
pub use store::Store;
pub use subscriptions::Owner;
pub use tls::client_config;
pub use transfers::{LONGEST_HIT, Patience, Sent, Sizes, Transfers, allowance};
pub use trunk::{SenderOf, Trunk, Wire};
pub use watched::Watched;

#[doc(hidden)]
pub mod reexports {
    pub use bytes::Bytes;
    pub use memolock_core as core;
}
