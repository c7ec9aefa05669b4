//! The adapter that these tests are about.

pub(crate) use memolock_fred::FredBackend as Subject;

/// Its name in reports.
pub(crate) const NAME: &str = "fred";

/// Commands for one change of subscriptions: the change, and the fence behind it.
pub(crate) const COMMANDS_PER_CHANGE: u64 = 2;

/// What fred asks of a server whenever it connects.
pub(crate) const ALSO_NEEDED: &[&str] = &["+client|id", "+info"];
