//! B8: the holder of a lease is killed with SIGKILL; how long after the end of its lease the next compute starts.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use memolock::Memolock;
use memolock::codec::Text;
use memolock::core::Remaining;
use memolock_testkit::unique_tag;
use tokio::sync::oneshot;

use super::{Limit, Row, Stage, Unit};
use crate::adapter::Adapter;
use crate::rounds::median;
use crate::squad::Squad;
use crate::strategy::Kind;
use crate::worker::HELD;

/// Short, so that a run does not take long; what is measured is the time after it.
const LEASE: Duration = Duration::from_millis(600);

pub(super) async fn takeover(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for adapter in Adapter::SERVED {
        let mut late = Vec::new();
        for _ in 0..stage.effort.repeats {
            late.push(once(stage.server.url(), adapter).await?.as_secs_f64() * 1e3);
        }
        let what = format!("next compute after the lease of a holder killed by -9, {adapter}");
        let row = Row::new("B8", what, Limit::AtMost(50.0), Unit::Millis, median(&late));
        let worst = late.iter().copied().fold(0.0, f64::max);
        rows.push(row.note(format!("worst of {}: {worst:.1} ms", late.len())));
    }
    Ok(rows)
}

/// How long after the end of the dead holder's lease a waiter computes.
async fn once(url: &str, adapter: Adapter) -> Result<Duration> {
    let id = unique_tag("orphan");
    let program = std::env::current_exe()?;
    let kind = Kind::Memolock(adapter);
    let mut holder = Squad::muster(&program, 1, kind, url, Duration::ZERO).await?;
    holder.hold(&id, LEASE).await?;
    let backend = adapter.connect(url).await?;
    let waiter = Memolock::<String>::builder(HELD, backend).codec(Text);
    let waiter = waiter.lease(LEASE).build().await?;
    let (begin, begun) = oneshot::channel();
    let (memolock, waited) = (waiter.clone(), id.clone());
    let call = tokio::spawn(async move {
        let compute = |_| async move {
            // The other end is held until this is done.
            let _ = begin.send(Instant::now());
            Ok::<_, String>("mine".to_owned())
        };
        memolock.get_or_compute(&waited, compute).await
    });
    until_waiting(&waiter).await?;
    holder.kill().await?;
    // Nobody renews it any more: what is left of it now is what the waiter must wait out. The moment before the
    // question counts, so that the way to the server and back is not in our favour.
    let asked = Instant::now();
    let lock = waiter.inspect(&id).await?.lock.context("no lock")?;
    let Remaining::Expires(remaining) = lock.remaining else {
        bail!("a lock without end");
    };
    let computed = begun.await.context("it did not compute")?;
    call.await??;
    waiter.close().await;
    Ok(computed.saturating_duration_since(asked + remaining))
}

/// Until the waiter listens for the holder's value. It cannot be seen by push from outside.
async fn until_waiting(waiter: &Memolock<String, Text>) -> Result<()> {
    let began = Instant::now();
    while waiter.stats().backend.subscriptions == 0 {
        if began.elapsed() > Duration::from_secs(10) {
            bail!("the waiter does not wait");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
