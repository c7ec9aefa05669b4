//! What a near cache counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memolock_core::striped::StripedCounter;

/// How a near cache learns of changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coherence {
    /// There is no near cache, or it was closed.
    #[default]
    Off,
    /// The store cannot be heard now: nothing is kept, and every call asks it.
    Deaf,
    /// The store tells of every change.
    Live,
    /// The store does not tell of changes: copies are good for as long as their age allows.
    Aged,
}

/// A near cache now, and its counters since the memolock was built: [`Stats::near`](crate::Stats::near).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NearStats {
    /// How it learns of changes.
    pub coherence: Coherence,
    /// Values that it holds, those included whose time is over.
    pub entries: u64,
    /// What they weigh: their number, unless a weigher was given.
    pub weight: u64,
    /// Calls that it answered.
    pub hits: u64,
    /// Values that were taken in.
    pub inserts: u64,
    /// Values that made way for others, or were too heavy.
    pub evictions: u64,
    /// Values that were taken out because they had changed, here or elsewhere.
    pub invalidations: u64,
    /// Times that all was forgotten: everything had changed, or the store could not be heard.
    pub flushes: u64,
    /// Values stored or awaited here that were read back.
    pub read_backs: u64,
}

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) hits: StripedCounter,
    pub(crate) inserts: AtomicU64,
    pub(crate) invalidations: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) read_backs: AtomicU64,
}

/// One more.
pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
