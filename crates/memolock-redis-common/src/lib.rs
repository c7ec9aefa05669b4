//! What [memolock](https://docs.rs/memolock)'s adapters for Redis and Valkey share above their clients.
//!
//! * [`cluster`]: many servers as one backend, a router in front of one single-server stack for each master.
//! * [`forward_backend!`]: a backend that is one of several.
//!
//! Whatever needs neither timers nor tasks is in [`memolock_core::redis`]. Applications want the `memolock` crate; this
//! one is for authors of adapters.

pub mod cluster;
mod forward;

#[doc(hidden)]
pub mod reexports {
    pub use bytes::Bytes;
    pub use memolock_core as core;
}
