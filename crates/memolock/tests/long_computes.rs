//! A compute that goes on for long is warned of, whichever call it belongs to.

#![allow(clippy::unwrap_used)]

mod common;

use std::future::pending;
use std::time::Duration;

use common::{Log, SECOND, Spy, nothing_left, process, settle};
use memolock::Memolock;
use memolock::core::{ErrorKind, Operation};
use tokio::time::{sleep, timeout};

/// Longer than a default `max_lease`, which is five minutes.
const LONG: Duration = Duration::from_secs(400);

async fn stuck() -> Result<String, String> {
    pending().await
}

/// That key was warned of after a minute and at each doubling, with its age and the settings that bound it.
fn assert_warned(log: &Log, key: &str) {
    let warnings = log.warnings("holds its key for long");
    let warnings: Vec<_> = warnings.iter().filter(|line| line.contains(key)).collect();
    let ages = ["60s", "120s", "240s"];
    assert_eq!(warnings.len(), ages.len(), "{}", log.text());
    for (warning, age) in warnings.iter().zip(ages) {
        for part in [age, "max_lease", "compute_timeout"] {
            assert!(warning.contains(part), "{warning}");
        }
    }
}

/// How many warnings there are of any key.
fn warned(log: &Log) -> usize {
    log.warnings("holds its key for long").len()
}

#[tokio::test(start_paused = true)]
async fn a_compute_that_goes_on_for_long_is_warned_of() {
    let log = Log::begin();
    let spy = Spy::new();
    let likes = process(&spy).await;
    let left = timeout(LONG, likes.get_or_compute("a", |_| stuck())).await;
    assert!(left.is_err());
    assert_warned(&log, "likes:a");
    let lost = log.warnings("lease lost");
    assert!(
        matches!(&lost[..], [line] if line.contains("max_lease")),
        "{lost:?}"
    );
    nothing_left(&spy, &[&likes]).await;
    sleep(LONG).await;
    assert_eq!(warned(&log), 3, "it has ended");
}

#[tokio::test(start_paused = true)]
async fn a_compute_of_many_that_goes_on_for_long_is_warned_of_for_each_key() {
    let log = Log::begin();
    let spy = Spy::new();
    let likes = process(&spy).await;
    let stuck = |_: Vec<String>| pending::<Result<Vec<(String, String)>, String>>();
    let left = timeout(LONG, likes.get_or_compute_many(["a", "b"], stuck)).await;
    assert!(left.is_err());
    assert_warned(&log, "likes:a");
    assert_warned(&log, "likes:b");
    nothing_left(&spy, &[&likes]).await;
    sleep(LONG).await;
    assert_eq!(warned(&log), 6, "it has ended");
}

/// Its caller may be gone long since.
#[tokio::test(start_paused = true)]
async fn detached_work_that_goes_on_for_long_is_warned_of() {
    let log = Log::begin();
    let spy = Spy::new();
    let likes = process(&spy).await;
    let call = likes.entry("a").detach().or_compute(|_| stuck());
    assert!(timeout(SECOND, call).await.is_err());
    sleep(LONG).await;
    assert_warned(&log, "likes:a");
    likes.close_within(Duration::ZERO).await;
    nothing_left(&spy, &[&likes]).await;
    sleep(LONG).await;
    assert_eq!(warned(&log), 3, "it has ended");
}

/// In an outage it holds its key in this process alone.
#[tokio::test(start_paused = true)]
async fn a_compute_without_a_lease_that_goes_on_for_long_is_warned_of() {
    let log = Log::begin();
    let spy = Spy::new();
    let likes: Memolock<String> = process(&spy).await;
    spy.break_with(Some(ErrorKind::Unavailable));
    let calls = likes.clone();
    let call = tokio::spawn(async move { calls.get_or_compute("a", |_| stuck()).await });
    settle("it computes", || likes.stats().computes == 1).await;
    sleep(LONG).await;
    assert_warned(&log, "likes:a");
    assert_eq!(spy.count(Operation::Renew), 0);
    call.abort();
    nothing_left(&spy, &[&likes]).await;
    sleep(LONG).await;
    assert_eq!(warned(&log), 3, "it has ended");
}
