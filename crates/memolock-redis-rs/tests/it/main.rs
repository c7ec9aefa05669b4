//! `RedisBackend` against a real server: `redis-server` must be on the path. Each test has a server
//! of its own, so they run in parallel. `memolock-fred` runs the same tests, those of connectors aside: only `subject.rs` knows
//! which adapter it is.

// Helpers are not test functions to the lint, and a failed one is a failed test.
#![allow(clippy::unwrap_used)]

mod connecting;
mod connector;
mod credentials;
mod databases;
mod greeting;
mod lifecycle;
mod names;
mod operations;
mod outages;
mod providers;
mod refusals;
mod sentinel;
mod sentinels;
mod server;
mod stale;
mod subject;
mod subscriptions;
mod tls;
mod tracking;
