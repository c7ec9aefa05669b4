//! Many ids in one call.

#[path = "../common/mod.rs"]
mod common;

mod batches;
mod together;
