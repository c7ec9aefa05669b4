//! The adapter over an application's pool: the conformance suite, and what only a pool can do wrong.

#![allow(clippy::unwrap_used)]

mod faults;
#[path = "../conformance/run.rs"]
mod run;
mod subject;
