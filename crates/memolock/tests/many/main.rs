//! Many ids in one call.

#[path = "../common/mod.rs"]
mod common;

mod batches;
mod endings;
mod leaving;
mod meetings;
mod outages;
mod reads;
mod together;
