//! `cargo xtask bench`, `cargo xtask report` and `cargo xtask fanout`: what memolock costs, judged, drawn, and node by node.

use std::path::PathBuf;

use anyhow::Result;

use crate::help::Usage;
use crate::run::{cargo, program, run as run_command};
use crate::test;
use crate::tidy::workspace::Workspace;

/// As users build: optimized, without optimizing across crates. That takes a minute and not six.
const PROFILE: &str = "paths";

/// Where the report goes, from the root of the workspace.
const REPORT: &str = "docs";

pub(crate) fn bench(args: &[String]) -> Result<()> {
    let mut told = vec!["budgets".to_owned()];
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--quick" => told.push(arg.clone()),
            "--json" | "--only" => {
                let what = match arg.as_str() {
                    "--json" => "the FILE of --json",
                    _ => "the BUDGET of --only",
                };
                let given = rest.next();
                let given = given.ok_or_else(|| Usage::missing("bench", what))?;
                told.extend([arg.clone(), given.clone()]);
            }
            other => return Err(Usage::unknown("bench", other)),
        }
    }
    measure(&told)
}

pub(crate) fn report(args: &[String]) -> Result<()> {
    let mut told = vec!["report".to_owned()];
    match args {
        [] => told.push(Workspace::load()?.root.join(REPORT).display().to_string()),
        // A smoke run's figures must not replace those that are quoted.
        [quick] if quick == "--quick" => {
            let scratch = Workspace::load()?.target.join("quick-report");
            told.extend([scratch.display().to_string(), quick.clone()]);
        }
        [other, ..] => return Err(Usage::unknown("report", other)),
    }
    measure(&told)
}

pub(crate) fn fanout(args: &[String]) -> Result<()> {
    let mut told = vec!["fanout".to_owned()];
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        told.push(arg.clone());
        match arg.as_str() {
            "--quick" => {}
            "--json" => {
                let file = rest.next();
                let file = file.ok_or_else(|| Usage::missing("fanout", "the FILE of --json"))?;
                told.push(file.clone());
            }
            other => return Err(Usage::unknown("fanout", other)),
        }
    }
    measure(&told)
}

/// Builds all that is measured first, so that no compiler runs beside it.
fn measure(args: &[String]) -> Result<()> {
    test::prepare()?;
    let build = [
        "build",
        "--quiet",
        "--profile",
        PROFILE,
        "--package",
        "memolock-benches",
        "--package",
        "memolock-cli",
        "--bins",
    ];
    run_command(&mut cargo(&build))?;
    let built: PathBuf = Workspace::load()?.target.join(PROFILE);
    run_command(program(built.join("memolock-bench"), &[]).args(args))
}
