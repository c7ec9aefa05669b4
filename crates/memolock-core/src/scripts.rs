//! The Lua that Redis and Valkey adapters send: one script an operation, one round trip each.
//!
//! Keys, arguments and replies stand at the head of each script; `docs/protocol.md` says why each
//! order is what it is. Durations are whole [milliseconds](crate::millis).

/// Takes the lease unless there is a value.
pub const ACQUIRE: &str = include_str!("lua/acquire.lua");
/// Stores the value, deletes the lock, publishes the value, if the lock is ours.
pub const FULFIL: &str = include_str!("lua/fulfil.lua");
/// As [`ACQUIRE`], for many keys.
pub const ACQUIRE_MANY: &str = include_str!("lua/acquire_many.lua");
/// As [`FULFIL`], for many keys.
pub const FULFIL_MANY: &str = include_str!("lua/fulfil_many.lua");
/// Renews many leases.
pub const RENEW: &str = include_str!("lua/renew.lua");
/// Deletes the lock if it is ours, and publishes a notice.
pub const RELEASE: &str = include_str!("lua/release.lua");
/// Stores a value whoever holds the lock, and publishes it.
pub const PUT: &str = include_str!("lua/put.lua");
/// Deletes value and lock, and publishes a notice.
pub const INVALIDATE: &str = include_str!("lua/invalidate.lua");
/// Reads what is known about value and lock.
pub const INSPECT: &str = include_str!("lua/inspect.lua");
/// Reads many values and how long they stay.
pub const TIMED: &str = include_str!("lua/timed.lua");

/// Publishes the values that are stored now, for many keys.
pub const REPEAT: &str = include_str!("lua/repeat.lua");

/// First element of [`ACQUIRE`]'s reply: a value follows.
pub const ACQUIRE_VALUE: i64 = 1;
/// First element of [`ACQUIRE`]'s reply: the lease is ours.
pub const ACQUIRE_GRANTED: i64 = 2;
/// First element of [`ACQUIRE`]'s reply: the holder's `PTTL` follows (-1: it never expires).
pub const ACQUIRE_HELD: i64 = 3;
