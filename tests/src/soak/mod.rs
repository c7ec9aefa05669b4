//! A soak: processes with random callers over a server with random faults, for as long as one likes, and a
//! checker that knows every value ever made.
//!
//! ```text
//! conductor -orders-> workers (processes of their own) -facts-> merge (one order for all) -> checker -> report
//!     '------strikes-> server and workers, by a schedule that a seed repeats
//! ```
//!
//! A worker tells of a value before memolock sees it, through a pipe that outlives it: what a killed worker made is
//! known. Facts carry the time of a clock that all processes share, so the checker sees them in their order and is
//! a plain state machine, tested with facts made up.

mod caller;
mod checker;
mod clock;
mod compute;
mod conductor;
mod faults;
mod fleet;
mod merge;
mod recorder;
mod report;
mod stamp;
mod strike;
mod wire;
mod worker;

pub use conductor::{Terms, conduct};
pub use report::Report;
pub use wire::Plant;
pub use worker::work;
