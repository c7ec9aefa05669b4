//! What is done to servers, connections, memory, roles and processes.

pub(super) mod clients;
pub(super) mod memory;
pub(super) mod processes;
pub(super) mod roles;
