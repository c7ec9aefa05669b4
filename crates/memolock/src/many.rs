//! Many ids in one call: one look, one try for the leases, one compute, one store.
//!
//! The protocol stays one flight an id; what is shared is the way to the store and the work. All flights of
//! a call are driven within the caller's one future. What they ask of the store in one round goes there
//! together, and what they want computed is one batch:
//!
//! ```text
//! look (MGET) --hits--> answers
//!   | misses, as flights: led or joined
//! round: flights run until each waits -> what they asked is sent together; who won is one batch -> replies
//! ```
//!
//! **No circle of waiting.** Callers A {x, y} and B {y, x} may each win what the other waits for, in one
//! process (A leads x and joins y, B the other way round) or in two (leases in place of seats):
//!
//! | A | B | must not | so |
//! |---|---|---|---|
//! | won x, waits for y | won y, waits for x | wait for all before computing any | a batch is what is won *now*: it starts in the round in which the tries were answered |
//! | computes x | waits for x | hold x back until y is there | each flight lands by itself, and its joiners go |
//! | computes x, y is released by B | fails y | leave y to nobody | y's flight tries again, and what it wins is a batch of its own |
//! | dropped with x not yet asked for | joins x | take the lease after it was given back | what nobody waits for any more is not sent |
//! | was told of a holder elsewhere, and is dropped | joins x | compute beside that holder | each flight reads its answer before others have their turn |
//! | dropped in the compute | joins x | lose x | the seat of x is handed over, as for any flight |
//!
//! A batch's error is the error of each of its ids, and of whoever joined them or listens elsewhere.

mod answers;
mod batch;
mod calls;
mod entries;
mod gatherer;
mod look;
mod voyage;

pub use answers::Many;
pub(crate) use batch::Missing;
pub use entries::Entries;
