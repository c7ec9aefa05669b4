//! What is fuzzed, one function a target: `cargo xtask fuzz` has libFuzzer look for inputs that break
//! them, and the tests of this crate run them over the kept corpus and seeded mutations of it.
//!
//! A target takes any bytes. It panics if what was fuzzed breaks a promise, and in no other case.

pub mod corpus;
pub mod data;
mod events;
mod machine;
mod names;
mod replies;
mod stored_bytes;
mod urls;

pub use events::events;
pub use machine::machine;
pub use names::names;
pub use replies::replies;
pub use stored_bytes::stored_bytes;
pub use urls::urls;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts for [`stored_bytes`], whose promise is about memory.
#[global_allocator]
pub static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A target.
pub type Target = fn(&[u8]);

/// All of them, by the name of their fuzz target and corpus.
pub const TARGETS: [(&str, Target); 6] = [
    ("events", events),
    ("machine", machine),
    ("names", names),
    ("replies", replies),
    ("stored_bytes", stored_bytes),
    ("urls", urls),
];
