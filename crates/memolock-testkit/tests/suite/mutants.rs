//! Every mutant against the suite: the table of who caught whom.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use memolock_testkit::suite::{Report, Suite};

use crate::clients::Clients;
use crate::expected::MUTANTS;
use crate::faults::Fault;
use crate::store::Store;

/// Mutants that are silent where they should speak cost each case its patience.
const IMPATIENT: Duration = Duration::from_millis(800);

/// Mutants that are looked at together.
const AT_ONCE: usize = 12;

fn suite(fault: Fault) -> Suite {
    Suite::new(Clients(Arc::clone(&Store::new(fault))))
}

/// Else the mutants below might be caught for the wrapper's own faults.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wrapper_itself_conforms() {
    let report = suite(Fault::None).run().await;
    report.assert_ok();
    // It can be damaged in two ways of five.
    assert_eq!(report.skipped().count(), 5, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mutant_is_caught_by_the_case_that_should() {
    let runs = MUTANTS.iter().map(|(fault, expected, part)| async move {
        let suite = suite(*fault).patience(IMPATIENT);
        let suite = match part {
            Some(part) => suite.only(*part),
            None => suite.without("bulk::"),
        };
        (*fault, *expected, suite.run().await)
    });
    let reports: Vec<_> = stream::iter(runs).buffered(AT_ONCE).collect().await;
    let mut missed = Vec::new();
    println!("{:32} {:>6}  caught by", "mutant", "cases");
    for (fault, expected, report) in &reports {
        let caught: Vec<&str> = report.failed().collect();
        let first = caught.iter().filter(|name| *name != expected);
        let others: Vec<&str> = first.copied().take(3).collect();
        let hit = if caught.contains(expected) {
            ""
        } else {
            "NOT "
        };
        let fault = format!("{fault:?}");
        println!(
            "{fault:32} {:>6}  {hit}{expected}, {}",
            caught.len(),
            others.join(", ")
        );
        if !hit.is_empty() {
            missed.push(format!(
                "{fault} was not caught by {expected}, but by {caught:?}"
            ));
        }
    }
    assert!(missed.is_empty(), "\n{}", missed.join("\n"));
    assert_reasons_are_lines(reports.iter().map(|(_, _, report)| report));
}

fn assert_reasons_are_lines<'a>(reports: impl Iterator<Item = &'a Report>) {
    use memolock_testkit::suite::Outcome;
    for entry in reports.flat_map(Report::entries) {
        if let Outcome::Failed(why) = &entry.outcome {
            assert!(
                !why.contains('\n') && !why.is_empty(),
                "{}: {why}",
                entry.name
            );
        }
    }
}
