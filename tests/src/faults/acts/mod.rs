//! What is done to servers, connections, memory, roles, processes and masters.

pub(super) mod clients;
pub(super) mod memory;
pub(super) mod processes;
pub(super) mod roles;
pub(super) mod secrecy;
pub(super) mod succession;
