//! Real faults on real servers, over every adapter: what callers see, for how long, and that all of it recovers by
//! itself.
//!
//! Around each fault stand the same actors, each over connections of its own: probers, who ask for fresh ids
//! without end; a hitter, who asks for a stored value without end; a holder, in a process of its own, who computes
//! when the fault strikes; waiters for the holder's value; and a listener for a value that a foreign program makes.
//! Everything is as memolock has it by default, but for leases of [`LEASE`].
//!
//! A fault's place is one server, a cluster, or a master that Sentinel watches. On a cluster all actors have their ids in
//! the slot of the held one, so that who is struck is everybody's master.

mod act;
mod acts;
mod callers;
mod catalogue;
mod fault;
mod holder;
mod row;
mod run;
mod stage;
mod succession;
mod table;
mod verdict;
mod waiters;

pub use catalogue::faults;
pub use fault::{Ends, Expected, Fault, Felt, Maker, Place};
pub use row::Row;
pub use run::{LEASE, play};
pub use table::Table;
