//! `FredBackend` against a real server: `redis-server` must be on the path. These are the tests of
//! `memolock-redis-rs`, word for word, so that the two cannot drift apart; `fences.rs` is about what
//! only this adapter does.

// Helpers are not test functions to the lint, and a failed one is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "../../../memolock-redis-rs/tests/it/connecting.rs"]
mod connecting;
#[path = "../../../memolock-redis-rs/tests/it/credentials.rs"]
mod credentials;
#[path = "../../../memolock-redis-rs/tests/it/databases.rs"]
mod databases;
mod fences;
#[path = "../../../memolock-redis-rs/tests/it/greeting.rs"]
mod greeting;
#[path = "../../../memolock-redis-rs/tests/it/lifecycle.rs"]
mod lifecycle;
#[path = "../../../memolock-redis-rs/tests/it/names.rs"]
mod names;
#[path = "../../../memolock-redis-rs/tests/it/operations.rs"]
mod operations;
#[path = "../../../memolock-redis-rs/tests/it/outages.rs"]
mod outages;
#[path = "../../../memolock-redis-rs/tests/it/providers.rs"]
mod providers;
mod receiver;
#[path = "../../../memolock-redis-rs/tests/it/refusals.rs"]
mod refusals;
#[path = "../../../memolock-redis-rs/tests/it/sentinel.rs"]
mod sentinel;
#[path = "../../../memolock-redis-rs/tests/it/sentinels.rs"]
mod sentinels;
#[path = "../../../memolock-redis-rs/tests/it/server.rs"]
mod server;
#[path = "../../../memolock-redis-rs/tests/it/stale.rs"]
mod stale;
mod subject;
#[path = "../../../memolock-redis-rs/tests/it/subscriptions.rs"]
mod subscriptions;
#[path = "../../../memolock-redis-rs/tests/it/tls.rs"]
mod tls;
#[path = "../../../memolock-redis-rs/tests/it/tracking.rs"]
mod tracking;
