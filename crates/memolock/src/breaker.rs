//! The circuit breaker: a store that does not answer is not asked again until it does.
//!
//! ```text
//! Closed --time-outs in a row--> Open --an answer, to a probe or to what was under way--> Closed
//! ```
//!
//! Only time-outs count: they are what an outage costs its callers. A backend that cannot be reached says so
//! at once, and a store that refuses has answered. While the breaker is open, a task looks at one key in a
//! slow rhythm, so that no caller pays for finding out that the store is back. (The pattern is Nygard's, from
//! "Release It!"; its half-open state is that task.)
//!
//! Parts of a store that can fail by themselves, such as the masters of a cluster, have a breaker each: one that
//! hangs costs the others' callers nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use memolock_core::{Backend, BackendError, ErrorKind, Key, Operation};
use tokio::sync::Notify;
use tokio::time::sleep;

/// When a memolock stops asking a store that does not answer, and how it finds out that it does again: see
/// [`Builder::circuit_breaker`](crate::Builder::circuit_breaker).
///
/// While it is open, commands fail at once as [`ErrorKind::Unavailable`], and calls do what
/// [`OutagePolicy`](memolock_core::OutagePolicy) says. Renewals and clean-up in the background are sent all the
/// same: nobody waits for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitBreaker {
    timeouts: u32,
    probe: Duration,
}

impl CircuitBreaker {
    /// The defaults: 3 time-outs, a probe each 500 ms.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            timeouts: 3,
            probe: Duration::from_millis(500),
        }
    }

    /// Never opens: each call finds out for itself, at the price of the backend's time-outs.
    #[must_use]
    pub const fn off() -> Self {
        Self::new().timeouts(0)
    }

    /// How many commands must time out, with no answer to any command in between, before it opens. Each part of
    /// a store that can fail by itself counts for itself
    /// ([`Backend::failure_domain`](memolock_core::Backend::failure_domain)). Default: 3, which one slow command that is sent twice does not reach. 0 means never.
    #[must_use]
    pub const fn timeouts(mut self, timeouts: u32) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// How long it rests between probes while it is open; the first one is sent at once. Default: 500 ms:
    /// soon enough for people, and next to nothing for a server that has trouble. At least 10 ms.
    #[must_use]
    pub const fn probe_every(mut self, pause: Duration) -> Self {
        self.probe = pause;
        self
    }

    pub(crate) fn check(self) -> Result<(), String> {
        const LEAST: Duration = Duration::from_millis(10);
        match self.probe < LEAST {
            true => Err(format!(
                "circuit_breaker: probe_every is {:?}: at least {LEAST:?}",
                self.probe
            )),
            false => Ok(()),
        }
    }
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self::new()
    }
}

/// A breaker at work. It judges what it is told of; whoever sends asks it first.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: CircuitBreaker,
    /// How many parts are in trouble. Nearly always none: then nothing is locked, and nobody is asked for parts.
    troubled: AtomicUsize,
    /// Those, by failure domain; in order, for simulations.
    parts: Mutex<BTreeMap<u64, Part>>,
    opened: Notify,
}

/// A part of the store that has not answered.
#[derive(Debug)]
struct Part {
    /// Time-outs since the last answer.
    row: u32,
    open: bool,
    /// What a probe looks at: the last key that was not answered for.
    key: Key,
}

impl Breaker {
    pub(crate) fn new(settings: CircuitBreaker) -> Self {
        Self {
            settings,
            troubled: AtomicUsize::new(0),
            parts: Mutex::default(),
            opened: Notify::new(),
        }
    }

    /// Whether any part is not asked now.
    pub(crate) fn is_open(&self) -> bool {
        self.is_troubled() && self.lock().values().any(|part| part.open)
    }

    /// Whether a command for `key` is worth sending.
    pub(crate) fn admits(&self, backend: &dyn Backend, key: &Key) -> bool {
        if !self.is_troubled() {
            return true;
        }
        let domain = backend.failure_domain(key);
        self.lock().get(&domain).is_none_or(|part| !part.open)
    }

    /// What a command gets that is not sent.
    pub(crate) fn refusal(operation: Operation, key: &Key) -> BackendError {
        let why = "it did not answer before; the circuit breaker is open";
        BackendError::new(ErrorKind::Unavailable, operation, why).on(key)
    }

    /// A command for `key` has ended; `error` is how, unless well.
    pub(crate) fn note(&self, backend: &dyn Backend, key: &Key, error: Option<&BackendError>) {
        match error.map(BackendError::kind) {
            None | Some(ErrorKind::Denied | ErrorKind::WrongType) => self.answered(backend, key),
            Some(ErrorKind::Timeout) => self.timed_out(backend.failure_domain(key), key),
            // No answer, but not waited for either; or one that a tired store gives.
            Some(_) => {}
        }
    }

    /// The same of keys that were asked for together, each part of the store being one command: its answers come
    /// first, and what came late beside them is one time-out.
    pub(crate) fn note_all<'a>(
        &self,
        backend: &dyn Backend,
        ended: impl Iterator<Item = (&'a Key, Option<&'a BackendError>)> + Clone,
    ) {
        let of = |error: Option<&BackendError>| error.map(BackendError::kind);
        let late = ended
            .clone()
            .filter(|end| of(end.1) == Some(ErrorKind::Timeout));
        let late = late.map(|(key, _)| (backend.failure_domain(key), key));
        let late: BTreeMap<u64, &Key> = late.collect();
        if self.is_troubled() {
            let well = |kind| matches!(kind, None | Some(ErrorKind::Denied | ErrorKind::WrongType));
            let well = ended.filter(|end| well(of(end.1)));
            let well: BTreeSet<u64> = well.map(|(key, _)| backend.failure_domain(key)).collect();
            well.into_iter().for_each(|domain| self.forgive(domain));
        }
        for (domain, key) in late {
            self.timed_out(domain, key);
        }
    }

    fn is_troubled(&self) -> bool {
        // On the path of every hit; a store would make cores fight for it.
        self.troubled.load(Relaxed) > 0
    }

    fn answered(&self, backend: &dyn Backend, key: &Key) {
        if self.is_troubled() {
            self.forgive(backend.failure_domain(key));
        }
    }

    /// The part is well, or is no part any more.
    fn forgive(&self, domain: u64) {
        let mut parts = self.lock();
        let healed = parts.remove(&domain);
        self.troubled.store(parts.len(), Relaxed);
        if healed.is_some_and(|part| part.open) {
            tracing::info!("the store answers again: the circuit breaker is closed");
        }
    }

    fn timed_out(&self, domain: u64, key: &Key) {
        if self.settings.timeouts == 0 {
            return;
        }
        let mut parts = self.lock();
        let part = parts.entry(domain).or_insert_with(|| Part {
            row: 0,
            open: false,
            key: key.clone(),
        });
        part.row = part.row.saturating_add(1);
        let row = part.row;
        let opens = !part.open && row >= self.settings.timeouts;
        if opens {
            part.open = true;
            part.key = key.clone();
        }
        self.troubled.store(parts.len(), Relaxed);
        drop(parts);
        if opens {
            tracing::warn!(%key, row, "the store does not answer: the circuit breaker is open");
            self.opened.notify_one();
        }
    }

    /// Looks whether parts that did not answer do so again, for ever.
    pub(crate) async fn probe(&self, backend: &dyn Backend) {
        loop {
            self.opened.notified().await;
            loop {
                let open = self.unanswered();
                if open.is_empty() {
                    break;
                }
                // At once: each may take as long as a time-out.
                join_all(
                    open.iter()
                        .map(|(domain, key)| self.look(backend, *domain, key)),
                )
                .await;
                if self.is_open() {
                    sleep(self.settings.probe).await;
                }
            }
        }
    }

    async fn look(&self, backend: &dyn Backend, domain: u64, key: &Key) {
        let reply = backend.get(key).await;
        // Another part has the key by now: whoever was asked, this one is spared for no reason.
        if backend.failure_domain(key) != domain {
            self.forgive(domain);
        }
        self.note(backend, key, reply.as_ref().err());
    }

    /// Parts that are not asked, and the key to look at in each.
    fn unanswered(&self) -> Vec<(u64, Key)> {
        let parts = self.lock();
        let open = parts.iter().filter(|(_, part)| part.open);
        open.map(|(domain, part)| (*domain, part.key.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Part>> {
        // No code that can panic runs under the lock.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
