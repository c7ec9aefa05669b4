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

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

    /// How many commands must time out, with no answer to any command in between, before it opens.
    /// Default: 3, which one slow command that is sent twice does not reach. 0 means never.
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
            true => Err(format!("a probe each {:?}: at least {LEAST:?}", self.probe)),
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
    /// Time-outs since the last answer.
    row: AtomicU32,
    open: AtomicBool,
    opened: Notify,
    /// What a probe looks at: the key at which it opened.
    key: Mutex<Option<Key>>,
}

impl Breaker {
    pub(crate) fn new(settings: CircuitBreaker) -> Self {
        Self {
            settings,
            row: AtomicU32::new(0),
            open: AtomicBool::new(false),
            opened: Notify::new(),
            key: Mutex::default(),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    /// What a command gets that is not sent.
    pub(crate) fn refusal(operation: Operation, key: &Key) -> BackendError {
        let why = "it did not answer before; the circuit breaker is open";
        BackendError::new(ErrorKind::Unavailable, operation, why).on(key)
    }

    /// A command for `key` has ended; `error` is how, unless well.
    pub(crate) fn note(&self, key: &Key, error: Option<&BackendError>) {
        match error.map(BackendError::kind) {
            None | Some(ErrorKind::Denied | ErrorKind::WrongType) => self.answered(),
            Some(ErrorKind::Timeout) => self.timed_out(key),
            // No answer, but not waited for either; or one that a tired store gives.
            Some(_) => {}
        }
    }

    fn answered(&self) {
        // Loads first: this is on the path of every hit, and stores would make cores fight for it.
        if self.row.load(Relaxed) > 0 {
            self.row.store(0, Relaxed);
        }
        if self.is_open() && self.open.swap(false, Relaxed) {
            tracing::info!("the store answers again: the circuit breaker is closed");
        }
    }

    fn timed_out(&self, key: &Key) {
        let row = self.row.fetch_add(1, Relaxed).saturating_add(1);
        if self.settings.timeouts == 0 || row < self.settings.timeouts {
            return;
        }
        if self.is_open() {
            return;
        }
        *self.lock() = Some(key.clone());
        if !self.open.swap(true, Relaxed) {
            tracing::warn!(%key, row, "the store does not answer: the circuit breaker is open");
            self.opened.notify_one();
        }
    }

    /// Looks whether the store answers again, each time that the breaker has opened, for ever.
    pub(crate) async fn probe(&self, backend: &dyn Backend) {
        loop {
            self.opened.notified().await;
            while self.is_open() {
                // There is one: it was set before the breaker opened.
                let Some(key) = self.key() else { break };
                let reply = backend.get(&key).await;
                self.note(&key, reply.as_ref().err());
                if self.is_open() {
                    sleep(self.settings.probe).await;
                }
            }
        }
    }

    fn key(&self) -> Option<Key> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Key>> {
        // No code that can panic runs under the lock.
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
