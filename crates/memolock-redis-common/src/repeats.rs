//! Repeated notices: a time after a value was stored, the value that is stored then is published once more.
//!
//! A C# client of 2019 whose second `GET` finds the value wakes no caller (`docs/protocol.md`). Such a caller waits
//! until the value is published again, or for its whole time-out. Off unless the user asks for it.
//!
//! States of a key: idle, pending (until its moment), under way (in one command), idle.
//!
//! | what happens | what comes of it |
//! |---|---|
//! | the key is stored again while its notice is pending | one notice, a whole delay after the last time: the later store published the value, so all earlier waiters were told |
//! | it is stored again while its notice is under way | it is pending again |
//! | it is put or invalidated while its notice is pending | the script publishes what is stored then, or nothing |
//! | the future of a fulfil or put is dropped, or its reply lost | the notice is pending: the value may be stored |
//! | a fulfil is answered "lost" | nothing was stored, so no notice |
//! | too many keys are pending | the new one is left out and counted |
//! | the command fails because the store is down | all pending keys of that part of the store are dropped and counted |
//! | it fails otherwise | the keys of the command are dropped and counted |
//! | closed, or the backend is dropped | the task ends at its next await, and pending keys are dropped; a command that was sent may take effect |
//! | the runtime of the backend ends | the task is dropped with it: as closed |
//!
//! One task sends one command at a time, over a connection of its own: no other command waits for a notice. Nothing waits
//! for the task but [`Repeats::idle`].

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use memolock_core::redis::Fault;
use memolock_core::redis::calls::REPEATED_PER_CALL;
use memolock_core::{BackendError, BackendStats, Fulfilled, Key};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

/// Keys that can be pending.
const MOST_KEYS: usize = 10_000;

/// Bytes of tags and ids that can be pending.
const MOST_BYTES: usize = 8 << 20;

/// Publishes values once more.
pub trait Repeater: Send + Sync + 'static {
    /// Publishes the values of these keys, as they are stored now. Bounded in time.
    fn repeat(&self, keys: &[Key]) -> impl Future<Output = Repeated> + Send;

    /// As [`Backend::failure_domain`](memolock_core::Backend::failure_domain).
    fn part(&self, key: &Key) -> u64;
}

/// What became of some keys.
#[derive(Debug, Default)]
pub struct Repeated {
    /// Values that were published.
    pub published: u64,
    /// Keys for which it failed, and why.
    pub failed: Vec<(Key, Fault)>,
}

/// The pending notices of one backend, and the task that sends them. Dropping it ends the task.
#[derive(Debug)]
pub struct Repeats {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    after: Duration,
    queue: Mutex<Queue>,
    /// There is a first pending key.
    begun: Notify,
    /// Nothing is pending or under way.
    idle: Notify,
    published: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    /// Pending keys, by their moments.
    due: BTreeMap<(Instant, u64), Key>,
    places: HashMap<Key, (Instant, u64)>,
    bytes: usize,
    count: u64,
    under_way: bool,
    closed: bool,
}

impl Repeats {
    /// Starts the task, within a tokio runtime. It sends through `repeater` for as long as that is there.
    #[must_use]
    pub fn start<R: Repeater>(after: Duration, repeater: Weak<R>) -> Self {
        let shared = Arc::new(Shared {
            after,
            queue: Mutex::default(),
            begun: Notify::new(),
            idle: Notify::new(),
            published: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let task = tokio::spawn(run(Ended(Arc::clone(&shared)), repeater));
        let task = task.abort_handle();
        Self { shared, task }
    }

    /// A value of this key has been stored, or may have been.
    pub fn stored(&self, key: &Key) {
        let shared = &*self.shared;
        match shared.queue().push(key, Instant::now() + shared.after) {
            Pushed::First => shared.begun.notify_one(),
            Pushed::More => {}
            Pushed::Full => drop(shared.dropped.fetch_add(1, Relaxed)),
        }
    }

    /// Waits until no notice is pending: each was sent or dropped. Cancel-safe.
    pub async fn idle(&self) {
        loop {
            let mut idle = std::pin::pin!(self.shared.idle.notified());
            idle.as_mut().enable();
            if self.shared.queue().is_idle() {
                return;
            }
            idle.await;
        }
    }

    /// Drops what is pending, and ends.
    pub fn close(&self) {
        self.shared.close();
        self.task.abort();
    }

    /// Adds its counters.
    pub fn count(&self, stats: &mut BackendStats) {
        stats.repeated_notices += self.shared.published.load(Relaxed);
        stats.dropped_notices += self.shared.dropped.load(Relaxed);
    }
}

impl Drop for Repeats {
    fn drop(&mut self) {
        self.close();
    }
}

/// Notes, when it is dropped, that a key may have been stored: so a command that is dropped half-way is noted too.
#[derive(Debug)]
pub(crate) struct Storing<'a> {
    repeats: Option<&'a Repeats>,
    key: &'a Key,
}

impl<'a> Storing<'a> {
    /// A value of this key is about to be stored.
    pub(crate) fn of(repeats: Option<&'a Repeats>, key: &'a Key) -> Self {
        Self { repeats, key }
    }

    /// The same of many. Costs nothing where notices are not repeated.
    pub(crate) fn each(repeats: Option<&'a Repeats>, keys: &[&'a Key]) -> Vec<Self> {
        let Some(repeats) = repeats else {
            return Vec::new();
        };
        let keys = keys.iter();
        keys.map(|key| Self::of(Some(repeats), key)).collect()
    }

    /// The fulfil has ended.
    pub(crate) fn fulfilled(self, answer: &Result<Fulfilled, BackendError>) {
        match answer {
            Ok(Fulfilled::Stored) => {}
            Err(error) if error.is_ambiguous() => {}
            _ => self.forget(),
        }
    }

    /// Many have ended.
    pub(crate) fn all_ended(many: Vec<Self>, answers: &[Result<Fulfilled, BackendError>]) {
        for (storing, answer) in many.into_iter().zip(answers) {
            storing.fulfilled(answer);
        }
    }

    /// The put has ended.
    pub(crate) fn put(self, answer: &Result<(), BackendError>) {
        match answer {
            Err(error) if !error.is_ambiguous() => self.forget(),
            _ => {}
        }
    }

    fn forget(mut self) {
        self.repeats = None;
    }
}

impl Repeated {
    /// It failed for these keys.
    pub fn fail(&mut self, keys: &[Key], fault: &Fault) {
        let failed = keys.iter().map(|key| (key.clone(), fault.clone()));
        self.failed.extend(failed);
    }
}

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        if let Some(repeats) = self.repeats {
            repeats.stored(self.key);
        }
    }
}

async fn run<R: Repeater>(ended: Ended, repeater: Weak<R>) {
    let shared = &*ended.0;
    let mut warned = false;
    loop {
        let keys = shared.due().await;
        let Some(repeater) = repeater.upgrade() else {
            return;
        };
        let Repeated { published, failed } = repeater.repeat(&keys).await;
        shared.published.fetch_add(published, Relaxed);
        shared.dropped.fetch_add(failed.len() as u64, Relaxed);
        if let Some((key, fault)) = failed.first() {
            // An outage ends, and others say so. A right that is missing does not.
            let known = fault.is_passing() || std::mem::replace(&mut warned, true);
            let reason = fault.detail();
            match known {
                true => tracing::debug!(%key, reason, "notices are not repeated"),
                false => tracing::warn!(%key, reason, "notices cannot be repeated"),
            };
        }
        for (key, _) in failed.iter().filter(|(_, fault)| is_down(fault)) {
            let part = repeater.part(key);
            let dropped = shared.queue().forget(|key| repeater.part(key) == part);
            shared.dropped.fetch_add(dropped, Relaxed);
        }
        drop(repeater);
        shared.rest();
    }
}

/// The task, until it ends or is dropped with its runtime, which may be before its first poll.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Whether the store, or this part of it, does not answer.
fn is_down(fault: &Fault) -> bool {
    use memolock_core::ErrorKind::{Closed, Timeout, Unavailable};
    matches!(fault.kind(), Closed | Timeout | Unavailable)
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every critical section leaves it whole, so a panic elsewhere poisons nothing.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for keys whose moment has come. Never empty.
    async fn due(&self) -> Vec<Key> {
        loop {
            let first = self.queue().first();
            match first {
                None => self.begun.notified().await,
                Some(at) => sleep_until(at).await,
            }
            let keys = self.queue().take(Instant::now());
            if !keys.is_empty() {
                return keys;
            }
        }
    }

    /// Nothing is pending from now on.
    fn close(&self) {
        self.queue().close();
        self.idle.notify_waiters();
    }

    /// A command is over.
    fn rest(&self) {
        let mut queue = self.queue();
        queue.under_way = false;
        let idle = queue.is_idle();
        drop(queue);
        if idle {
            self.idle.notify_waiters();
        }
    }
}

enum Pushed {
    /// Nothing was pending: the task sleeps without a moment to wake at.
    First,
    More,
    Full,
}

impl Queue {
    fn push(&mut self, key: &Key, at: Instant) -> Pushed {
        if self.closed {
            return Pushed::More;
        }
        let known = self.places.remove_entry(key);
        let key = match known {
            Some((key, place)) => {
                self.due.remove(&place);
                key
            }
            None => {
                let bytes = size(key);
                if self.places.len() >= MOST_KEYS || self.bytes + bytes > MOST_BYTES {
                    return Pushed::Full;
                }
                self.bytes += bytes;
                key.clone()
            }
        };
        let first = self.due.is_empty();
        self.count += 1;
        let place = (at, self.count);
        self.due.insert(place, key.clone());
        self.places.insert(key, place);
        match first {
            true => Pushed::First,
            false => Pushed::More,
        }
    }

    fn first(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes keys whose moment has come, as many as one command bears.
    fn take(&mut self, now: Instant) -> Vec<Key> {
        let mut keys = Vec::new();
        while keys.len() < REPEATED_PER_CALL
            && let Some(entry) = self.due.first_entry()
            && entry.key().0 <= now
        {
            let key = entry.remove();
            self.places.remove(&key);
            self.bytes -= size(&key);
            keys.push(key);
        }
        self.under_way = !keys.is_empty();
        keys
    }

    /// Forgets pending keys; says how many.
    fn forget(&mut self, which: impl Fn(&Key) -> bool) -> u64 {
        let before = self.due.len();
        self.due.retain(|_, key| !which(key));
        let (due, places) = (&self.due, &mut self.places);
        places.retain(|_, place| due.contains_key(place));
        self.bytes = self.places.keys().map(size).sum();
        (before - self.due.len()) as u64
    }

    fn close(&mut self) {
        *self = Self {
            closed: true,
            ..Self::default()
        };
    }

    fn is_idle(&self) -> bool {
        self.due.is_empty() && !self.under_way
    }
}

fn size(key: &Key) -> usize {
    key.id().len() + key.space().tag().as_str().len()
}

#[cfg(test)]
mod tests;
