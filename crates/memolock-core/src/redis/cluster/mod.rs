//! What every adapter knows of a cluster, without IO: slots, the map of them, redirections, when to try again.
//!
//! A cluster spreads 16,384 slots over its masters. [`slot`] says in which one a name is, [`SlotMap`] who serves
//! it, [`Redirect`] what a node answers who does not, and [`Attempt`] what to do about it.

mod attempt;
mod map;
mod redirect;
mod slot;

pub use attempt::{Attempt, Step};
pub use map::{Place, SlotMap};
pub use redirect::Redirect;
pub use slot::{SLOTS, key_slot, slot};
