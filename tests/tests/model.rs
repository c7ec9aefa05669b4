//! R1 to R5, R7 and R9 in every interleaving of small fleets: see `memolock_tests::model`.

use std::collections::BTreeSet;
use std::sync::Mutex;

use memolock_tests::model::{HEAD, Report, scenarios};

/// Every state of the machine, and every way in which a flight can end.
const EVERYTHING: [&str; 27] = [
    "abandoned",
    "absent",
    "acquiring",
    "attending",
    "awaited",
    "cleaning",
    "computing",
    "declined",
    "degraded",
    "error",
    "failed",
    "fulfilling",
    "hit",
    "lease lost",
    "not stored",
    "panicked",
    "pausing",
    "probing",
    "rechecking",
    "releasing",
    "remote",
    "settled",
    "stored",
    "subscribing",
    "triggering",
    "uncertain",
    "verifying",
];

#[test]
fn the_promises_hold_in_every_interleaving() {
    let scenarios: Vec<_> = scenarios().collect();
    let (faults, reached) = (Mutex::new(Vec::new()), Mutex::new(BTreeSet::new()));
    println!("{HEAD}");
    Report::of_each(&scenarios, |report| {
        println!("{report}");
        faults.lock().unwrap().extend(report.fault());
        reached.lock().unwrap().extend(report.found.marks);
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let reached = reached.into_inner().unwrap();
    let missed: Vec<_> = EVERYTHING
        .iter()
        .filter(|m| !reached.contains(*m))
        .collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
}

#[test]
fn scenarios_have_names_of_their_own() {
    let names: BTreeSet<_> = scenarios().map(|s| s.name).collect();
    assert_eq!(names.len(), scenarios().count());
}
