//! `cargo xtask ci`: everything that must hold before a change goes in.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::help::Usage;
use crate::machine;
use crate::run::{cargo, run as run_command};
use crate::test::{self, WHOLE};
use crate::tidy::{self, workspace::Workspace};

/// A check: its name and what it does.
type Step = (&'static str, fn() -> Result<()>);

/// Quick ones first.
const STEPS: [Step; 7] = [
    ("format", format),
    ("tidy", || tidy::run(&[])),
    ("clippy", clippy),
    ("features", features),
    ("docs", docs),
    ("dependencies", dependencies),
    ("advisories", advisories),
];

pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut steps = STEPS.to_vec();
    match args {
        [] => steps.push(("tests", || test::run(&[]))),
        [flag] if flag == "--skip-tests" => {}
        [other, ..] => return Err(Usage::unknown("ci", other)),
    }
    let mut done = Vec::new();
    for (name, step) in steps {
        eprintln!("\n==> {name}");
        let start = Instant::now();
        let result = step();
        if let Err(error) = &result {
            eprintln!("{name}: {error:#}");
        }
        done.push((name, result.is_ok(), start.elapsed()));
    }
    report(&done)
}

fn report(done: &[(&str, bool, Duration)]) -> Result<()> {
    eprintln!();
    for (name, fine, took) in done {
        let verdict = if *fine { "ok" } else { "FAILED" };
        eprintln!("{name:<14} {verdict:<7} {:>6.1} s", took.as_secs_f64());
    }
    let failed: Vec<_> = done
        .iter()
        .filter(|(_, fine, _)| !fine)
        .map(|(name, ..)| *name)
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn format() -> Result<()> {
    run_command(&mut cargo(&["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    run_command(
        cargo(&["clippy", "--all-targets"])
            .args(WHOLE)
            .args(["--", "-D", "warnings"]),
    )
}

/// Each published crate without its default features, and with each feature alone: what a user picks
/// must build without what the workspace happens to switch on elsewhere.
fn features() -> Result<()> {
    let workspace = Workspace::load()?;
    for package in workspace
        .published()
        .filter(|package| !package.features.is_empty())
    {
        let mut sets = vec![String::new()];
        sets.extend(
            package
                .features
                .iter()
                .filter(|name| *name != "default")
                .cloned(),
        );
        for set in sets {
            let args = [
                "clippy",
                "--quiet",
                "-p",
                &package.name,
                "--no-default-features",
                "--features",
                &set,
                "--",
                "-D",
                "warnings",
            ];
            run_command(&mut cargo(&args))?;
        }
    }
    Ok(())
}

fn docs() -> Result<()> {
    // Libraries only: the binary `memolock` would overwrite the pages of the library `memolock`.
    let mut command = cargo(&["doc", "--no-deps", "--lib"]);
    run_command(command.args(WHOLE).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Licences, sources and duplicates, which need nothing from the network.
fn dependencies() -> Result<()> {
    if !machine::cargo_has("deny") {
        eprintln!("not checked: cargo-deny is not installed (cargo install cargo-deny --locked)");
        return Ok(());
    }
    run_command(&mut cargo(&[
        "deny",
        "--workspace",
        "--all-features",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]))
}

/// Known vulnerabilities, where the list of them can be fetched.
fn advisories() -> Result<()> {
    if !machine::cargo_has("deny") {
        eprintln!("not checked: cargo-deny is not installed (cargo install cargo-deny --locked)");
        return Ok(());
    }
    let mut command = cargo(&[
        "deny",
        "--workspace",
        "--all-features",
        "check",
        "--hide-inclusion-graph",
        "advisories",
    ]);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    match verdict(output.status.success(), &said) {
        Verdict::Clean => Ok(()),
        Verdict::Unreachable => {
            eprintln!("not checked: the advisory database cannot be fetched from here");
            Ok(())
        }
        Verdict::Found => {
            eprintln!("{said}");
            bail!("cargo deny check advisories failed");
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Clean,
    Unreachable,
    Found,
}

fn verdict(success: bool, said: &str) -> Verdict {
    let fetch = [
        "failed to fetch advisory database",
        "failed to load advisory database",
    ];
    match success {
        true => Verdict::Clean,
        false if fetch.iter().any(|sign| said.contains(sign)) => Verdict::Unreachable,
        false => Verdict::Found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advisory_is_not_mistaken_for_a_missing_network() {
        assert_eq!(verdict(true, ""), Verdict::Clean);
        assert_eq!(
            verdict(false, "error[vulnerability]: RUSTSEC-2020-0001"),
            Verdict::Found
        );
        let fetch = "[ERROR] failed to fetch advisory database https://…: offline";
        assert_eq!(verdict(false, fetch), Verdict::Unreachable);
    }

    #[test]
    fn a_failure_is_named_at_the_end() {
        let second = Duration::from_secs(1);
        assert!(report(&[("format", true, second)]).is_ok());
        let error = report(&[("format", true, second), ("docs", false, second)]).unwrap_err();
        assert_eq!(error.to_string(), "failed: docs");
    }
}
