//! The scenarios that are searched, each as small as shows its fault.

use memolock::core::{FailurePolicy, Mode, OutagePolicy};

use super::scenario::{Fault, Scenario};

const COMPUTE: &[Mode] = &[Mode::Compute];
const EXTERNAL: &[Mode] = &[Mode::External];
const TWO: &[&[Mode]] = &[COMPUTE, COMPUTE];

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

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
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
        least: 144_000,
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
        least: 218_000,
        ..PLAIN
    },
    Scenario {
        name: "another version is stored, the same value put again",
        foreign: true,
        faults: &[Fault::Same],
        marks: &["waiting", "stored", "lease lost"],
        never: STORE_FAILS,
        least: 78_000,
        ..PLAIN
    },
    Scenario {
        name: "external, another version is stored, repeated notice",
        processes: &[EXTERNAL, EXTERNAL],
        foreign: true,
        faults: &[Fault::Repeat],
        marks: &["attending", "verifying"],
        never: &["degraded"],
        least: 226_000,
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
    Scenario {
        name: "external, gap",
        faults: &[Fault::Gap],
        marks: &["attending", "verifying"],
        never: &["error"],
        least: 128_000,
        ..EXTERN
    },
    Scenario {
        name: "external, ended subscription",
        faults: &[Fault::Silence],
        marks: &["attending", "error"],
        never: &[],
        least: 29_000,
        ..EXTERN
    },
    Scenario {
        name: "external, pause",
        faults: &[Fault::Pause],
        moments: 1,
        marks: &["verifying"],
        never: &[],
        least: 31_000,
        ..EXTERN
    },
    Scenario {
        name: "external, invalidation",
        faults: &[Fault::Invalidate],
        moments: 1,
        marks: &["verifying", "triggering"],
        never: &[],
        least: 240_000,
        ..EXTERN
    },
    Scenario {
        name: "external, restart",
        faults: &[Fault::Restart],
        moments: 0,
        marks: &["verifying"],
        never: &[],
        least: 100_000,
        ..EXTERN
    },
    Scenario {
        name: "external, cancelled callers",
        processes: &[&[Mode::External, Mode::External], EXTERNAL],
        faults: &[Fault::Cancel, Fault::Cancel],
        moments: 2,
        marks: &["attending", "abandoned"],
        never: &[],
        least: 119_000,
        ..EXTERN
    },
    Scenario {
        name: "external and computing",
        processes: &[EXTERNAL, COMPUTE],
        marks: &["attending", "stored"],
        never: &[],
        least: 7_000,
        ..EXTERN
    },
    Scenario {
        name: "computing after external",
        processes: &[&[Mode::External, Mode::Compute], COMPUTE],
        faults: &[Fault::Cancel],
        moments: 2,
        marks: &["attending", "stored"],
        never: &[],
        least: 28_000,
        ..EXTERN
    },
    Scenario {
        name: "external after computing",
        processes: &[&[Mode::Compute, Mode::External], COMPUTE],
        faults: &[Fault::Cancel],
        moments: 2,
        marks: &["attending", "stored"],
        never: &[],
        least: 15_000,
        ..EXTERN
    },
];
