//! Every numeric and duration setting of every builder and entry at 0, at 1, at a normal value and at its type's
//! maximum: the setting works, or the call that makes the backend or the memolock says what is wrong with it, in
//! one line that names the setting. No task ends by a panic.
//!
//! * `rows` holds one row for each setting, `limits` those of how long leases and computes may last;
//! * `trials` makes a memolock with a setting and runs calls over it;
//! * `sources` reads the settings out of the crates' sources: one without a row fails a test here.

mod limits;
mod rows;
mod sources;
mod trials;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rows::{Expected, POINTS, Row};
use trials::Places;

/// A setting that has no row was tried by nobody.
#[test]
fn every_setting_of_the_sources_has_a_row() {
    let declared: BTreeSet<String> = sources::settings();
    let named: BTreeSet<String> = rows::rows().into_iter().map(|row| row.setting).collect();
    let missing: Vec<_> = declared.difference(&named).collect();
    assert!(
        missing.is_empty(),
        "no row for {missing:?}: add one in tests/tests/settings/rows.rs, for example\n\
         durations(\"Builder::ttl\", SECOND, [Refused, Refused, Works, Works], |places, ttl| places.memolock(move |b| b.ttl(ttl)))\n\
         (the verdicts are for 0, 1 ns or 1, the normal value, and the maximum; a function that is no setting \
         goes into NOT_SETTINGS of sources.rs, with the reason)"
    );
    let gone: Vec<_> = named.difference(&declared).collect();
    let known = |setting: &&&String| !rows::BESIDE.contains(&setting.as_str());
    let gone: Vec<_> = gone.iter().filter(known).collect();
    assert!(
        gone.is_empty(),
        "rows of settings that are no more: {gone:?}"
    );
}

#[test]
fn the_sources_are_read() {
    let declared = sources::settings();
    for known in [
        "Builder::lease",
        "CircuitBreaker::timeouts",
        "Computed::ttl",
        "Entries::wait_timeout",
        "FredBackendBuilder::reconnect_delay",
        "MemoryBuilder::capacity_bytes",
        "NearCache::weight",
        "PgBackendBuilder::sweep_interval",
        "Versioned::new",
    ] {
        assert!(declared.contains(known), "{known} not in {declared:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_setting_works_at_its_limits_or_is_refused_by_its_name() {
    let panics = panics();
    let places = Places::new().await;
    let mut wrong = Vec::new();
    for row in rows::rows() {
        if places.lacks(&row.setting) {
            eprintln!("{} not run: there is no PostgreSQL", row.setting);
            continue;
        }
        for (nth, point) in POINTS.iter().enumerate() {
            let said = (row.trial)(places.clone(), nth).await;
            if let Some(complaint) = complaint(&row, row.expected[nth], said) {
                wrong.push(format!("{} at {point}: {complaint}", row.setting));
            }
            let panics =
                std::mem::take(&mut *panics.lock().unwrap_or_else(PoisonError::into_inner));
            for panic in panics {
                wrong.push(format!("{} at {point}: {panic}", row.setting));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is wrong with how a trial ended.
fn complaint(row: &Row, expected: Expected, said: Result<(), String>) -> Option<String> {
    match (expected, said) {
        (Expected::Works, Ok(())) => None,
        (Expected::Works, Err(said)) => Some(format!("does not work: {said}")),
        (Expected::Refused, Ok(())) => Some("works, and was expected to be refused".into()),
        (Expected::Refused, Err(said)) => {
            let (_, name) = row.setting.split_once("::").unwrap_or_default();
            let names = said.contains(name) && said.lines().count() == 1;
            (!names).then(|| format!("is refused without its name, or not in one line: {said:?}"))
        }
    }
}

/// Panics of any thread from here on: a task that ends so ends in silence.
fn panics() -> Arc<Mutex<Vec<String>>> {
    let panics = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&panics);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push(panic.to_string());
        before(panic);
    }));
    panics
}
