//! The heartbeat: keeps every lease of a memolock alive while its work lives.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use memolock_core::{BackendError, Key, Renewal, Token};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::hub::{far, until};
use crate::store::Store;
use crate::sync::{Mutex, MutexGuard, Notify};

/// Renewals due within this part of a lease travel with the first one.
const TOGETHER: u32 = 12;

/// However short a lease its holder chooses, it is not renewed without rest.
const SHORTEST_BEAT: Duration = Duration::from_millis(10);

/// The leases to watch, and the task that renews them.
pub(crate) struct Heartbeat {
    /// Whether leases are renewed, or only watched until their fixed time is over.
    renews: bool,
    beats: Mutex<Beats>,
    earlier: Notify,
}

#[derive(Default)]
struct Beats {
    by_token: BTreeMap<Token, Beat>,
    /// When the task will wake by itself.
    scheduled: Option<Instant>,
}

struct Beat {
    key: Key,
    lease: Duration,
    due: Instant,
    expires: Instant,
    lost: CancellationToken,
}

/// A lease under watch. Dropping it ends the watch, not the lease.
pub(crate) struct Kept {
    heartbeat: Arc<Heartbeat>,
    token: Token,
    lost: CancellationToken,
}

impl Heartbeat {
    pub(crate) fn new(renews: bool) -> Arc<Self> {
        Arc::new(Self {
            renews,
            beats: Mutex::default(),
            earlier: Notify::new(),
        })
    }

    /// Watches the lease that `token` has held since `begun`, until the result is dropped.
    pub(crate) fn keep(
        self: &Arc<Self>,
        key: &Key,
        token: Token,
        begun: Instant,
        lease: Duration,
    ) -> Kept {
        let lost = CancellationToken::new();
        let mut beat = Beat {
            key: key.clone(),
            lease,
            due: begun,
            expires: begun,
            lost: lost.clone(),
        };
        beat.extend(begun, lease, self.renews);
        let mut beats = self.lock();
        if beats.scheduled.is_none_or(|at| beat.due < at) {
            self.earlier.notify_one();
        }
        beats.by_token.insert(token, beat);
        drop(beats);
        Kept {
            heartbeat: Arc::clone(self),
            token,
            lost,
        }
    }

    /// The holder itself set the lease to `lease` from `from`: it is kept at that from then on.
    pub(crate) fn renewed(&self, token: Token, from: Instant, lease: Duration) {
        if let Some(beat) = self.lock().by_token.get_mut(&token) {
            beat.extend(from, lease, self.renews);
        }
        self.earlier.notify_one();
    }

    /// How many leases are under watch.
    pub(crate) fn len(&self) -> usize {
        self.lock().by_token.len()
    }

    /// Renews what is due, for ever.
    pub(crate) async fn run(self: Arc<Self>, store: Arc<Store>) {
        loop {
            let next = self.schedule();
            tokio::select! {
                biased;
                // First: what is due is done, however often something earlier comes in.
                () = until(next) => {}
                () = self.earlier.notified() => continue,
            }
            let now = Instant::now();
            if self.renews {
                let due = self.due(now);
                if due.is_empty() {
                    continue;
                }
                let answers = store.renew_each(&due).await;
                self.answered(&due, &answers, now);
            } else {
                self.expire(now);
            }
        }
    }

    fn schedule(&self) -> Option<Instant> {
        let mut beats = self.lock();
        beats.scheduled = beats.by_token.values().map(|b| b.due).min();
        beats.scheduled
    }

    fn due(&self, now: Instant) -> Vec<Renewal> {
        let beats = self.lock();
        let due = beats
            .by_token
            .iter()
            .filter(|(_, beat)| beat.due <= far(now, beat.lease / TOGETHER));
        due.map(|(token, beat)| Renewal {
            key: beat.key.clone(),
            token: *token,
            lease: beat.lease,
        })
        .collect()
    }

    /// Without an answer a lease is tried again soon, until it must have expired; others are none the worse for it.
    fn answered(&self, due: &[Renewal], answers: &[Result<bool, BackendError>], sent: Instant) {
        let mut lost = Vec::new();
        let mut beats = self.lock();
        for (i, renewal) in due.iter().enumerate() {
            // Gone meanwhile: its work is done, and nothing was lost.
            let Some(beat) = beats.by_token.get_mut(&renewal.token) else {
                continue;
            };
            let now = Instant::now();
            match answers.get(i).and_then(|answer| answer.as_ref().ok()) {
                Some(true) if beat.lease == renewal.lease => beat.extend(sent, renewal.lease, true),
                // The holder chose another length meanwhile. The two may have crossed, and the store
                // be left with the shorter one.
                Some(true) => beat.due = now,
                Some(false) => lost.push((renewal.token, "the store says so")),
                None if now >= beat.expires => {
                    lost.push((renewal.token, "it could not be renewed in time"));
                }
                None => beat.due = far(now, beat.lease / TOGETHER),
            }
        }
        give_up(beats, lost);
    }

    fn expire(&self, now: Instant) {
        let beats = self.lock();
        let over = beats.by_token.iter().filter(|(_, b)| b.expires <= now);
        let over = over.map(|(token, _)| (*token, "its fixed time is over"));
        let over = over.collect();
        give_up(beats, over);
    }

    fn lock(&self) -> MutexGuard<'_, Beats> {
        // No code that can panic runs under the lock.
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Beat {
    fn extend(&mut self, from: Instant, lease: Duration, renews: bool) {
        self.lease = lease;
        let beat = (lease / 3).max(SHORTEST_BEAT);
        self.due = far(from, if renews { beat } else { lease });
        self.expires = far(from, lease);
    }
}

/// Tells of lost leases. Not under the lock: who is woken may look here.
fn give_up(mut beats: MutexGuard<'_, Beats>, lost: Vec<(Token, &'static str)>) {
    let lost = lost.into_iter();
    let lost = lost.filter_map(|(token, why)| Some((beats.by_token.remove(&token)?, why)));
    let lost: Vec<_> = lost.collect();
    drop(beats);
    for (beat, why) in lost {
        tracing::warn!(key = %beat.key, why, "lease lost");
        beat.lost.cancel();
    }
}

impl Kept {
    /// Cancelled when the lease is lost.
    pub(crate) fn lost(&self) -> &CancellationToken {
        &self.lost
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.heartbeat.lock().by_token.remove(&self.token);
    }
}
