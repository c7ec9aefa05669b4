//! The rows of limits: how long leases are kept, computes may take, and programs are waited for.

use std::time::Duration;

use memolock::{Entries, Entry, codec::Json};

use crate::rows::{ALL_WORK, REFUSED_BELOW, Row, SECOND, durations};
use crate::trials::{Places, equal};

type OneCall<'a> = Entry<'a, u64, Json>;
type ManyCall<'a> = Entries<'a, u64, Json>;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = of_builder();
    rows.extend(of_calls());
    rows
}

fn of_builder() -> Vec<Row> {
    vec![
        durations(
            "Builder::compute_timeout",
            SECOND * 60,
            REFUSED_BELOW,
            |places, d| places.memolock(move |b| b.compute_timeout(d)),
        ),
        durations(
            "Builder::max_lease",
            SECOND * 300,
            REFUSED_BELOW,
            |places, d| places.memolock(move |b| b.max_lease(d)),
        ),
        // Zero: the lease is not renewed after a trigger.
        durations(
            "Builder::trigger_timeout",
            SECOND * 30,
            ALL_WORK,
            |places, d| places.memolock(move |b| b.trigger_timeout(d)),
        ),
    ]
}

fn of_calls() -> Vec<Row> {
    vec![
        durations(
            "Entry::compute_timeout",
            SECOND * 60,
            REFUSED_BELOW,
            |places, d| one(places, move |entry| entry.compute_timeout(d)),
        ),
        durations(
            "Entry::max_lease",
            SECOND * 300,
            REFUSED_BELOW,
            |places, d| one(places, move |entry| entry.max_lease(d)),
        ),
        durations("Entry::trigger_timeout", SECOND * 30, ALL_WORK, external),
        durations(
            "Entries::compute_timeout",
            SECOND * 60,
            REFUSED_BELOW,
            |places, d| many(places, move |entries| entries.compute_timeout(d)),
        ),
        durations(
            "Entries::max_lease",
            SECOND * 300,
            REFUSED_BELOW,
            |places, d| many(places, move |entries| entries.max_lease(d)),
        ),
    ]
}

async fn one(
    places: Places,
    set: impl Fn(OneCall<'_>) -> OneCall<'_> + Send,
) -> Result<(), String> {
    let memolock = places.built().await;
    let got = set(memolock.entry("a")).or_compute(|_| async { Ok::<_, String>(42) });
    equal(*got.await.map_err(|e| e.to_string())?, 42)
}

async fn many(
    places: Places,
    set: impl Fn(ManyCall<'_>) -> ManyCall<'_> + Send,
) -> Result<(), String> {
    let memolock = places.built().await;
    let compute = |_| async { Ok::<_, String>([("a", 42)]) };
    let got = set(memolock.entries(["a"])).or_compute(compute).await;
    let got = got.into_result().map_err(|e| e.to_string())?;
    equal(*got[0], 42)
}

/// Its program stores at once.
async fn external(places: Places, timeout: Duration) -> Result<(), String> {
    let memolock = places.built().await;
    let trigger = || async {
        let stored = memolock.entry("a").resolve(&42).await;
        stored.map_err(|e| e.to_string())
    };
    let entry = memolock.entry("a").trigger_timeout(timeout);
    equal(
        *entry
            .or_external(trigger)
            .await
            .map_err(|e| e.to_string())?,
        42,
    )
}
