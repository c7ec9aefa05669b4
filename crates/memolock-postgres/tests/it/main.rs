//! What is PostgreSQL's own: tables, roles, sweeping, locks of strangers, servers that go away.

#![allow(clippy::unwrap_used)]

mod common;
mod crowd;
mod home;
mod large;
mod outages;
mod paused;
mod pki;
mod pooler;
mod roles;
mod secure;
mod tables;
mod tls;
