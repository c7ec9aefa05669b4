//! The conformance suite of the testkit: bare, in an `Arc` and boxed, on a real server. `memolock-fred`
//! runs the same: only `subject.rs` knows which adapter it is.

#![allow(clippy::unwrap_used)]

mod cluster;
mod containers;
mod run;
mod subject;
mod ways;
