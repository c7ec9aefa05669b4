//! Clusters by every adapter: masters that die, hang and are replaced, slots that move under whoever uses them.

#![allow(clippy::unwrap_used)]

mod coming;
mod failover;
mod fleet;
mod moving;
mod near;
