//! The scenarios that are searched, each as small as shows its fault.

mod limits;

use std::time::Duration;

use memolock::core::{FailurePolicy, Mode, OutagePolicy};

use super::scenario::{Fault, Scenario};

const COMPUTE: &[Mode] = &[Mode::Compute];
const EXTERNAL: &[Mode] = &[Mode::External];
const TWO: &[&[Mode]] = &[COMPUTE, COMPUTE];
/// One process that waits for a program outside, beside those that it has started before.
const ALONE: &[&[Mode]] = &[EXTERNAL];

/// Later than any run takes.
const NEVER: Duration = Duration::from_secs(60);
/// Between the first beat and the second.
const BETWEEN_BEATS: Duration = Duration::from_millis(6);
/// A lease and a little, so that its first renewal is shortened.
const LITTLE_MORE: Duration = Duration::from_millis(14);

/// Where commands are neither lost nor refused.
const STORE_FAILS: &[&str] = &["degraded", "error"];

/// Two processes, nothing goes wrong, a compute may take longer than a lease.
const PLAIN: Scenario = Scenario {
    name: "nothing",
    processes: TWO,
    faults: &[],
    versions: &[],
    foreign: false,
    moments: 4,
    trigger_timeout: NEVER,
    max_lease: NEVER,
    failures: FailurePolicy::Retry,
    outage: OutagePolicy::Compute,
    marks: &[
        "waiting",
        "computing",
        "stored",
        "hit",
        "awaited",
        "failed",
        "panicked",
        "declined",
    ],
    never: &[
        "lease lost",
        "degraded",
        "error",
        "uncertain",
        "not stored",
        "abandoned",
    ],
    least: 5_000,
};

/// Two processes that wait for a program outside.
const EXTERN: Scenario = Scenario {
    name: "external",
    processes: &[EXTERNAL, EXTERNAL],
    moments: 3,
    marks: &["triggering", "attending", "awaited"],
    never: &["degraded"],
    ..PLAIN
};

/// Of computes, external promises and failures.
const BASIC: &[Scenario] = &[
    PLAIN,
    Scenario {
        name: "3 processes",
        processes: &[COMPUTE, COMPUTE, COMPUTE],
        moments: 1,
        least: 130_000,
        ..PLAIN
    },
    Scenario {
        name: "crash",
        faults: &[Fault::Crash],
        least: 19_000,
        ..PLAIN
    },
    Scenario {
        name: "lost message",
        faults: &[Fault::Lose],
        marks: &["cleaning", "uncertain", "not stored"],
        never: &["degraded", "error", "lease lost"],
        least: 50_000,
        ..PLAIN
    },
    Scenario {
        name: "gap",
        faults: &[Fault::Gap],
        marks: &["waiting", "awaited"],
        least: 33_000,
        ..PLAIN
    },
    Scenario {
        name: "ended subscription",
        faults: &[Fault::Silence],
        marks: &["pausing"],
        never: &[],
        least: 11_000,
        ..PLAIN
    },
    Scenario {
        name: "refusal",
        faults: &[Fault::Refuse],
        marks: &["pausing", "degraded", "not stored"],
        never: &[],
        least: 22_000,
        ..PLAIN
    },
    Scenario {
        name: "2 refusals",
        faults: &[Fault::Refuse, Fault::Refuse],
        marks: &["pausing", "degraded", "not stored"],
        never: &[],
        least: 22_000,
        ..PLAIN
    },
    Scenario {
        name: "unknown error",
        faults: &[Fault::Unknown],
        marks: &["pausing", "degraded", "not stored"],
        never: &[],
        least: 22_000,
        ..PLAIN
    },
    Scenario {
        name: "invalidation",
        faults: &[Fault::Invalidate],
        marks: &["lease lost"],
        never: STORE_FAILS,
        least: 48_000,
        ..PLAIN
    },
    Scenario {
        name: "put",
        faults: &[Fault::Put],
        marks: &["lease lost"],
        never: STORE_FAILS,
        least: 16_000,
        ..PLAIN
    },
    Scenario {
        name: "expired value",
        faults: &[Fault::Expire],
        never: &[],
        least: 8_000,
        ..PLAIN
    },
    Scenario {
        name: "restart",
        faults: &[Fault::Restart],
        marks: &["lease lost", "uncertain"],
        never: &[],
        least: 135_000,
        ..PLAIN
    },
    Scenario {
        name: "pause",
        faults: &[Fault::Pause],
        marks: &["lease lost"],
        never: STORE_FAILS,
        least: 48_000,
        ..PLAIN
    },
    Scenario {
        name: "lag",
        faults: &[Fault::Lag],
        marks: &["lease lost"],
        never: STORE_FAILS,
        least: 60_000,
        ..PLAIN
    },
    Scenario {
        name: "repeated notice, invalidation",
        faults: &[Fault::Repeat, Fault::Repeat, Fault::Invalidate],
        marks: &["lease lost", "awaited"],
        never: STORE_FAILS,
        least: 30_000,
        ..PLAIN
    },
    Scenario {
        name: "two versions",
        versions: &[0, 1],
        never: &["lease lost", "degraded", "error"],
        marks: &["waiting", "stored"],
        least: 14_000,
        ..PLAIN
    },
    Scenario {
        name: "another version is stored, repeated notice, refusal",
        foreign: true,
        faults: &[Fault::Repeat, Fault::Refuse],
        marks: &["waiting", "stored", "degraded"],
        never: &["lease lost"],
        least: 38_000,
        ..PLAIN
    },
    Scenario {
        name: "another version is stored, the same value put again",
        foreign: true,
        faults: &[Fault::Same],
        marks: &["waiting", "stored", "lease lost"],
        never: STORE_FAILS,
        least: 13_000,
        ..PLAIN
    },
    Scenario {
        name: "external, another version is stored, repeated notice",
        processes: &[EXTERNAL, EXTERNAL],
        foreign: true,
        faults: &[Fault::Repeat],
        marks: &["attending", "verifying"],
        never: &["degraded"],
        least: 47_000,
        ..PLAIN
    },
    Scenario {
        name: "cancelled callers",
        processes: &[&[Mode::Compute, Mode::Compute], COMPUTE],
        faults: &[Fault::Cancel, Fault::Cancel],
        marks: &["abandoned", "uncertain", "lease lost"],
        never: STORE_FAILS,
        least: 67_000,
        ..PLAIN
    },
    Scenario {
        name: "lost message, invalidation",
        faults: &[Fault::Lose, Fault::Invalidate],
        moments: 1,
        marks: &["cleaning", "uncertain", "lease lost"],
        never: &[],
        least: 100_000,
        ..PLAIN
    },
    Scenario {
        name: "two lost messages",
        faults: &[Fault::Lose, Fault::Lose],
        moments: 1,
        marks: &["degraded", "pausing"],
        never: &[],
        least: 53_000,
        ..PLAIN
    },
    Scenario {
        name: "two lost, no local compute",
        faults: &[Fault::Lose, Fault::Lose],
        moments: 1,
        outage: OutagePolicy::Fail,
        marks: &["error", "pausing"],
        never: &["degraded"],
        least: 51_000,
        ..PLAIN
    },
    Scenario {
        name: "pause, lost message",
        faults: &[Fault::Pause, Fault::Lose],
        moments: 2,
        marks: &["lease lost", "cleaning"],
        never: &[],
        least: 140_000,
        ..PLAIN
    },
    Scenario {
        name: "crash, gap",
        faults: &[Fault::Crash, Fault::Gap],
        never: &[],
        least: 100_000,
        ..PLAIN
    },
    Scenario {
        name: "cancelled, lost message",
        processes: &[&[Mode::Compute, Mode::Compute], COMPUTE],
        faults: &[Fault::Cancel, Fault::Lose],
        moments: 1,
        marks: &["abandoned", "uncertain"],
        never: &[],
        least: 57_000,
        ..PLAIN
    },
    Scenario {
        name: "cancelled, invalidation",
        processes: &[&[Mode::Compute, Mode::Compute], COMPUTE],
        faults: &[Fault::Cancel, Fault::Invalidate],
        moments: 1,
        marks: &["abandoned", "lease lost"],
        never: STORE_FAILS,
        least: 60_000,
        ..PLAIN
    },
    Scenario {
        name: "shared failures",
        failures: FailurePolicy::Share,
        marks: &["remote"],
        never: &["lease lost", "degraded", "error"],
        least: 5_000,
        ..PLAIN
    },
    Scenario {
        name: "reader",
        processes: &[&[Mode::Read], COMPUTE, COMPUTE],
        moments: 0,
        marks: &["absent", "awaited"],
        never: &[],
        least: 1_800,
        ..PLAIN
    },
    Scenario {
        name: "external",
        never: &[],
        least: 12_000,
        ..EXTERN
    },
    Scenario {
        name: "external, crash",
        faults: &[Fault::Crash],
        never: &[],
        least: 38_000,
        ..EXTERN
    },
    Scenario {
        name: "external, lost message",
        faults: &[Fault::Lose],
        never: &["error"],
        least: 84_000,
        ..EXTERN
    },
];

/// All of them.
pub fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    BASIC.iter().chain(limits::SCENARIOS)
}
