//! What must hold after every fault, and what the fault's own expectations say.

use std::time::Duration;

use memolock::Memolock;
use memolock::codec::Text;

use super::callers::{Saw, value};
use super::fault::{Ends, Fault, Felt, Maker};
use super::row::Row;
use super::stage::{HELD, Stage};
use super::waiters::FOREIGN;
use crate::{HANG, eventually};

/// How much longer than a failover anybody may wait.
const SOON: Duration = Duration::from_secs(2);

/// Errors that servers counted.
pub(super) async fn counted(fault: &Fault, stage: &Stage) -> u64 {
    match fault.expected.felt {
        Felt::Errors(code) => {
            let field = format!("errorstat_{code}");
            stage.counted("errorstats", &field).await
        }
        _ => 0,
    }
}

/// No caller saw an error, a wrong value or a hang; the holder's caller has its value; the rest is as expected.
///
/// # Panics
/// If not.
pub(super) fn judge(row: &Row) {
    let (fault, tally) = (&row.fault, &row.tally);
    let told = format!("{} over {}: {:?}", fault.name, row.adapter, row.cells());
    // By default an outage costs speed and not availability (R11).
    assert_eq!(tally.faults().count(), 0, "{told}");
    assert!(row.longest < HANG, "{told}");
    match fault.ends {
        Ends::Never => assert!(row.returned.is_none(), "{told}"),
        Ends::During | Ends::After => {
            let (same, after) = row.returned.expect("it was told to end");
            assert!(same && after < HANG, "R3: {told}");
        }
    }
    if fault.place.has_replicas() {
        let soon = row.lasted + SOON;
        let returned = row.returned.map_or(Duration::ZERO, |(_, after)| after);
        let woken = row.woken.0.saturating_duration_since(row.woken.1);
        assert!(
            row.longest < soon && returned < soon,
            "later than {soon:?}: {told}"
        );
        assert!(woken < SOON, "a waiter slept: {told}");
    }
    let expected = &fault.expected;
    let fine = |maker: &Maker| expected.waiter.contains(maker);
    assert!(row.makers.iter().all(fine), "{told}");
    assert!(expected.stored.contains(&row.stored), "{told}");
    assert!(row.by_push || !expected.keeps_listeners, "{told}");
    let felt = match expected.felt {
        Felt::Degraded => tally.of(&Saw::Degraded) > 0,
        Felt::Reconnects => row.of_callers + row.of_waiters.iter().sum::<u64>() > 0,
        Felt::WaitersReconnect => row.of_waiters.iter().all(|count| *count > 0),
        Felt::Errors(_) => row.counted > 0,
        Felt::Takeover => row.makers.contains(&Maker::Waiter),
    };
    assert!(felt, "the fault left no trace: {told}");
}

/// No lease, flight, task or subscription is left, and what is stored is of the id that it is stored as.
///
/// # Panics
/// If not.
pub(super) async fn nothing_left(stage: &Stage, clients: &[Memolock<String, Text>]) {
    for client in clients {
        let idle = || {
            let (left, backend) = (client.in_flight(), client.stats().backend);
            left.flights + left.leases + left.tasks == 0 && backend.subscriptions == 0
        };
        eventually("an idle client", || async { idle() }).await;
    }
    let foreign = stage.key(&stage.beside(FOREIGN)).lock_name();
    eventually("no lock", || async {
        let locks = stage.locks().await;
        locks.iter().all(|lock| *lock == foreign)
    })
    .await;
    let held = stage.key(HELD).value_name();
    let (begin, end) = held.split_once(HELD).expect("a name has its id in it");
    for (name, stored) in stage.values().await {
        let id = name.strip_prefix(begin).and_then(|id| id.strip_suffix(end));
        let (own, stored) = (value(id.unwrap_or(&name), ""), stored.unwrap_or_default());
        assert!(
            stored.is_empty() || stored.starts_with(&own),
            "{name}: {stored:.100}"
        );
    }
}
