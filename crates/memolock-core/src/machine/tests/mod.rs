//! Tests of the machine: the whole table, the promises by hand, and properties of random schedules.

mod external;
mod fixture;
mod fleet;
mod outages;
mod policies;
mod promises;
mod properties;
mod recipes;
mod refusals;
mod table;
mod unanswered;
