//! The circuit breaker: a store that does not answer is not asked again until it does.
//!
//! ```text
//! Closed --time-outs in a row, or errors in a row that are not known--> Open
//! Open   --an answer, to a probe or to what was under way--> Closed
//! ```
//!
//! Two things count:
//!
//! * *Time-outs*: they are what an outage costs its callers. A backend that cannot be reached says so at once, and a
//!   store that refuses has answered.
//! * *Errors that are not known* ([`Unrecognized`](ErrorKind::Unrecognized)), such as that of a server over its quota:
//!   each command more makes it worse. One key may be the cause, so they count only once no single key explains them:
//!   the keys of the failed commands since the last answer have none in common. A key all of whose commands fail
//!   never opens the breaker, and any answer to another key begins the count anew.
//!
//! While the breaker is open, a task looks at a key in a slow rhythm, so that no caller pays for finding out that the
//! store is back. It looks at a neutral key of the same failure domain, which no caller uses. A key that is the cause
//! of the trouble would keep the breaker open for all others. (The pattern is Nygard's, from "Release It!"; its
//! half-open state is that task.)
//!
//! What runs in the background is sent to a store that does not answer: it takes effect behind what waits there. A store
//! that answers with errors that are not known is not sent it until the breaker is closed again.
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
/// same: nobody waits for them. They are not sent if the store answers with errors that memolock does not know
/// ([`ErrorKind::Unrecognized`]), until it is closed again.
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
    ///
    /// So many errors that memolock does not know ([`ErrorKind::Unrecognized`]) open it too, if at least two different
    /// keys met them. As long as one key may be the cause of all of them, they count as one.
    #[must_use]
    pub const fn timeouts(mut self, timeouts: u32) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// How long it rests between probes while it is open; the first one is sent at once. Default: 500 ms:
    /// soon enough for people, and next to nothing for a server that has trouble. At least 10 ms.
    ///
    /// A probe reads a key that no caller uses, `memolock probe 0` or the like. After an error that memolock does not know,
    /// nothing is asked again sooner than this either.
    #[must_use]
    pub const fn probe_every(mut self, pause: Duration) -> Self {
        self.probe = pause;
        self
    }

    /// How long it rests between probes.
    pub(crate) fn rest(self) -> Duration {
        self.probe
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
    /// Errors that are not known since the last answer. As long as one key may be the cause of all, they are one.
    unknown: u32,
    /// The keys that may be: those of every command that failed so. None before the first one.
    suspects: Option<BTreeSet<Key>>,
    open: bool,
    /// It answers with errors that are not known: nothing is sent.
    rests: bool,
    /// The last key that was not answered for: what a probe looks at where there is no neutral one.
    key: Key,
}

/// How a key is found that no caller uses: so many are tried. Enough for a cluster of a hundred masters.
const CANDIDATES: u32 = 2_000;

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
        let why = "it failed before, and the circuit breaker is open";
        BackendError::new(ErrorKind::Unavailable, operation, why).on(key)
    }

    /// Whether a command for `key` must not be sent even in the background: the store answers with errors that are not
    /// known, and each command more may make that worse.
    pub(crate) fn holds_back(&self, backend: &dyn Backend, key: &Key) -> bool {
        if !self.is_troubled() {
            return false;
        }
        let domain = backend.failure_domain(key);
        self.lock().get(&domain).is_some_and(|part| part.rests)
    }

    /// A command for `key` has ended; `error` is how, unless well.
    pub(crate) fn note(&self, backend: &dyn Backend, key: &Key, error: Option<&BackendError>) {
        match error.map(BackendError::kind) {
            None | Some(ErrorKind::Denied | ErrorKind::WrongType) => self.answered(backend, key),
            Some(ErrorKind::Timeout) => self.timed_out(backend.failure_domain(key), key),
            Some(ErrorKind::Unrecognized) => {
                self.unrecognized(backend.failure_domain(key), key, &BTreeSet::from([key]));
            }
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
        let of_kind = |kind: ErrorKind| {
            let ended = ended.clone().filter(move |end| of(end.1) == Some(kind));
            let mut parts: BTreeMap<u64, BTreeSet<&Key>> = BTreeMap::new();
            for (key, _) in ended {
                parts
                    .entry(backend.failure_domain(key))
                    .or_default()
                    .insert(key);
            }
            parts
        };
        let (late, unknown) = (
            of_kind(ErrorKind::Timeout),
            of_kind(ErrorKind::Unrecognized),
        );
        if self.is_troubled() {
            let well = |kind| matches!(kind, None | Some(ErrorKind::Denied | ErrorKind::WrongType));
            let well = ended.filter(|end| well(of(end.1)));
            let well: BTreeSet<u64> = well.map(|(key, _)| backend.failure_domain(key)).collect();
            well.into_iter().for_each(|domain| self.forgive(domain));
        }
        for (domain, keys) in late {
            if let Some(key) = keys.last() {
                self.timed_out(domain, key);
            }
        }
        for (domain, keys) in unknown {
            if let Some(key) = keys.last() {
                self.unrecognized(domain, key, &keys);
            }
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
        self.fails(domain, key, |part, most| {
            part.row = part.row.saturating_add(1);
            part.row >= most
        });
    }

    /// `keys` were asked for by one command.
    fn unrecognized(&self, domain: u64, key: &Key, keys: &BTreeSet<&Key>) {
        self.fails(domain, key, |part, most| {
            part.suspect(keys);
            let opens = !part.open && part.is_no_key() && part.unknown >= most;
            part.rests |= opens;
            opens
        });
    }

    /// A part has not answered as it should; `opens` takes that down, and says whether it is enough.
    fn fails(&self, domain: u64, key: &Key, opens: impl FnOnce(&mut Part, u32) -> bool) {
        if self.settings.timeouts == 0 {
            return;
        }
        let mut parts = self.lock();
        let part = parts.entry(domain).or_insert_with(|| Part::new(key));
        let opens = opens(part, self.settings.timeouts) && !part.open;
        let (row, unknown) = (part.row, part.unknown);
        if opens {
            part.open = true;
            part.key = key.clone();
        }
        self.troubled.store(parts.len(), Relaxed);
        drop(parts);
        if opens {
            tracing::warn!(%key, row, unknown, "the store does not answer: the circuit breaker is open");
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
        let neutral = neutral(backend, domain, key);
        let key = neutral.as_ref().unwrap_or(key);
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

impl Part {
    fn new(key: &Key) -> Self {
        Self {
            row: 0,
            unknown: 0,
            suspects: None,
            open: false,
            rests: false,
            key: key.clone(),
        }
    }

    /// A command for all of `keys` met an error that is not known.
    fn suspect(&mut self, keys: &BTreeSet<&Key>) {
        match &mut self.suspects {
            None => {
                self.suspects = Some(keys.iter().copied().cloned().collect());
                self.unknown = 1;
            }
            Some(suspects) => {
                suspects.retain(|key| keys.contains(key));
                if suspects.is_empty() {
                    self.unknown = self.unknown.saturating_add(1);
                }
            }
        }
    }

    /// Whether no single key explains the errors.
    fn is_no_key(&self) -> bool {
        self.suspects.as_ref().is_some_and(BTreeSet::is_empty)
    }
}

/// A key of the same keyspace and of this part of the store that no caller uses.
fn neutral(backend: &dyn Backend, domain: u64, like: &Key) -> Option<Key> {
    let mut candidates = (0..CANDIDATES).filter_map(|n| {
        let key = like.space().key(&format!("memolock probe {n}"));
        key.ok()
    });
    candidates.find(|key| backend.failure_domain(key) == domain)
}
