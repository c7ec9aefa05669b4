//! `cargo xtask soak`: random callers and random faults for as long as one likes, and a report.

use anyhow::Result;

use crate::run::{cargo, run as run_command};
use crate::test;

/// `args` are those of the binary, which knows them best.
pub(crate) fn run(args: &[String]) -> Result<()> {
    test::prepare()?;
    let soak = [
        "run",
        "--quiet",
        "--profile",
        "sim",
        "--package",
        "memolock-tests",
        "--bin",
        "soak",
        "--",
    ];
    run_command(cargo(&soak).args(args))
}
