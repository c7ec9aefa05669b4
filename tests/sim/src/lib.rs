//! Simulated fleets: the real client, driver and machine of memolock, over a model store that fails in
//! every way that a seed can think of, on a clock that stands still until everybody waits.
//!
//! One seed is one schedule: [`Plan::of`] draws processes, callers and faults from it, [`run()`] lets it
//! happen on one thread, and [`promises`] looks at the [`History`] for promises that were not kept. The
//! same seed does the same on every machine.

pub mod backend;
pub mod caller;
pub mod codec;
mod facts;
pub mod fault;
mod gate;
pub mod history;
mod ledger;
mod many;
mod nesting;
pub mod peer;
pub mod plan;
pub mod promises;
pub mod run;
mod server;
pub mod store;
pub mod stranger;
mod trouble;
pub mod vandal;
pub mod world;

pub use history::History;
pub use plan::{Plan, Weather};
pub use run::{Report, run, run_plan};
