//! `cargo xtask shuttle`: flights and switchboards under random interleavings of threads.

use anyhow::Result;

use crate::help::Usage;
use crate::run::{cargo, run as run_command};

/// `[--schedules N]`: so many for each test by each scheduler. The cfg rebuilds all that is below, so
/// it has a target directory of its own.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let schedules = match args {
        [] => None,
        [flag, number] if flag == "--schedules" && number.parse::<usize>().is_ok() => Some(number),
        [flag] if flag == "--schedules" => {
            return Err(Usage::missing("shuttle", "a number of --schedules"));
        }
        [other, ..] => return Err(Usage::unknown("shuttle", other)),
    };
    for package in ["memolock-core", "memolock"] {
        let tests = [
            "test",
            "--package",
            package,
            "--lib",
            "--target-dir",
            "target/shuttle",
            "interleavings",
            "--",
            "--nocapture",
        ];
        let mut command = cargo(&tests);
        command.env("RUSTFLAGS", "--cfg memolock_shuttle");
        if let Some(number) = schedules {
            command.env("MEMOLOCK_SHUTTLE_SCHEDULES", number);
        }
        run_command(&mut command)?;
    }
    Ok(())
}
