//! What every adapter for Redis and Valkey needs whatever its client: addresses, calls, replies, faults.
//!
//! All of it is pure: no connection, no clock, no random number. An adapter is left with IO alone:
//!
//! * [`Address`] reads a URL, the same for every adapter, and never shows its password;
//! * [`calls`] says which script, keys and arguments carry out an operation;
//! * [`Reply`] is an answer in a form that no client owns, and [`reply`] reads it;
//! * [`Fault`] gives each error line of a server its kind;
//! * [`Routes`] knows which channel speaks of which key;
//! * [`cluster`] knows slots, who serves them, and what to do when they move;
//! * [`sentinel`] reads what sentinels say, and whom of them to believe;
//! * [`TlsOptions`], [`CredentialsProvider`] and [`ClientName`] say how connections are made.

mod address;
pub mod calls;
mod client_name;
pub mod cluster;
mod credentials;
mod error_lines;
mod fault;
pub mod reply;
mod routes;
pub mod sentinel;
pub mod tls;

/// From [`connection`](crate::connection), for these adapters' convenience.
#[doc(no_inline)]
pub use crate::connection::{Backoff, Fault, Options};
pub use address::{Address, Endpoint, Topology};
pub use calls::{Call, LARGE_BYTES, Script};
pub use client_name::ClientName;
pub use credentials::{Credentials, CredentialsProvider};
pub use reply::Reply;
pub use routes::{KEYS_PER_COMMAND, Routes};
pub use tls::TlsOptions;
