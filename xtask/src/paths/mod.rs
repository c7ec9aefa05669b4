//! `cargo xtask paths`: instructions and allocations of the hot paths, against their limits. Neither varies with
//! the load of the machine.

mod guards;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::help::Usage;
use crate::run::{capture, cargo, program, run as run_command};
use crate::tidy::workspace::Workspace;
use crate::{machine, test};
use guards::{Cost, Guard, Guards, Verdict};

const FILE: &str = "tests/paths/limits.txt";

/// What is counted is the difference between these two numbers of walks: starting and ending cost the same.
const FEW: u64 = 1000;
const MANY: u64 = 3000;

/// `[--write]`: puts what was counted in place of the limits.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let write = match args {
        [] => false,
        [flag] if flag == "--write" => true,
        [other, ..] => return Err(Usage::unknown("paths", other)),
    };
    if machine::find("valgrind").is_none() {
        test::apt_install(&["valgrind"], "valgrind, which counts instructions")?;
    }
    run_command(&mut cargo(&[
        "build",
        "--quiet",
        "--profile",
        "paths",
        "--package",
        "memolock-paths",
    ]))?;
    let binary = Workspace::load()?.target.join("paths/paths");
    let compiler = capture(&mut program("rustc", &["--version"]))?;
    let compiler = compiler.trim();
    let text = fs::read_to_string(FILE).unwrap_or_default();
    let limits = Guards::read(&text).with_context(|| format!("cannot read {FILE}"))?;
    let mut counted = Guards {
        compiler: compiler.to_owned(),
        guards: Vec::new(),
    };
    println!(
        "{:<14}{:>14}{:>14}  limits",
        "path", "instructions", "allocations"
    );
    let mut broken = Vec::new();
    for line in capture(&mut program(&binary, &["--list"]))?.lines() {
        let path = line
            .split_whitespace()
            .next()
            .context("a path without a name")?;
        let cost = count(&binary, path)?;
        let verdict = limits.judge(compiler, path, cost);
        let Cost {
            instructions,
            allocations,
        } = cost;
        println!("{path:<14}{instructions:>14.0}{allocations:>14.2}  {verdict}");
        if matches!(verdict, Verdict::Broken | Verdict::New) {
            broken.push(path.to_owned());
        }
        let path = path.to_owned();
        counted.guards.push(Guard { path, cost });
    }
    if write {
        fs::write(FILE, counted.write()).with_context(|| format!("cannot write {FILE}"))?;
    } else if !broken.is_empty() {
        bail!(
            "{} cost more than {FILE} allows, or have no limit there: look with callgrind_annotate, or say with --write that it is meant",
            broken.join(", ")
        );
    }
    Ok(())
}

/// What one walk costs.
fn count(binary: &Path, path: &str) -> Result<Cost> {
    let few = instructions(binary, path, FEW)?;
    let many = instructions(binary, path, MANY)?;
    let walks = MANY.to_string();
    let printed = capture(&mut program(binary, &[path, &walks]))?;
    let allocations = printed.split_whitespace().next();
    let allocations: f64 = allocations.context("nothing printed")?.parse()?;
    Ok(Cost {
        instructions: (many - few) / (MANY - FEW) as f64,
        allocations: allocations / MANY as f64,
    })
}

fn instructions(binary: &Path, path: &str, times: u64) -> Result<f64> {
    let profile: PathBuf = binary.with_file_name(format!("callgrind.{path}.{times}"));
    let out = format!("--callgrind-out-file={}", profile.display());
    let log = profile.with_extension("log");
    let log_to = format!("--log-file={}", log.display());
    let times = times.to_string();
    let mut valgrind = program("valgrind", &["--tool=callgrind", &out, &log_to]);
    capture(valgrind.arg(binary).args([path, &times]))?;
    let said = fs::read_to_string(&log)?;
    let collected = said
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1));
    let collected = collected.with_context(|| format!("valgrind counted nothing: {said}"))?;
    Ok(collected.trim().parse()?)
}
