//! Faults of a master that Sentinel watches, and that has a replica.

use super::{NOTHING_LOST, PATIENT, PLAIN, REPLACED, SHORT};
use crate::faults::acts::{processes, succession};
use crate::faults::fault::{Fault, Place};

/// All of them.
pub(super) const FAULTS: [Fault; 5] = [
    Fault {
        name: "sentinel-master-killed",
        what: "Sentinel: kill -9 of the master, until its replica is promoted",
        place: Place::Sentinel,
        strike: processes::kill_server,
        lasts: SHORT,
        mend: succession::replaced,
        ..REPLACED
    },
    Fault {
        name: "sentinel-master-stopped",
        what: "Sentinel: SIGSTOP of the master, until its replica is promoted",
        place: Place::Sentinel,
        strike: processes::stop_server,
        mend: succession::continue_replaced,
        ..REPLACED
    },
    Fault {
        name: "sentinel-handover",
        what: "Sentinel: SENTINEL FAILOVER",
        place: Place::Sentinel,
        strike: succession::hand_over,
        lease: PATIENT,
        // Between the promotion and its announcement writes go to the old master, and are lost.
        expected: NOTHING_LOST,
        ..PLAIN
    },
    Fault {
        name: "sentinel-container-paused",
        what: "Sentinel: docker pause of the master, until its replica is promoted",
        place: Place::SentinelOfContainers,
        strike: processes::stop_server,
        mend: succession::continue_replaced,
        ..REPLACED
    },
    Fault {
        name: "sentinel-container-unplugged",
        what: "Sentinel: docker network disconnect of the master, until its replica is promoted",
        place: Place::SentinelOfContainers,
        strike: processes::unplug_server,
        mend: succession::plug_replaced,
        ..REPLACED
    },
];
