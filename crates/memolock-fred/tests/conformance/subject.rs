//! Which adapter it is.

pub(crate) use memolock_fred::{FredBackend as Adapter, FredBackendBuilder as AdapterBuilder};
