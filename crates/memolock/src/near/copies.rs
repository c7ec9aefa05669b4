//! The table of copies, and what leaves it: nothing of a user's is dropped under its locks.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hashbrown::DefaultHashBuilder;
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use super::settings::NearCache;
use super::tally::add;

/// Copies by id.
pub(super) type Copies<T> = Cache<Arc<str>, Kept<T>, Weights, DefaultHashBuilder, Evictions>;

/// A copy of a value.
pub(super) struct Kept<T> {
    pub(super) value: Arc<T>,
    pub(super) word: u64,
    /// In nanoseconds since the origin.
    pub(super) expires: u64,
    pub(super) weight: u64,
    pub(super) phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// A change takes it out.
    Sure,
    /// The next change is probably its own echo.
    Echo,
    /// It is being read back, or will be.
    Reading,
}

/// What was taken out, to be dropped when no lock is held: dropping is the user's code.
pub(super) type Out<T> = (Option<(Arc<str>, Kept<T>)>, Option<Kept<T>>, Evicted<T>);

/// An empty table. What makes way counts in `evicted`.
pub(super) fn copies<T>(
    settings: &NearCache<T>,
    hasher: &DefaultHashBuilder,
    evicted: &Arc<AtomicU64>,
) -> Copies<T> {
    // A guess: with a weigher the number of values is not known, and the tables grow by themselves.
    let guess = match settings.weigher {
        None => settings.capacity,
        Some(_) => settings.capacity.min(1024),
    };
    let options = OptionsBuilder::new()
        .estimated_items_capacity(usize::try_from(guess).unwrap_or(usize::MAX))
        .weight_capacity(settings.capacity)
        .build()
        .expect("both that must be set are set");
    let evictions = Evictions(Arc::clone(evicted));
    Cache::with_options(options, Weights, hasher.clone(), evictions)
}

/// By hand: `T` need not be `Clone`.
impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            ..*self
        }
    }
}

/// Copies are weighed when they are made.
#[derive(Debug, Clone)]
pub(super) struct Weights;

impl<T> Weighter<Arc<str>, Kept<T>> for Weights {
    fn weight(&self, _: &Arc<str>, copy: &Kept<T>) -> u64 {
        copy.weight
    }
}

/// Counts what makes way, and keeps it until no lock is held.
#[derive(Debug, Clone)]
pub(super) struct Evictions(Arc<AtomicU64>);

/// What made way.
pub(super) struct Evicted<T>(pub(super) Vec<(Arc<str>, Kept<T>)>);

impl<T> Default for Evicted<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Lifecycle<Arc<str>, Kept<T>> for Evictions {
    type RequestState = Evicted<T>;

    fn on_evict(&self, evicted: &mut Evicted<T>, id: Arc<str>, copy: Kept<T>) {
        add(&self.0);
        evicted.0.push((id, copy));
    }
}
