//! The conformance suite of the testkit, run as `memolock-redis-rs` runs it.

#![allow(clippy::unwrap_used)]

#[path = "../../../memolock-redis-rs/tests/conformance/cluster.rs"]
mod cluster;
#[path = "../../../memolock-redis-rs/tests/conformance/containers.rs"]
mod containers;
#[path = "../../../memolock-redis-rs/tests/conformance/run.rs"]
mod run;
mod subject;
#[path = "../../../memolock-redis-rs/tests/conformance/ways.rs"]
mod ways;
