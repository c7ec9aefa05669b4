//! One row for each setting: its name, a normal value, what is expected, and how it is tried.

use std::num::NonZero;
use std::pin::Pin;
use std::time::Duration;

use memolock::codec::{Algorithm, Compressed, Versioned};
use memolock::core::OutagePolicy;
use memolock::{CircuitBreaker, Computed, NearCache};

use crate::trials::{Places, codes, equal, json};

/// The values that are tried.
pub(crate) const POINTS: [&str; 4] = ["0", "1", "a normal value", "the maximum"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Built, connected, and calls get their values.
    Works,
    /// One line that names the setting.
    Refused,
}

use Expected::{Refused, Works};

type Ended = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// A setting, tried at each point.
pub(crate) struct Row {
    /// As the sources declare it: `Builder::ttl`.
    pub(crate) setting: String,
    pub(crate) expected: [Expected; 4],
    pub(crate) trial: Box<dyn Fn(Places, usize) -> Ended + Send>,
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Rows of what is no function that gives back `Self`.
pub(crate) const BESIDE: [&str; 2] = ["Lease::renew", "Algorithm::Zstd"];

pub(crate) fn durations<Fut>(
    setting: &str,
    normal: Duration,
    expected: [Expected; 4],
    trial: impl Fn(Places, Duration) -> Fut + Send + 'static,
) -> Row
where
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    let points = [
        Duration::ZERO,
        Duration::from_nanos(1),
        normal,
        Duration::MAX,
    ];
    Row {
        setting: setting.to_owned(),
        expected,
        trial: Box::new(move |places, nth| Box::pin(trial(places, points[nth]))),
    }
}

fn numbers<Fut>(
    setting: &str,
    normal: u64,
    expected: [Expected; 4],
    trial: impl Fn(Places, u64) -> Fut + Send + 'static,
) -> Row
where
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    let points = [0, 1, normal, u64::MAX];
    Row {
        setting: setting.to_owned(),
        expected,
        trial: Box::new(move |places, nth| Box::pin(trial(places, points[nth]))),
    }
}

/// The greatest number of a smaller type for the greatest of all.
fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn small(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(crate) const REFUSED_BELOW: [Expected; 4] = [Refused, Refused, Works, Works];
const REFUSED_AT_BOTH: [Expected; 4] = [Refused, Refused, Works, Refused];
const NO_ZERO: [Expected; 4] = [Refused, Works, Works, Works];
pub(crate) const ALL_WORK: [Expected; 4] = [Works; 4];

/// Every setting there is.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(of_builder());
    rows.extend(of_calls());
    rows.extend(crate::limits::rows());
    rows.extend(of_parts());
    rows.extend(of_redis_rs());
    rows.extend(of_fred());
    rows.extend(of_postgres());
    rows.extend(of_codecs());
    rows
}

fn of_builder() -> Vec<Row> {
    vec![
        durations("Builder::ttl", SECOND * 60, REFUSED_BELOW, |places, d| {
            places.memolock(move |b| b.ttl(d))
        }),
        durations(
            "Builder::wait_timeout",
            SECOND * 60,
            REFUSED_BELOW,
            |places, d| places.memolock(move |b| b.wait_timeout(d)),
        ),
        durations("Builder::lease", SECOND * 5, REFUSED_BELOW, |places, d| {
            places.memolock(move |b| b.lease(d))
        }),
        numbers(
            "Builder::stale_entries",
            1000,
            NO_ZERO,
            |places, n| async move {
                let Some(most) = NonZero::new(size(n)) else {
                    return Err("stale_entries: its type has no 0".into());
                };
                let serve = OutagePolicy::Serve;
                places
                    .outage(move |b| b.on_outage(serve).stale_entries(most))
                    .await
            },
        ),
        durations("Builder::stale_age", HOUR, ALL_WORK, |places, d| {
            places.outage(move |b| b.on_outage(OutagePolicy::Serve).stale_age(d))
        }),
        numbers(
            "Builder::local_computes",
            64,
            [Refused, Works, Works, Refused],
            |places, n| places.outage(move |b| b.local_computes(size(n))),
        ),
        // At 1 a value of one byte is stored.
        numbers(
            "Builder::max_value_bytes",
            64 << 20,
            NO_ZERO,
            |places, n| places.one_byte(move |b| b.max_value_bytes(size(n))),
        ),
    ]
}

fn of_calls() -> Vec<Row> {
    let ttl = |places: Places, ttl| async move {
        let memolock = places.built().await;
        let entry = memolock.entry("a").ttl(ttl);
        let got = entry.or_compute(|_| async { Ok::<_, String>(42) }).await;
        equal(*got.map_err(|e| e.to_string())?, 42)
    };
    let many = |places: Places, ttl| async move {
        let memolock = places.built().await;
        let entries = memolock.entries(["a"]).ttl(ttl);
        let got =
            entries.or_compute(|ids| async { Ok::<_, String>(ids.into_iter().map(|id| (id, 42))) });
        let got = got.await.into_result().map_err(|e| e.to_string())?;
        equal(*got[0], 42)
    };
    let computed = |places: Places, ttl| async move {
        let memolock = places.built().await;
        let compute = |_| async { Ok::<_, String>(Computed::new(42).ttl(ttl)) };
        let got = memolock.entry("a").or_compute_with(compute).await;
        equal(*got.map_err(|e| e.to_string())?, 42)
    };
    vec![
        // Zero: not stored.
        durations("Entry::ttl", SECOND, ALL_WORK, ttl),
        durations("Entries::ttl", SECOND, ALL_WORK, many),
        durations("Computed::ttl", SECOND, ALL_WORK, computed),
        // Less than a millisecond is seldom enough for a server.
        durations(
            "Entry::wait_timeout",
            MINUTE,
            ALL_WORK,
            |places, d| async move {
                let memolock = places.built().await;
                let entry = memolock.entry("a").wait_timeout(d);
                let got = entry.or_compute(|_| async { Ok::<_, String>(42) }).await;
                waited(got.map(|memo| *memo), d)
            },
        ),
        durations(
            "Entries::wait_timeout",
            MINUTE,
            ALL_WORK,
            |places, d| async move {
                let memolock = places.built().await;
                let entries = memolock.entries(["a"]).wait_timeout(d);
                let compute = |_| async { Ok::<_, String>([("a", 42)]) };
                let got = entries.or_compute(compute).await.into_result();
                waited(got.map(|memos| *memos[0]), d)
            },
        ),
        // The store keeps at least a millisecond.
        durations("Lease::renew", SECOND, ALL_WORK, |places, d| async move {
            let memolock = places.built().await;
            let got = memolock.get_or_compute("a", async |lease| {
                lease.renew(d).await.map_err(|e| e.to_string())?;
                Ok::<_, String>(42)
            });
            equal(*got.await.map_err(|e| e.to_string())?, 42)
        }),
    ]
}

/// A call has its value, or has waited for as long as it may and says so.
fn waited(got: Result<u64, memolock::Error>, wait: Duration) -> Result<(), String> {
    match got {
        Ok(value) => equal(value, 42),
        Err(error @ memolock::Error::Timeout { .. })
            if wait < SECOND && error.to_string().contains("wait_timeout") =>
        {
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn of_parts() -> Vec<Row> {
    vec![
        numbers("NearCache::entries", 1000, NO_ZERO, |places, n| {
            places.memolock(move |b| b.near_cache(NearCache::entries(n)))
        }),
        numbers("NearCache::weight", 1 << 20, NO_ZERO, |places, n| {
            places.memolock(move |b| b.near_cache(NearCache::weight(n, |_, _| u64::MAX / 2)))
        }),
        durations("NearCache::max_age", SECOND, REFUSED_BELOW, |places, d| {
            places.memolock(move |b| b.near_cache(NearCache::entries(10).max_age(d)))
        }),
        numbers("CircuitBreaker::timeouts", 3, ALL_WORK, |places, n| {
            let breaker = CircuitBreaker::new().timeouts(small(n));
            places.memolock(move |b| b.circuit_breaker(breaker))
        }),
        durations(
            "CircuitBreaker::probe_every",
            SECOND,
            REFUSED_BELOW,
            |places, d| {
                let breaker = CircuitBreaker::new().probe_every(d);
                places.memolock(move |b| b.circuit_breaker(breaker))
            },
        ),
        // A store that has room for nothing refuses, and calls compute without it.
        numbers(
            "MemoryBuilder::capacity_bytes",
            1 << 20,
            ALL_WORK,
            |_, n| async move {
                let store = memolock::memory::MemoryBackend::builder().capacity_bytes(size(n));
                let memolock = memolock::Memolock::<u64>::builder("likes", store.build()).build();
                let memolock = memolock.await.map_err(|e| e.to_string())?;
                let got = memolock.get_or_compute("a", |_| async { Ok::<_, String>(42) });
                equal(*got.await.map_err(|e| e.to_string())?, 42)
            },
        ),
    ]
}

/// What every builder of a backend with connections has.
macro_rules! connection {
    ($builder:literal, $place:ident) => {
        vec![
            durations(
                concat!($builder, "::connect_timeout"),
                SECOND * 60,
                REFUSED_AT_BOTH,
                |places, d| places.$place(move |b| b.connect_timeout(d)),
            ),
            durations(
                concat!($builder, "::command_timeout"),
                SECOND * 60,
                REFUSED_AT_BOTH,
                |places, d| places.$place(move |b| b.command_timeout(d)),
            ),
            durations(
                concat!($builder, "::heartbeat"),
                SECOND,
                REFUSED_AT_BOTH,
                |places, d| places.$place(move |b| b.heartbeat(d)),
            ),
            durations(
                concat!($builder, "::reconnect_delay"),
                SECOND,
                REFUSED_AT_BOTH,
                |places, d| places.$place(move |b| b.reconnect_delay(d, d)),
            ),
        ]
    };
}

/// What the builders of both adapters for Redis have.
macro_rules! redis {
    ($builder:literal, $place:ident) => {{
        let mut rows = connection!($builder, $place);
        rows.push(durations(
            concat!($builder, "::repeat_notice"),
            SECOND / 10,
            [Refused, Works, Works, Refused],
            |places, d| places.$place(move |b| b.repeat_notice(d)),
        ));
        rows
    }};
}

fn of_redis_rs() -> Vec<Row> {
    redis!("RedisBackendBuilder", redis_rs)
}

fn of_fred() -> Vec<Row> {
    redis!("FredBackendBuilder", fred)
}

fn of_postgres() -> Vec<Row> {
    let mut rows = connection!("PgBackendBuilder", postgres);
    rows.push(durations(
        "PgBackendBuilder::sweep_interval",
        SECOND,
        REFUSED_BELOW,
        |places, d| places.postgres(move |b| b.sweep_interval(d)),
    ));
    rows
}

fn of_codecs() -> Vec<Row> {
    let packed = || Compressed::new(json(), Algorithm::Lz4);
    vec![
        numbers("Compressed::threshold", 100, ALL_WORK, move |_, n| {
            codes(packed().threshold(size(n)))
        }),
        // What may not be unpacked is not packed.
        numbers("Compressed::max_decoded", 1 << 20, ALL_WORK, move |_, n| {
            codes(packed().max_decoded(size(n)))
        }),
        numbers("Versioned::new", 7, ALL_WORK, |_, n| {
            codes(Versioned::new(json(), small(n)))
        }),
        numbers("Algorithm::Zstd", 3, ALL_WORK, |_, n| {
            let level = i32::try_from(n).unwrap_or(i32::MAX);
            codes(Compressed::new(json(), Algorithm::Zstd { level }))
        }),
    ]
}
