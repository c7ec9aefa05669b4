//! The heartbeat: keeps every lease of a memolock alive while its work lives, and ends what holds its key for too
//! long. It needs no caller to be polled for that: a compute that blocks its thread is told as any other.
//!
//! Renewals travel together. A command for many keys that meets an error which is not known
//! ([`Unrecognized`](ErrorKind::Unrecognized)) fails for all of them, and one of the keys may be the cause. Then they
//! travel in groups of about the square root of their number, and after another such error by themselves, until each
//! is renewed again. So 10,000 leases cost 100 commands and then 100 more, and the others are kept well within a lease.
//! None of this is asked again sooner than the circuit breaker would.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use memolock_core::{BackendError, ErrorKind, Held, Key, LeaseClock, Renewal, Timestamp, Token};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::holding::{Due, Holding, Long, Overdue};
use crate::hub::{far, until};
use crate::store::Store;
use crate::sync::{Mutex, MutexGuard, Notify};

/// The work to watch, and the task that does.
pub(crate) struct Heartbeat {
    /// Whether leases are renewed, or only watched until their fixed time is over.
    renews: bool,
    /// What the machine's time counts from.
    origin: Instant,
    /// The least pause after an error that is not known.
    rest: Duration,
    watch: Mutex<Watch>,
    earlier: Notify,
}

#[derive(Default)]
struct Watch {
    holdings: BTreeMap<Name, Holding>,
    /// When the task will wake by itself.
    scheduled: Option<Timestamp>,
    /// It waits for answers to renewals: until they are there it sends no others.
    only_looks: bool,
    /// How much work there was without a lease.
    unleased: u64,
}

/// What a holding is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Lease(Token),
    Unleased(u64),
}

/// Work under watch. Dropping it ends the watch, not the lease.
pub(crate) struct Kept {
    heartbeat: Arc<Heartbeat>,
    name: Name,
    lost: CancellationToken,
}

/// Renewals that travel together, and how often each holder had chosen a length by then.
struct Batch {
    renewals: Vec<Renewal>,
    versions: Vec<u32>,
}

impl Batch {
    fn new(due: Vec<(Renewal, u32)>) -> Self {
        let (renewals, versions) = due.into_iter().unzip();
        Self { renewals, versions }
    }
}

/// What is to be told once the lock is free: who is woken may look here.
#[derive(Default)]
struct News {
    lost: Vec<(Key, CancellationToken, &'static str)>,
    over: Vec<Holding>,
    long: Vec<Long>,
}

impl Heartbeat {
    pub(crate) fn new(renews: bool, origin: Instant, rest: Duration) -> Arc<Self> {
        Arc::new(Self {
            renews,
            origin,
            rest,
            watch: Mutex::default(),
            earlier: Notify::new(),
        })
    }

    /// Watches a lease until the result is dropped: renewed to `lease` each time, and for at most `max`.
    pub(crate) fn keep(
        self: &Arc<Self>,
        key: &Key,
        held: Held,
        (lease, max): (Duration, Duration),
        flight: Weak<dyn Overdue>,
    ) -> Kept {
        let clock = LeaseClock::new(held.since, held.began, lease, max);
        let holding = Holding::leased(key, held.began, clock, flight);
        self.watch(|_| Name::Lease(held.token), holding)
    }

    /// Watches work without a lease, in an outage.
    pub(crate) fn keep_unleased(
        self: &Arc<Self>,
        key: &Key,
        max: Duration,
        flight: Weak<dyn Overdue>,
    ) -> Kept {
        let holding = Holding::unleased(key, self.now(), max, flight);
        let name = |watch: &mut Watch| {
            watch.unleased += 1;
            Name::Unleased(watch.unleased)
        };
        self.watch(name, holding)
    }

    fn watch(self: &Arc<Self>, name: impl FnOnce(&mut Watch) -> Name, holding: Holding) -> Kept {
        let lost = holding.lost.clone();
        let mut watch = self.lock();
        let name = name(&mut watch);
        let next = match watch.only_looks {
            true => holding.watched_until(),
            false => holding.next(self.renews),
        };
        if watch.scheduled.is_none_or(|at| next < at) {
            self.earlier.notify_one();
        }
        watch.holdings.insert(name, holding);
        drop(watch);
        Kept {
            heartbeat: Arc::clone(self),
            name,
            lost,
        }
    }

    /// The holder itself set the lease to `lease` from `sent`: it is kept at that from then on. Whether it is kept at all.
    #[must_use]
    pub(crate) fn renewed(&self, token: Token, sent: Instant, lease: Duration) -> bool {
        let sent = self.timestamp(sent);
        let mut watch = self.lock();
        let holding = watch.holdings.get_mut(&Name::Lease(token));
        let Some(holding) = holding.filter(|holding| holding.is_held()) else {
            return false;
        };
        holding.restarted(sent, lease);
        drop(watch);
        self.earlier.notify_one();
        true
    }

    /// How many leases are kept.
    pub(crate) fn len(&self) -> usize {
        let watch = self.lock();
        watch.holdings.values().filter(|h| h.is_held()).count()
    }

    /// Renews what is due, and ends what is over, for ever.
    pub(crate) async fn run(self: Arc<Self>, store: Arc<Store>) {
        loop {
            let next = self.schedule();
            tokio::select! {
                biased;
                // First: what is due is done, however often something earlier comes in.
                () = until(next) => {}
                () = self.earlier.notified() => continue,
            }
            let now = self.now();
            self.look(now);
            if !self.renews {
                continue;
            }
            let due = self.due(now);
            let answers = due.iter().map(|batch| store.renew_each(&batch.renewals));
            for (batch, answers) in due.iter().zip(self.looking(join_all(answers)).await) {
                self.answered(batch, &answers, now);
            }
        }
    }

    /// Waits for answers, and ends meanwhile what is over: a store that hangs keeps no lease beyond `max_lease`.
    async fn looking<A>(&self, answers: impl Future<Output = A>) -> A {
        let mut answers = pin!(answers);
        loop {
            let next = self.looks();
            tokio::select! {
                biased;
                answers = &mut answers => return answers,
                () = until(next) => self.look(self.now()),
                // One that came in has to be looked at before all others.
                () = self.earlier.notified() => {}
            }
        }
    }

    /// When a lease is looked at next, but for its renewals.
    fn looks(&self) -> Option<Instant> {
        let mut watch = self.lock();
        let next = watch.holdings.values().map(Holding::watched_until).min();
        (watch.scheduled, watch.only_looks) = (next, true);
        next.map(|at| far(self.origin, at.since_origin()))
    }

    fn schedule(&self) -> Option<Instant> {
        let mut watch = self.lock();
        let next = watch.holdings.values().map(|h| h.next(self.renews)).min();
        (watch.scheduled, watch.only_looks) = (next, false);
        next.map(|at| far(self.origin, at.since_origin()))
    }

    /// Warns of what goes on for long, and ends what is over.
    fn look(&self, now: Timestamp) {
        let mut news = News::default();
        let mut watch = self.lock();
        let mut over = Vec::new();
        for (name, holding) in &mut watch.holdings {
            match holding.due(now, self.renews) {
                Due::Nothing => {}
                Due::Long => news.long.push(holding.warned(now)),
                Due::Expired => news.lost(holding, "its fixed time is over"),
                Due::Over => over.push(*name),
            }
        }
        for name in over {
            if let Some(mut holding) = watch.holdings.remove(&name) {
                if holding.is_held() {
                    news.lost(&mut holding, "it was kept for max_lease");
                }
                news.over.push(holding);
            }
        }
        drop(watch);
        news.tell();
    }

    /// What is to be renewed, by commands.
    fn due(&self, now: Timestamp) -> Vec<Batch> {
        let watch = self.lock();
        let mut groups: BTreeMap<usize, Vec<(Renewal, u32)>> = BTreeMap::new();
        for (name, holding) in &watch.holdings {
            let (Name::Lease(token), Some(lease)) = (*name, holding.renewal(now)) else {
                continue;
            };
            let key = holding.key.clone();
            let renewal = Renewal { key, token, lease };
            let group = groups.entry(holding.group).or_default();
            group.push((renewal, holding.version));
        }
        drop(watch);
        let groups = groups.into_iter();
        let groups = groups.flat_map(|(most, mut due)| match most < due.len() {
            true => due.chunks(most).map(<[_]>::to_vec).collect(),
            false => vec![std::mem::take(&mut due)],
        });
        groups.map(Batch::new).collect()
    }

    /// Without an answer a lease is tried again soon, until it must have expired; others are none the worse for it.
    fn answered(&self, batch: &Batch, answers: &[Result<bool, BackendError>], sent: Timestamp) {
        let mut news = News::default();
        let mut watch = self.lock();
        for (i, (renewal, version)) in batch.renewals.iter().zip(&batch.versions).enumerate() {
            // Gone meanwhile: its work is done, and nothing was lost.
            let name = Name::Lease(renewal.token);
            let Some(holding) = watch.holdings.get_mut(&name).filter(|h| h.is_held()) else {
                continue;
            };
            let now = self.now();
            let answer = answers.get(i).map(Result::as_ref);
            let unknown =
                matches!(&answer, Some(Err(error)) if error.kind() == ErrorKind::Unrecognized);
            if unknown {
                holding.apart(batch.renewals.len(), now.after(self.rest));
            }
            match answer.and_then(Result::ok) {
                Some(true) if holding.version == *version => {
                    holding.renewed(sent, renewal.lease);
                }
                // The holder chose another length meanwhile. The two may have crossed, and the store
                // be left with the shorter one.
                Some(true) => holding.clock.crossed(now),
                // It is over, or was lost: the answer to its end says which.
                Some(false) if holding.ending => holding.rest(now),
                Some(false) => news.lost(holding, "the store says so"),
                None => {
                    if holding.clock.unanswered(now) {
                        news.lost(holding, "it could not be renewed in time");
                    }
                }
            }
        }
        drop(watch);
        news.tell();
    }

    fn now(&self) -> Timestamp {
        self.timestamp(Instant::now())
    }

    fn timestamp(&self, at: Instant) -> Timestamp {
        Timestamp::from_origin(at.saturating_duration_since(self.origin))
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        // No code that can panic runs under the lock.
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl News {
    fn lost(&mut self, holding: &mut Holding, why: &'static str) {
        holding.lose();
        let (key, lost) = (holding.key.clone(), holding.lost.clone());
        self.lost.push((key, lost, why));
    }

    fn tell(self) {
        // First: who hears that its lease is lost must know by then that others may go on without it.
        self.over.iter().for_each(Holding::overdue);
        for (key, lost, why) in self.lost {
            tracing::warn!(%key, why, "lease lost");
            lost.cancel();
        }
        self.long.iter().for_each(Long::log);
    }
}

impl Kept {
    /// The lease is about to be ended by a command. It is renewed until that has its answer, and is not taken for lost
    /// if the store has it no more.
    pub(crate) fn ending(&self) {
        if let Some(holding) = self.heartbeat.lock().holdings.get_mut(&self.name) {
            holding.ending = true;
        }
    }

    /// Cancelled when the lease is lost.
    pub(crate) fn lost(&self) -> &CancellationToken {
        &self.lost
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Dropped after the lock: its flight may be the last of it.
        let holding = self.heartbeat.lock().holdings.remove(&self.name);
        drop(holding);
    }
}
