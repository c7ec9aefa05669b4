//! `cargo xtask interop`: every ordered pair of adapters in every scenario, at every server, as tables.

use anyhow::Result;

use crate::help::Usage;
use crate::run::{cargo, run as run_command};
use crate::{image, machine, test};

pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(other) = args.first() {
        return Err(Usage::unknown("interop", other));
    }
    test::prepare()?;
    let mut tests = cargo(&[
        "test",
        "--workspace",
        "--all-features",
        "-q",
        "--test",
        "interop",
    ]);
    // The tables are what the tests print, one after the other.
    tests.args(["--", "--nocapture", "--test-threads=1"]);
    if machine::docker_answers() {
        image::run(&[])?;
        tests.env("MEMOLOCK_TEST_DOCKER_REQUIRED", "1");
    }
    run_command(&mut tests)
}
