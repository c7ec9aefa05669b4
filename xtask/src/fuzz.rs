//! `cargo xtask fuzz`: libFuzzer on the targets of `tests/fuzzing`, from the kept corpus on.

use std::path::Path;

use anyhow::{Result, bail};

use crate::help::Usage;
use crate::run::{cargo, run as run_command, succeeds};

const TARGETS: [&str; 6] = [
    "events",
    "machine",
    "names",
    "replies",
    "stored_bytes",
    "urls",
];

const SECONDS: u64 = 60;

/// `[TARGET…] [--seconds S]`: each of them for so long, one after the other.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut targets: Vec<&str> = Vec::new();
    let mut seconds = SECONDS;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seconds" => {
                let number = args.next().and_then(|n| n.parse().ok());
                seconds = number.ok_or_else(|| Usage::missing("fuzz", "a number of --seconds"))?;
            }
            target if TARGETS.contains(&target) => targets.push(target),
            other => return Err(Usage::unknown("fuzz", other)),
        }
    }
    if targets.is_empty() {
        targets.extend(TARGETS);
    }
    if !succeeds(&mut cargo(&["fuzz", "--version"])) {
        bail!("cargo-fuzz is not installed: cargo install cargo-fuzz --locked");
    }
    for target in targets {
        fuzz(target, seconds)?;
    }
    Ok(())
}

/// What is found is left in `fuzz/artifacts`; new inputs go to `fuzz/corpus`, which is not committed.
fn fuzz(target: &str, seconds: u64) -> Result<()> {
    let ours = format!("fuzz/corpus/{target}");
    let kept = format!("tests/fuzzing/corpus/{target}");
    std::fs::create_dir_all(Path::new(&ours))?;
    let bound = format!("-max_total_time={seconds}");
    // Without a sanitizer: there is no unsafe code of ours for one to watch. The flags that libFuzzer
    // needs are unstable, and any stable toolchain takes them if it is told so.
    let command = [
        "fuzz",
        "run",
        "--release",
        "--debug-assertions",
        "--sanitizer",
        "none",
        "--target-dir",
        "target/fuzz",
        target,
        &ours,
        &kept,
        "--",
        &bound,
        "-timeout=20",
        "-max_len=4096",
        "-print_final_stats=1",
    ];
    run_command(cargo(&command).env("RUSTC_BOOTSTRAP", "1"))
}
