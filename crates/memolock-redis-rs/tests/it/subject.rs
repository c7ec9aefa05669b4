//! What is tested here: the one file of these tests that is about this adapter.

pub(crate) use memolock_redis_rs::RedisBackend as Subject;

/// Its name in reports.
pub(crate) const NAME: &str = "redis-rs";

/// Commands for one change of subscriptions.
pub(crate) const COMMANDS_PER_CHANGE: u64 = 1;

/// What a user must be allowed besides what memolock itself does.
pub(crate) const ALSO_NEEDED: &[&str] = &[];
