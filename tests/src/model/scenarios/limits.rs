//! Scenarios of limits, of programs outside, and of two versions of a type.

use memolock::core::Mode;

use super::{ALONE, BETWEEN_BEATS, COMPUTE, EXTERN, EXTERNAL, LITTLE_MORE, PLAIN, STORE_FAILS};
use crate::model::scenario::{Fault, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
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
    Scenario {
        name: "longest lease",
        max_lease: LITTLE_MORE,
        marks: &["lease lost", "stored", "awaited"],
        never: STORE_FAILS,
        least: 7_000,
        ..PLAIN
    },
    Scenario {
        name: "longest lease, lost message",
        max_lease: LITTLE_MORE,
        faults: &[Fault::Lose],
        moments: 2,
        marks: &["lease lost", "stored"],
        never: STORE_FAILS,
        least: 30_000,
        ..PLAIN
    },
    Scenario {
        name: "longest lease, pause",
        max_lease: LITTLE_MORE,
        faults: &[Fault::Pause],
        moments: 2,
        marks: &["lease lost", "stored"],
        never: STORE_FAILS,
        least: 20_000,
        ..PLAIN
    },
    Scenario {
        name: "longest lease, external",
        max_lease: LITTLE_MORE,
        moments: 2,
        marks: &["triggering again", "awaited"],
        never: STORE_FAILS,
        least: 10_000,
        ..EXTERN
    },
    Scenario {
        name: "longest lease, external, gap",
        processes: ALONE,
        max_lease: LITTLE_MORE,
        faults: &[Fault::Gap],
        moments: 4,
        marks: &["verifying", "triggering again"],
        never: STORE_FAILS,
        least: 500,
        ..EXTERN
    },
    Scenario {
        name: "dead program",
        trigger_timeout: BETWEEN_BEATS,
        moments: 2,
        marks: &["triggering again", "awaited", "remote"],
        never: &["degraded"],
        least: 15_000,
        ..EXTERN
    },
    Scenario {
        name: "dead program, lost message",
        processes: ALONE,
        trigger_timeout: BETWEEN_BEATS,
        faults: &[Fault::Lose],
        moments: 4,
        marks: &["triggering again"],
        never: &["degraded", "error"],
        least: 1_000,
        ..EXTERN
    },
    Scenario {
        name: "dead program, gap",
        processes: ALONE,
        trigger_timeout: BETWEEN_BEATS,
        faults: &[Fault::Gap],
        moments: 4,
        marks: &["verifying", "triggering again"],
        never: STORE_FAILS,
        least: 1_000,
        ..EXTERN
    },
    Scenario {
        name: "dead program, refusal",
        processes: ALONE,
        trigger_timeout: BETWEEN_BEATS,
        faults: &[Fault::Refuse],
        moments: 4,
        marks: &["triggering again"],
        never: &["degraded"],
        least: 1_000,
        ..EXTERN
    },
    Scenario {
        name: "dead program, invalidation",
        processes: ALONE,
        trigger_timeout: BETWEEN_BEATS,
        faults: &[Fault::Invalidate],
        moments: 4,
        marks: &["triggering again"],
        never: STORE_FAILS,
        least: 1_000,
        ..EXTERN
    },
    Scenario {
        name: "dead program, cancelled",
        processes: &[&[Mode::External, Mode::External]],
        trigger_timeout: BETWEEN_BEATS,
        faults: &[Fault::Cancel],
        moments: 4,
        marks: &["triggering again"],
        never: STORE_FAILS,
        least: 1_000,
        ..EXTERN
    },
    Scenario {
        name: "computing beside dead program",
        processes: &[EXTERNAL, COMPUTE],
        trigger_timeout: BETWEEN_BEATS,
        moments: 2,
        marks: &["triggering again", "stored"],
        never: STORE_FAILS,
        least: 5_000,
        ..EXTERN
    },
    Scenario {
        name: "computing after dead program",
        processes: &[&[Mode::External, Mode::Compute]],
        trigger_timeout: BETWEEN_BEATS,
        faults: &[Fault::Cancel, Fault::Lose],
        marks: &["attending", "stored"],
        never: &[],
        least: 1_000,
        ..EXTERN
    },
];
