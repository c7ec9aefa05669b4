//! Leases that a call for many ids was granted, kept alive until the call ends.
//!
//! A call for tens of thousands of ids can take longer than a lease, and its caller hears of no lease before the last id
//! has its answer. So the first leases would expire before anybody renews them.
//!
//! Dropped at any await, a renewal is sent or not. Either way the leases end by themselves.

use std::time::Duration;

use futures_util::future::BoxFuture;
use memolock_core::{Attempt, Backend, Renewal};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::backend::PgBackend;

/// However short a lease is, it is not renewed without rest.
const SHORTEST_BEAT: Duration = Duration::from_millis(10);

/// What was granted so far.
pub(crate) struct Granted {
    backend: PgBackend,
    renewals: Vec<Renewal>,
    ticks: Interval,
    renewing: Option<BoxFuture<'static, ()>>,
}

impl Granted {
    /// For a call that begins now.
    pub(crate) fn new(backend: &PgBackend, tries: &[Attempt]) -> Self {
        let shortest = tries.iter().map(|t| t.lease).min().unwrap_or_default();
        let beat = (shortest / 3).max(SHORTEST_BEAT);
        let mut ticks = tokio::time::interval_at(Instant::now() + beat, beat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            backend: backend.clone(),
            renewals: Vec::new(),
            ticks,
            renewing: None,
        }
    }

    pub(crate) fn add(&mut self, granted: &Attempt) {
        self.renewals.push(Renewal {
            key: granted.key.clone(),
            token: granted.token,
            lease: granted.lease,
        });
    }

    /// Renews all that were granted, once, at a third of a lease after the last time. Cancel-safe: a renewal goes on
    /// when this is called again.
    pub(crate) async fn keep(&mut self) {
        let renewing = match &mut self.renewing {
            Some(renewing) => renewing,
            None => {
                self.ticks.tick().await;
                let (backend, renewals) = (self.backend.clone(), self.renewals.clone());
                self.renewing.insert(Box::pin(async move {
                    // A lease that is lost shows when its holder renews or ends it.
                    drop(backend.renew_each(&renewals).await);
                }))
            }
        };
        renewing.await;
        self.renewing = None;
    }
}
