//! What the report says of backends that panic, hang, block or cannot be had.

use std::sync::Arc;
use std::time::Duration;

use memolock_core::{Backend, async_trait};
use memolock_testkit::suite::{Entry, Harness, HarnessError, Outcome, Suite};

use crate::clients::Clients;
use crate::faults::Fault;
use crate::store::Store;

async fn reason(fault: Fault, case: &str) -> String {
    let suite = Suite::new(Clients(Arc::clone(&Store::new(fault))));
    let suite = suite.patience(Duration::from_millis(200)).only(case);
    let report = suite.run().await;
    match report.entries() {
        [
            Entry {
                name,
                outcome: Outcome::Failed(why),
                ..
            },
        ] => {
            assert_eq!(name, case);
            why.clone()
        }
        _ => panic!("{report}"),
    }
}

#[tokio::test]
async fn a_panic_is_that_cases_failure() {
    let why = reason(Fault::PanicsOnGlobs, "ids::any_id_is_a_name").await;
    assert!(why.starts_with("it panicked: a glob in "), "{why}");
}

#[tokio::test]
async fn a_hang_is_that_cases_failure() {
    let why = reason(Fault::HangsOnLongIds, "ids::the_longest_id_is_a_name").await;
    assert_eq!(why, "it hung: no end after 800ms");
}

#[tokio::test]
async fn a_wrong_answer_is_told_with_the_right_one() {
    let why = reason(Fault::EmptyIsAMiss, "value::the_empty_string_is_a_value").await;
    assert_eq!(why, "a get: found None, expected Some(b\"\")");
}

struct Nobody;

#[async_trait]
impl Harness for Nobody {
    async fn client(&self) -> Result<Box<dyn Backend>, HarnessError> {
        Err("there is no server here".into())
    }
}

#[tokio::test]
async fn without_a_client_that_is_the_failure() {
    let report = Suite::new(Nobody).run().await;
    assert_eq!(report.failed().collect::<Vec<_>>(), ["harness::client"]);
    assert!(report.to_string().contains("there is no server here"));
}

#[tokio::test]
async fn parts_can_be_chosen() {
    let suite = || Suite::new(Clients(Store::new(Fault::None)));
    let report = suite().only("lease::").without("lease::any").run().await;
    assert!(report.entries().len() > 5);
    let fits = |name: &str| name.starts_with("lease::") && !name.contains("any_token");
    assert!(report.passed().all(fits), "{report}");
    let nothing = suite().only("no such case").run().await;
    assert!(nothing.entries().is_empty());
}
