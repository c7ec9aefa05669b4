//! Faults of real servers, processes and networks while others wait: bounded, no wrong value, recovery by itself.

#![allow(clippy::unwrap_used)]

mod matrix;
mod particular;
