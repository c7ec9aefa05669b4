//! Tests of the machine: the whole table, the promises by hand, and properties of random schedules.

mod external;
mod fixture;
mod fleet;
mod policies;
mod promises;
mod properties;
mod table;
