//! Faults of clusters: the held id's master is struck, in which all actors have their ids.

use memolock::Notifications;

use super::{NOTHING_LOST, PARTED, PATIENT, PLAIN, REPLACED, SHORT};
use crate::faults::acts::{clients, processes, succession};
use crate::faults::fault::{Expected, Fault, Felt, Place};

/// The master comes back never, its replica takes its place.
pub(super) const KILLED: Fault = Fault {
    name: "cluster-master-killed",
    what: "cluster: kill -9 of the master, until its replica is promoted",
    place: Place::Cluster,
    strike: processes::kill_server,
    lasts: SHORT,
    mend: succession::replaced,
    ..REPLACED
};

/// All of them.
pub(super) const FAULTS: [Fault; 9] = [
    KILLED,
    Fault {
        name: "cluster-master-stopped",
        what: "cluster: SIGSTOP of the master, until its replica is promoted",
        place: Place::Cluster,
        strike: processes::stop_server,
        mend: succession::continue_replaced,
        ..REPLACED
    },
    Fault {
        name: "cluster-handover",
        what: "cluster: CLUSTER FAILOVER",
        place: Place::Cluster,
        strike: succession::hand_over,
        lease: PATIENT,
        expected: MOVED,
        ..PLAIN
    },
    Fault {
        name: "cluster-slot-moved",
        what: "cluster: the slot moves to another master",
        place: Place::Cluster,
        strike: succession::move_slot,
        lease: PATIENT,
        expected: MOVED,
        ..PLAIN
    },
    Fault {
        name: "cluster-sharded-master-killed",
        what: "cluster, sharded notifications: kill -9 of the master, until its replica is promoted",
        notifications: Notifications::Sharded,
        ..KILLED
    },
    Fault {
        name: "cluster-sharded-slot-moved",
        what: "cluster, sharded notifications: the slot moves to another master",
        place: Place::Cluster,
        strike: succession::move_slot,
        lease: PATIENT,
        notifications: Notifications::Sharded,
        expected: MOVED,
        ..PLAIN
    },
    Fault {
        name: "cluster-clients-killed",
        what: "cluster: CLIENT KILL of all connections of every node, 8 times",
        place: Place::Cluster,
        strike: clients::kill_everywhere,
        lease: PATIENT,
        expected: PARTED,
        ..PLAIN
    },
    Fault {
        name: "cluster-container-paused",
        what: "cluster: docker pause of the master, until its replica is promoted",
        place: Place::ClusterOfContainers,
        strike: processes::stop_server,
        mend: succession::continue_replaced,
        ..REPLACED
    },
    Fault {
        name: "cluster-container-unplugged",
        what: "cluster: docker network disconnect of the master, until its replica is promoted",
        place: Place::ClusterOfContainers,
        strike: processes::unplug_server,
        mend: succession::plug_replaced,
        ..REPLACED
    },
];

/// Whoever goes on asking the old master is sent to the new one.
pub(super) const MOVED: Expected = Expected {
    felt: Felt::Errors("MOVED"),
    ..NOTHING_LOST
};
