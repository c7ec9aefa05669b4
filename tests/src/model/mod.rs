//! An exhaustive model: small fleets over one key, every interleaving of their steps, and the promises
//! R1 to R5, R7, R9 and R16 checked in every state.
//!
//! What is checked is the machine itself, `memolock_core::Machine`, not a copy of it. Around it the model has
//!
//! * a store of one key, as the scripts have it (`store`). A command is a step to it and a step back, in
//!   order for each process, and may be lost on either way;
//! * what drivers, engines and heartbeats do (`drive`, `steps`; when leases are renewed says the real clock,
//!   `memolock_core::LeaseClock`): commands, subscriptions, renewals,
//!   handing over, clean-up. Anything that can happen at a moment may happen first;
//! * time that goes on to the next moment at which something is due: of itself when all sleep, and a
//!   bounded number of times while work lasts or something is paused (`world`);
//! * faults, each a bounded number of times, at any point (`action`, `faults`).
//!
//! Every run then comes to an end, and there are finitely many. The promises (`promises`):
//!
//! | | checked |
//! |---|---|
//! | R1 | who computes under a lease has the lock, unless the store took it; nobody computes without one beside a holder that is known to be at it; no second program is triggered over one whose lease stands; no value is stored twice unless it was taken away |
//! | R2 | when nothing happens, whoever sleeps has a lock to wait for and wakes when that ends; every run comes to an end (no circle, no limit reached), and in each end everybody has an outcome |
//! | R3 | what a compute returned is what its caller gets, after two fulfils at most, and it is called once |
//! | R4 | nothing is stored that began before the last put or invalidation, nor told to who called after it |
//! | R5 | in the end no lease of a live process is left; nobody uses a token that is not theirs |
//! | R7 | what a caller is told of the storage is so; nobody waits for a lease of its own |
//! | R9 | in the end no lease is renewed; clean-up ends |
//! | R16 | no lock stands for longer than its holder may keep it |
//!
//! Excused are leases that are left to expire by design: of crashed processes, of programs that may still
//! be at it or did not answer in time, and where the store refused a release.

mod action;
mod drive;
mod faults;
mod process;
mod promises;
mod report;
mod scenario;
mod scenarios;
mod search;
mod steps;
mod store;
mod world;

pub use action::{Action, Answer, Ending, Trouble, Wire};
pub use report::{HEAD, Report};
pub use scenario::{Fault, Scenario};
pub use scenarios::scenarios;
pub use search::{Broken, Found, Model, search};
pub use world::World;
