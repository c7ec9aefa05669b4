//! What is PostgreSQL's own: tables, roles, sweeping, locks of strangers, servers that go away.

#![allow(clippy::unwrap_used)]

mod common;
mod large;
mod outages;
mod paused;
mod roles;
mod tables;
