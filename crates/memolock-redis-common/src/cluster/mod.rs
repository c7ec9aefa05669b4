//! Many servers as one backend: a router in front of one single-server stack for each master.
//!
//! An adapter has a proven stack for one server: a link for commands, one for subscriptions, their fences, gaps and
//! heartbeats. A cluster is one such stack for each master ([`Node`]), made by the adapter ([`Opener`]), and in front
//! of them the router ([`Cluster`]), the same whatever the client. The clients' own cluster modes are
//! not used: they retry behind the caller's back, and do not say which node's subscriptions are lost.
//!
//! ```text
//! Cluster --slot--> Atlas (who serves it) --> Node --> its server
//!    |                ^  moved, ASK                 |
//!    |                '------- Route <--redirect----'
//!    '-- Ear, Union: subscriptions that follow their slot        Keeper: asks for the map, one at a time
//! ```
//!
//! Routing itself, what a redirection means and when to try again are pure, and in [`memolock_core::redis::cluster`].
//! The router adds timers and one task.

mod atlas;
mod backend;
mod batches;
mod ear;
mod keeper;
mod many;
mod node;
mod repeating;
mod route;
mod shared;
mod spread;
mod union;

pub use backend::Cluster;
pub use node::{Node, Opener, Request};
