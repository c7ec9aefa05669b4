//! The core is a pure function of its inputs: no runtime, clock or randomness beneath it, and it builds for wasm32.

use std::path::Path;

use anyhow::Result;

use super::Complaint;
use crate::run::{capture, cargo, program, run};

const CORE: &str = "memolock-core";
const TARGET: &str = "wasm32-unknown-unknown";

/// Crates that bring IO, a runtime, a clock or randomness. A trailing `*` stands for any ending.
const IMPURE: [&str; 22] = [
    "async-executor",
    "async-io",
    "async-std",
    "chrono",
    "fastrand",
    "fred",
    "futures-timer",
    "getrandom",
    "hyper*",
    "instant",
    "libc",
    "mio",
    "quanta",
    "rand*",
    "redis",
    "rustix",
    "smol",
    "socket2",
    "time",
    "tokio*",
    "tracing*",
    "web-time",
];

pub(super) fn check() -> Result<Vec<Complaint>> {
    let tree = [
        "tree",
        "-p",
        CORE,
        "-e",
        "normal",
        "--prefix",
        "none",
        "--target",
        "all",
        "--all-features",
        "-f",
        "{p}",
    ];
    let mut complaints = impure(&capture(&mut cargo(&tree))?);
    let sysroot = capture(&mut program("rustc", &["--print", "sysroot"]))?;
    if Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(TARGET)
        .is_dir()
    {
        if let Err(error) = run(&mut cargo(&[
            "check", "--quiet", "-p", CORE, "--target", TARGET,
        ])) {
            complaints.push(Complaint::new(
                "crates/memolock-core/Cargo.toml",
                1,
                format!("{error:#}"),
            ));
        }
    } else {
        eprintln!(
            "not checked: {CORE} for {TARGET}, which is not installed (rustup target add {TARGET})"
        );
    }
    Ok(complaints)
}

/// What of `cargo tree`, one package a line, the core must not stand on.
fn impure(tree: &str) -> Vec<Complaint> {
    let names = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let mut names: Vec<_> = names
        .filter(|name| IMPURE.iter().any(|pattern| matches(pattern, name)))
        .collect();
    names.sort_unstable();
    names.dedup();
    let complain = |name| {
        let message = format!(
            "the core depends on {name} (cargo tree -p {CORE} -i {name}): time, randomness and IO are arguments"
        );
        Complaint::new("crates/memolock-core/Cargo.toml", 1, message)
    };
    names.into_iter().map(complain).collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_beneath_the_core_is_named() {
        let tree = "memolock-core v0.1.0 (crates/memolock-core)\nbytes v1.12.1\nrand_core v0.9.0\n\
                    tokio v1.54.1\ntokio v1.54.1 (*)\nthiserror v2.0.21\ntimely v1.0.0\n";
        let found = impure(tree);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].to_string().contains("rand_core") && found[1].to_string().contains("tokio")
        );
    }

    #[test]
    fn the_core_as_it_is_passes() {
        assert_eq!(
            impure("bytes v1.12.1\nfutures-core v0.3.31\nthiserror v2.0.21\n"),
            []
        );
    }
}
