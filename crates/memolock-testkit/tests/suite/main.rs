//! The suite against backends that are broken on purpose: each must be caught, by the case that should.

// Helpers are not test functions to the lint, and a failed one is a failed test.
#![allow(clippy::unwrap_used)]

mod backend;
mod clients;
mod expected;
mod faults;
mod many;
mod measures;
mod mutants;
mod reports;
mod store;
mod tracking;
