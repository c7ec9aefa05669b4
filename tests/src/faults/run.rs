//! One fault over one adapter, from before it to after it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use memolock::Builder;
use memolock::codec::Text;
use memolock_testkit::ServerError;
use tokio::time::{Instant, sleep};

use super::callers::{Caller, Ids, Saw, Tally, value};
use super::fault::{Ends, Fault, Maker};
use super::holder::Holder;
use super::row::Row;
use super::stage::{HELD, Stage, TAG};
use super::verdict;
use super::waiters::Waiters;
use crate::{Adapter, HANG, Ours, SECOND, eventually};

/// Leases of all actors: a fault that outlasts them need not last long.
pub const LEASE: Duration = Duration::from_secs(2);

/// Callers who ask for fresh ids, over one backend.
const PROBERS: usize = 3;

/// What the hitter asks for.
const STORED: &str = "stored";

/// Plays `fault` over `adapter`; `program` is that of members. An error where there is no server of the kind that
/// it needs.
///
/// # Errors
/// [`ServerError`], if the fault's place is not to be had.
///
/// # Panics
/// If what came of it is not what must: the message has it.
pub async fn play(fault: &Fault, adapter: Adapter, program: &Path) -> Result<Row, ServerError> {
    let stage = Arc::new(Stage::set(fault, adapter).await?);
    let mut holder = Holder::start(fault, &stage, program).await;
    let mut waiters = Waiters::start(fault, &stage).await;
    let (probing, hitting) = tokio::join!(stage.connect(fault), stage.connect(fault));
    let (mut callers, mut clients) = (Vec::new(), Vec::new());
    for n in 0..PROBERS {
        let ours = Ours::over(Arc::clone(&probing), TAG, settings(fault)).await;
        clients.push(ours.likes.clone());
        callers.push(Caller::start(
            ours,
            Ids::Fresh(stage.beside(&format!("fresh-{n}"))),
        ));
    }
    let ours = Ours::over(Arc::clone(&hitting), TAG, settings(fault)).await;
    let stored = stage.beside(STORED);
    let put = ours.likes.put(&stored, &value(&stored, "put")).await;
    put.unwrap_or_else(|e| panic!("{e}"));
    clients.push(ours.likes.clone());
    let hitter = Caller::start(ours, Ids::One(stored));

    let before = Instant::now();
    all_well(&callers, &hitter, before).await;
    if fault.place.has_replicas() {
        stage.replicated().await;
    }
    let held = value(HELD, "holder") + &".".repeat(fault.bytes);
    let backends = waiters.ours.iter().map(|ours| Arc::clone(&ours.backend));
    let backends: Vec<_> = backends.collect();
    let reconnects = || {
        let counts = backends.iter().map(|b| b.stats().reconnects);
        let of_waiters: Vec<u64> = counts.collect();
        (
            of_waiters,
            probing.stats().reconnects + hitting.stats().reconnects,
        )
    };

    let struck = Instant::now();
    (fault.strike)(Arc::clone(&stage)).await;
    sleep(fault.lasts / 2).await;
    let mut returned = None;
    match fault.ends {
        Ends::During => {
            let (done, ()) = tokio::join!(holder.finish(&held), sleep(fault.lasts / 2));
            returned = Some(done);
        }
        Ends::After | Ends::Never => sleep(fault.lasts / 2).await,
    }
    (fault.mend)(Arc::clone(&stage)).await;
    let over = Instant::now();
    if fault.ends == Ends::After {
        returned = Some(holder.finish(&held).await);
    }

    let recovered = all_well(&callers, &hitter, over).await;
    let (makers, woken) = waiters.got(&held).await;
    let (of_waiters, of_callers) = reconnects();
    // A message goes nowhere while servers do not agree where that is.
    stage.ground.settled().await;
    let by_push = waiters.wake_listener(&stage).await;
    waiters.wake_later(&stage).await;
    let stored = whose(&stage, &held).await;

    let (mut tally, mut longest) = (Tally::default(), Duration::ZERO);
    callers.push(hitter);
    for caller in callers {
        let seen = caller.stop().await.into_iter();
        for seen in seen.filter(|s| s.ended >= struck && s.began <= recovered) {
            tally.add(&seen.saw);
            longest = longest.max(seen.over);
        }
    }
    clients.extend(waiters.ours.iter().map(|ours| ours.likes.clone()));
    let row = Row {
        fault: *fault,
        adapter,
        lasted: over - struck,
        tally,
        longest,
        returned: returned.map(|(got, after)| (got == held, after)),
        stored,
        makers,
        woken: (woken, over),
        by_push,
        recovered: recovered - over,
        of_waiters,
        of_callers,
        counted: verdict::counted(fault, &stage).await,
    };
    verdict::nothing_left(&stage, &clients).await;
    verdict::judge(&row);
    Ok(row)
}

/// Everything but leases is as memolock has it; who waits does so for longer than a hang.
pub(super) fn settings(
    fault: &Fault,
) -> impl FnOnce(Builder<String, Text>) -> Builder<String, Text> {
    let (lease, kind) = (fault.lease, fault.notifications);
    move |builder| {
        let builder = builder.lease(lease).ttl(600 * SECOND);
        builder.notifications(kind).wait_timeout(4 * HANG)
    }
}

/// Waits until a call that began after `begin` has had its value stored, for each prober, and one has hit. When the
/// first prober's was.
async fn all_well(callers: &[Caller], hitter: &Caller, begin: Instant) -> Instant {
    let first = || {
        callers
            .iter()
            .filter_map(|c| c.has(begin, &Saw::Stored))
            .min()
    };
    let well = || {
        let stored = callers.iter().all(|c| c.has(begin, &Saw::Stored).is_some());
        stored && hitter.has(begin, &Saw::Hit).is_some()
    };
    eventually("a stored value for every caller", || async { well() }).await;
    first().expect("each has one")
}

/// Whose value is stored as the held one.
async fn whose(stage: &Stage, held: &str) -> Maker {
    let stored = stage.cli(&["GET", &stage.key(HELD).value_name()]).await;
    match stored.as_str() {
        None => Maker::Nobody,
        Some(stored) if stored == held => Maker::Holder,
        Some(stored) if stored == value(HELD, "waiter") => Maker::Waiter,
        Some(stored) => panic!("nobody made {stored:.100}"),
    }
}
