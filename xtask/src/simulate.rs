//! `cargo xtask simulate`: whole fleets on a clock that stands still, one schedule for each seed.

use anyhow::Result;

use crate::run::{cargo, run as run_command};

/// What builds and runs the simulator; its own arguments come after.
pub(crate) const SIMULATE: [&str; 9] = [
    "run",
    "--quiet",
    "--profile",
    "sim",
    "--package",
    "memolock-sim",
    "--bin",
    "simulate",
    "--",
];

/// `args` are the simulator's: `--seed N --trace`, `--seconds S`, `--schedules N`, `--from N`, `--threads N`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    run_command(cargo(&SIMULATE).args(args))
}
