//! What every adapter for Redis and Valkey needs whatever its client: addresses, calls, replies, faults.
//!
//! All of it is pure: no connection, no clock, no random number. An adapter is left with IO alone:
//!
//! * [`Address`] reads a URL, the same for every adapter, and never shows its password;
//! * [`Options`] are the knobs of a connection, with their defaults and bounds;
//! * [`calls`] says which script, keys and arguments carry out an operation;
//! * [`Reply`] is an answer in a form that no client owns, and [`reply`] reads it;
//! * [`Fault`] gives each error line of a server its kind;
//! * [`Routes`] knows which channel speaks of which key;
//! * [`Backoff`] says how long to wait before the next attempt to reconnect.

mod address;
mod backoff;
pub mod calls;
mod fault;
mod options;
pub mod reply;
mod routes;

pub use address::{Address, Endpoint};
pub use backoff::Backoff;
pub use calls::{Call, Script};
pub use fault::Fault;
pub use options::Options;
pub use reply::Reply;
pub use routes::{KEYS_PER_COMMAND, Routes};
