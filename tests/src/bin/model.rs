//! `cargo xtask model`: searches the scenarios whose names contain one of the arguments, or all, and prints
//! a line for each.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use memolock_tests::model::{HEAD, Report, scenarios};

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.contains(w));
    let scenarios: Vec<_> = scenarios().filter(|s| is_wanted(s.name)).collect();
    if scenarios.is_empty() {
        eprintln!("no scenario has such a name");
        return ExitCode::from(2);
    }
    println!("{HEAD}");
    let failed = AtomicBool::new(false);
    Report::of_each(&scenarios, |report| {
        // At once, so that reports of several threads do not mix.
        match report.fault() {
            None => println!("{report}"),
            Some(fault) => {
                failed.store(true, Relaxed);
                println!("{report}\n{fault}");
            }
        }
    });
    match failed.into_inner() {
        false => ExitCode::SUCCESS,
        true => ExitCode::FAILURE,
    }
}
