//! Every fault, and what faults have in common.

mod clusters;
mod secure;
mod sentinels;
mod servers;

use std::time::Duration;

use memolock::Notifications;

use super::act::nothing;
use super::fault::Maker::{Holder, Nobody, Waiter};
use super::fault::{Ends, Expected, Fault, Felt, Place};
use super::run::LEASE;

/// All of them: those of one server, of clusters, of masters that Sentinel watches, and of TLS.
pub fn faults() -> impl Iterator<Item = &'static Fault> {
    let (servers, clusters) = (&servers::FAULTS, &clusters::FAULTS);
    let watched = &sentinels::FAULTS;
    let plain = servers.iter().chain(clusters).chain(watched);
    plain.chain(&secure::FAULTS)
}

/// Longer than the bound of a command and of a reconnect, and than a lease.
const LONG: Duration = Duration::from_millis(2500);

/// Long enough to be met, shorter than a lease.
const SHORT: Duration = Duration::from_millis(1000);

/// What faults have in common, unless they say otherwise.
const PLAIN: Fault = Fault {
    name: "",
    what: "",
    place: Place::Spawned,
    strike: nothing,
    lasts: Duration::ZERO,
    mend: nothing,
    ends: Ends::After,
    bytes: 0,
    waiters: 1,
    bound: None,
    notifications: Notifications::Classic,
    lease: LEASE,
    expected: NOTHING_LOST,
};

/// The holder keeps its lease through it all.
const NOTHING_LOST: Expected = Expected {
    felt: Felt::Reconnects,
    waiter: &[Holder],
    stored: &[Holder],
    keeps_listeners: true,
};

/// The same, and every waiter's connection was lost.
const PARTED: Expected = Expected {
    felt: Felt::WaitersReconnect,
    ..NOTHING_LOST
};

/// The holder's lock is gone and the waiter goes on.
const LOCK_LOST: Expected = Expected {
    felt: Felt::Takeover,
    waiter: &[Waiter],
    stored: &[Waiter],
    keeps_listeners: false,
};

/// The holder's lock may outlive the outage or not: whoever is first.
const OPEN: Expected = Expected {
    felt: Felt::Degraded,
    waiter: &[Holder, Waiter],
    stored: &[Holder, Waiter, Nobody],
    keeps_listeners: true,
};

/// The master is out of reach until its replica has its place: it never answers again, or as a replica. Whether the
/// lock outlives that is open, as in any outage; but replicas have what was there long before.
const REPLACED: Fault = Fault {
    lasts: LONG,
    ends: Ends::During,
    expected: OPEN,
    ..PLAIN
};

/// Leases that a handover in good order does not outlast, however busy the machine is.
const PATIENT: Duration = Duration::from_secs(10);
