//! `cargo xtask faults`: every fault of a server, over every adapter, as a table.

use anyhow::Result;

use crate::run::{cargo, run as run_command};
use crate::{image, machine, test};

/// `args` are parts of faults' names; none mean all of them.
pub(crate) fn run(args: &[String]) -> Result<()> {
    test::prepare()?;
    if machine::docker_answers() {
        image::run(&[])?;
    }
    let package = [
        "--quiet",
        "--package",
        "memolock-tests",
        "--features",
        "memolock-testkit/docker",
    ];
    // The holder is a process of this program, beside the one that prints the table.
    run_command(cargo(&["build"]).args(package).args(["--bin", "member"]))?;
    run_command(
        cargo(&["run"])
            .args(package)
            .args(["--bin", "faults", "--"])
            .args(args),
    )
}
