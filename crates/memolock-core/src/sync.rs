//! Locks: std's, or shuttle's under `cargo xtask shuttle`, where a scheduler of threads decides of them.

#[cfg(all(test, memolock_shuttle))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, memolock_shuttle)))]
pub(crate) use std::sync::{Mutex, MutexGuard};
