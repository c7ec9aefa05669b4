//! Benchmarks of memolock: its budgets, the strategies that a user would otherwise pick, and what things cost as they
//! grow. `cargo xtask bench`, `cargo xtask fanout` and `cargo xtask report` run it; `cargo bench -p memolock-benches` runs the criterion benches.

pub mod adapter;
pub mod batch;
pub mod brief;
pub mod budget;
pub mod copies;
pub mod fanout;
pub mod growth;
pub mod handoff;
pub mod hits;
pub mod machine;
pub mod near;
pub mod raw;
pub mod rounds;
pub mod server;
pub mod squad;
pub mod strategy;
pub mod weight;
mod wire;
pub mod worker;
