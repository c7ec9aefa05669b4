//! The heartbeat: keeps every lease of a memolock alive while its work lives.
//!
//! Renewals travel together. A command for many keys that meets an error which is not known
//! ([`Unrecognized`](ErrorKind::Unrecognized)) fails for all of them, and one of the keys may be the cause. Then they
//! travel in groups of about the square root of their number, and after another such error by themselves, until each
//! is renewed again. So 10,000 leases cost 100 commands and then 100 more, and the others are kept well within a lease.
//! None of this is asked again sooner than the circuit breaker would.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use memolock_core::{BackendError, ErrorKind, Key, Renewal, Token};
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
    /// The least pause after an error that is not known.
    rest: Duration,
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
    /// With how many at most it is renewed in one command.
    group: usize,
    /// Its end is on the way to the store.
    ending: bool,
    lost: CancellationToken,
}

/// A lease under watch. Dropping it ends the watch, not the lease.
pub(crate) struct Kept {
    heartbeat: Arc<Heartbeat>,
    token: Token,
    lost: CancellationToken,
}

impl Heartbeat {
    pub(crate) fn new(renews: bool, rest: Duration) -> Arc<Self> {
        Arc::new(Self {
            renews,
            rest,
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
            group: usize::MAX,
            ending: false,
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
                let answers = due.iter().map(|group| store.renew_each(group));
                for (group, answers) in due.iter().zip(join_all(answers).await) {
                    self.answered(group, &answers, now);
                }
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

    /// What is to be renewed, by commands.
    fn due(&self, now: Instant) -> Vec<Vec<Renewal>> {
        let beats = self.lock();
        let due = beats.by_token.iter().filter(|(_, beat)| {
            // After an error that is not known it is not sent sooner than it is due.
            let sooner = match beat.group {
                usize::MAX => beat.lease / TOGETHER,
                _ => Duration::ZERO,
            };
            beat.due <= far(now, sooner)
        });
        let mut groups: BTreeMap<usize, Vec<Renewal>> = BTreeMap::new();
        for (token, beat) in due {
            groups.entry(beat.group).or_default().push(Renewal {
                key: beat.key.clone(),
                token: *token,
                lease: beat.lease,
            });
        }
        drop(beats);
        let groups = groups.into_iter();
        let groups = groups.flat_map(|(most, mut renewals)| match most < renewals.len() {
            true => renewals.chunks(most).map(<[_]>::to_vec).collect(),
            false => vec![std::mem::take(&mut renewals)],
        });
        groups.collect()
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
            let answer = answers.get(i).map(Result::as_ref);
            let unknown =
                matches!(&answer, Some(Err(error)) if error.kind() == ErrorKind::Unrecognized);
            if unknown {
                beat.group = due.len().isqrt().max(1);
            }
            match answer.and_then(Result::ok) {
                Some(true) if beat.lease == renewal.lease => beat.extend(sent, renewal.lease, true),
                // The holder chose another length meanwhile. The two may have crossed, and the store
                // be left with the shorter one.
                Some(true) => beat.due = now,
                // It is over, or was lost: the answer to its end says which.
                Some(false) if beat.ending => beat.due = far(now, beat.lease),
                Some(false) => lost.push((renewal.token, "the store says so")),
                None if now >= beat.expires => {
                    lost.push((renewal.token, "it could not be renewed in time"));
                }
                None if unknown => beat.due = far(now, self.rest.max(beat.lease / TOGETHER)),
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
        self.group = usize::MAX;
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
    /// The lease is about to be ended by a command. It is renewed until that has its answer, and is not taken for lost
    /// if the store has it no more.
    pub(crate) fn ending(&self) {
        if let Some(beat) = self.heartbeat.lock().by_token.get_mut(&self.token) {
            beat.ending = true;
        }
    }

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
