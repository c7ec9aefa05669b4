//! The near cache: decoded values in this process, in front of everything, that hear of changes elsewhere.
//!
//! **States**, in one word with a number that every flush raises. A copy carries the word of the moment at which
//! its reading began, and is good only while that is the word: so one store flushes all, and a copy whose
//! reading began before a flush can be inserted after it without harm.
//!
//! ```text
//! Deaf --resumed--> Live --gap--> Deaf          Deaf: no lookup hits, nothing is inserted
//!   '---refused, or no tracking----> Aged       Aged: copies are bounded by their age alone
//! any --closed, dropped--> Closed
//! ```
//!
//! **Tickets.** Whoever reads or writes the store takes a ticket before its command is sent: the word, and two
//! counts of the id's stripe: of local writes that have ended, and of changes heard. At the insertion, under the
//! stripe's lock, they are compared. Ids that share a stripe only cost an insertion now and then.
//!
//! | interleaving | what keeps it out |
//! |---|---|
//! | a read is answered; the value changes and that is heard; the read inserts | changes have moved: not inserted |
//! | a read is answered with the old value; a local put or invalidate returns; the read inserts (R4) | writes have moved: not inserted |
//! | a compute is stored; a local put returns; the compute inserts (R4) | the same; and awaited values likewise, by a ticket from before the flight asked to listen |
//! | a read is answered with what was there before; a compute is stored and inserts; the read inserts | the same: stored counts as written |
//! | a read begins; gap, resumed; the read inserts | the words differ: not inserted |
//! | a value is stored here; its own echo comes | it is waited for: the copy stays and is read back, so that own writes cost no miss |
//! | a value is stored here, another over it elsewhere, and the store tells of both at once | the read-back finds the other one |
//! | stored here; the echo comes before the answer | changes have moved: inserted, and read back at once |
//! | a read-back is under way; the value changes again, or is written here | the copy is taken out, so that the read-back finds it gone and inserts nothing |
//!
//! So a value that was overwritten elsewhere is served for as long as the store's word is under way; if it was
//! written at the same time as one of ours, for one round trip more.
//!
//! Nothing of a user's (drop, weigher, codec) runs under a lock.

mod cache;
mod claim;
mod copies;
mod due;
mod keeper;
mod settings;
mod tally;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod threads;
mod ticket;

pub(crate) use cache::Near;
pub(crate) use claim::{Claim, Notes};
pub(crate) use keeper::start;
pub use settings::NearCache;
pub use tally::{Coherence, NearStats};
pub(crate) use ticket::{State, Ticket};
