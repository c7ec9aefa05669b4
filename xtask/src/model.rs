//! `cargo xtask model`: every interleaving of small fleets, as a table.

use anyhow::Result;

use crate::run::{cargo, run as run_command};

/// `args` are parts of scenarios' names; none mean all of them.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let model = [
        "run",
        "--quiet",
        "--package",
        "memolock-tests",
        "--bin",
        "model",
        "--",
    ];
    run_command(cargo(&model).args(args))
}
