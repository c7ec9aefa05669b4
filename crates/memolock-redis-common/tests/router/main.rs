//! The router over nodes in memory, with paused time.

#![allow(clippy::unwrap_used)]

mod commands;
mod listening;
mod runtimes;
mod tracking;
mod world;
