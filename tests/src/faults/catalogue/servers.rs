//! Faults of one server, and of the holder.

use std::time::Duration;

use super::{LOCK_LOST, LONG, NOTHING_LOST, OPEN, PARTED, PLAIN, SHORT};
use crate::HANG;
use crate::faults::acts::{clients, memory, processes, roles};
use crate::faults::fault::Maker::{Nobody, Waiter};
use crate::faults::fault::{Ends, Expected, Fault, Felt, Place};

/// For what large values take, on a busy machine and without optimization.
const FOR_LARGE: Duration = Duration::from_secs(2 * HANG.as_secs());

/// It comes back empty.
pub(super) const KILLED: Fault = Fault {
    name: "server-killed",
    what: "kill -9 of the server, started empty after 1 s",
    strike: processes::kill_server,
    lasts: SHORT,
    mend: processes::start_server,
    ends: Ends::During,
    expected: Expected {
        felt: Felt::Degraded,
        waiter: &[Waiter],
        stored: &[Waiter, Nobody],
        keeps_listeners: false,
    },
    ..PLAIN
};

/// It answers nothing, and forgets nothing.
pub(super) const STOPPED: Fault = Fault {
    name: "server-stopped",
    what: "SIGSTOP of the server for 2.5 s",
    strike: processes::stop_server,
    lasts: LONG,
    mend: processes::continue_server,
    ends: Ends::During,
    expected: OPEN,
    ..PLAIN
};

/// All of them.
pub(super) const FAULTS: [Fault; 17] = [
    KILLED,
    STOPPED,
    Fault {
        name: "holder-killed",
        what: "kill -9 of the holder",
        strike: processes::kill_holder,
        ends: Ends::Never,
        expected: Expected {
            keeps_listeners: true,
            ..LOCK_LOST
        },
        ..PLAIN
    },
    Fault {
        name: "holder-stopped",
        what: "SIGSTOP of the holder for 3 s, past its lease",
        strike: processes::stop_holder,
        lasts: Duration::from_secs(3),
        mend: processes::continue_holder,
        expected: Expected {
            keeps_listeners: true,
            ..LOCK_LOST
        },
        ..PLAIN
    },
    Fault {
        name: "client-kill-normal",
        what: "CLIENT KILL TYPE normal, 8 times",
        strike: clients::kill_normal,
        ..PLAIN
    },
    Fault {
        name: "client-kill-pubsub",
        what: "CLIENT KILL TYPE pubsub, 8 times",
        strike: clients::kill_pubsub,
        expected: PARTED,
        ..PLAIN
    },
    Fault {
        name: "client-pause-all",
        what: "CLIENT PAUSE 2500 ALL",
        strike: clients::pause_all,
        lasts: LONG,
        mend: clients::paused,
        ends: Ends::During,
        expected: OPEN,
        ..PLAIN
    },
    Fault {
        name: "client-pause-write",
        what: "CLIENT PAUSE 2500 WRITE",
        strike: clients::pause_writes,
        lasts: LONG,
        mend: clients::paused,
        expected: OPEN,
        ..PLAIN
    },
    Fault {
        name: "flushall",
        what: "FLUSHALL",
        strike: memory::flush_all,
        expected: LOCK_LOST,
        ..PLAIN
    },
    Fault {
        name: "script-flush",
        what: "SCRIPT FLUSH, 20 times",
        strike: memory::flush_scripts,
        expected: Expected {
            felt: Felt::Errors("NOSCRIPT"),
            ..NOTHING_LOST
        },
        ..PLAIN
    },
    Fault {
        name: "memory-full",
        what: "maxmemory 1, noeviction, for 1 s",
        strike: memory::fill,
        lasts: SHORT,
        mend: memory::make_room,
        ends: Ends::During,
        expected: Expected {
            felt: Felt::Errors("OOM"),
            waiter: &[Waiter],
            stored: &[Nobody],
            keeps_listeners: true,
        },
        ..PLAIN
    },
    Fault {
        name: "memory-evicted",
        what: "allkeys-lru, until the holder's lock is evicted",
        strike: memory::evict,
        lasts: SHORT,
        mend: memory::make_room,
        expected: Expected {
            stored: &[Waiter, Nobody],
            ..LOCK_LOST
        },
        ..PLAIN
    },
    Fault {
        name: "replica",
        what: "REPLICAOF an empty server for 1 s",
        strike: roles::demote,
        lasts: SHORT,
        mend: roles::promote,
        ends: Ends::During,
        expected: Expected {
            felt: Felt::Errors("READONLY"),
            waiter: &[Waiter],
            stored: &[Waiter, Nobody],
            keeps_listeners: false,
        },
        ..PLAIN
    },
    Fault {
        name: "password",
        what: "a password that nobody was told, for 1 s",
        strike: clients::rotate_in,
        lasts: SHORT,
        mend: clients::rotate_back,
        ends: Ends::During,
        expected: Expected {
            felt: Felt::Errors("NOAUTH"),
            keeps_listeners: false,
            ..OPEN
        },
        ..PLAIN
    },
    Fault {
        name: "large-values",
        what: "a value of 60 MiB over the 32 MB that the server buffers for a listener",
        bytes: 60 << 20,
        waiters: 3,
        // A second is too little for such values on a busy machine.
        bound: Some(FOR_LARGE),
        // Renewals queue behind such a value on the way to the server.
        lease: FOR_LARGE,
        expected: PARTED,
        ..PLAIN
    },
    Fault {
        name: "container-paused",
        what: "docker pause for 2.5 s",
        place: Place::Container,
        ..STOPPED
    },
    Fault {
        name: "container-unplugged",
        what: "docker network disconnect for 2.5 s",
        place: Place::Container,
        strike: processes::unplug_server,
        lasts: LONG,
        mend: processes::plug_server,
        ends: Ends::During,
        expected: OPEN,
        ..PLAIN
    },
];
