//! Faults of servers and clusters with TLS: a line that breaks is a handshake lost, and there is one more way of not
//! being let in.

use super::{OPEN, PARTED, PATIENT, PLAIN, SHORT, clusters, servers};
use crate::faults::acts::{clients, secrecy, succession};
use crate::faults::fault::{Ends, Expected, Fault, Place};

/// All of them.
pub(super) const FAULTS: [Fault; 6] = [
    Fault {
        name: "tls-server-killed",
        what: "TLS: kill -9 of the server, started empty after 1 s",
        place: Place::Tls,
        ..servers::KILLED
    },
    Fault {
        name: "tls-server-stopped",
        what: "TLS: SIGSTOP of the server for 2.5 s",
        place: Place::Tls,
        ..servers::STOPPED
    },
    Fault {
        name: "tls-clients-killed",
        what: "TLS: CLIENT KILL of all connections, 8 times",
        place: Place::Tls,
        strike: clients::kill_everywhere,
        // Connections may be killed before a busy machine has made them, which is an outage: what the waiter knows of
        // the holder's lock has to outlast it.
        lease: PATIENT,
        expected: PARTED,
        ..PLAIN
    },
    Fault {
        name: "tls-certificate",
        what: "TLS: a certificate of an authority that nobody was told of, for 1 s",
        place: Place::Tls,
        strike: secrecy::exchange,
        lasts: SHORT,
        mend: secrecy::restore,
        ends: Ends::During,
        expected: Expected {
            keeps_listeners: false,
            ..OPEN
        },
        ..PLAIN
    },
    Fault {
        name: "tls-cluster-master-killed",
        what: "TLS, cluster: kill -9 of the master, until its replica is promoted",
        place: Place::ClusterWithTls,
        ..clusters::KILLED
    },
    Fault {
        name: "tls-cluster-handover",
        what: "TLS, cluster: CLUSTER FAILOVER",
        place: Place::ClusterWithTls,
        strike: succession::hand_over,
        lease: PATIENT,
        expected: clusters::MOVED,
        ..PLAIN
    },
];
