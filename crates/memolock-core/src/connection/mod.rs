//! What every backend over a connection needs, whatever its store: options, faults, delays.
//!
//! All of it is pure: no connection, no clock, no random number.
//!
//! * [`Options`] are the knobs of a connection, with their defaults and bounds;
//! * [`Fault`] is a failure on its way outward, which becomes a [`BackendError`](crate::BackendError)
//!   when it learns which operation it spoilt;
//! * [`Backoff`] says how long to wait before the next attempt to reconnect.

mod backoff;
mod fault;
mod options;

pub use backoff::Backoff;
pub use fault::{Fault, UNRECOGNIZED_PAUSE};
pub use options::Options;
