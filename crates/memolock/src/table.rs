//! The flights of this process, by id: at most one a key that new callers join.

use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError, Weak};

use hashbrown::DefaultHashBuilder;
use hashbrown::hash_table::{HashTable, OccupiedEntry};
use memolock_core::{Key, KeyError};

use crate::detached;
use crate::flight::Flight;
use crate::sync::{Mutex, MutexGuard};

/// Enough that threads rarely meet in one.
const SHARDS: usize = 64;

/// A list this short is not worth clearing.
const RETIRED_AT_LEAST: usize = 16;

/// A sharded table of flights.
pub(crate) struct Table<T> {
    shards: Box<[Mutex<Shard<T>>]>,
    hasher: DefaultHashBuilder,
}

struct Shard<T> {
    flights: HashTable<Arc<Flight<T>>>,
    /// Flights that nobody may join any more, but that a close must still end.
    retired: Vec<Weak<Flight<T>>>,
    /// At which length the list is cleared of flights that have ended.
    prune_at: usize,
    gate: Gate,
}

/// Who may enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// Detached work alone.
    Draining,
    Closed,
}

/// How a caller came aboard.
pub(crate) enum Boarding<T> {
    /// First: it drives.
    Lead(Arc<Flight<T>>),
    /// It shares what another caller is doing, and is the how-many-th to do so.
    Join(Arc<Flight<T>>, usize),
    /// The table is closed.
    Closed,
}

impl<T> Table<T> {
    pub(crate) fn new() -> Self {
        let shard = || {
            Mutex::new(Shard {
                flights: HashTable::new(),
                retired: Vec::new(),
                prune_at: RETIRED_AT_LEAST,
                gate: Gate::Open,
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Joins the flight to `id`, or begins one.
    pub(crate) fn board(
        &self,
        id: &str,
        computes: bool,
        key: impl FnOnce() -> Result<Key, KeyError>,
    ) -> Result<Boarding<T>, KeyError> {
        let hash = self.hash(id);
        let mut shard = self.shard(hash);
        if shard.gate != Gate::Open && shard.gate.refuses() {
            return Ok(Boarding::Closed);
        }
        if let Ok(found) = shard.flights.find_entry(hash, |f| f.key().id() == id) {
            if let Some(nth) = found.get().join(computes) {
                return Ok(Boarding::Join(Arc::clone(found.get()), nth));
            }
            // Abandoned, and its driver has not come to remove it yet; or overdue, and its driver is at it.
            let (flight, _) = found.remove();
            shard.retire(&flight);
        }
        let flight = Arc::new(Flight::new(key()?));
        let hasher = &self.hasher;
        shard
            .flights
            .insert_unique(hash, Arc::clone(&flight), |f| hasher.hash_one(f.key().id()));
        Ok(Boarding::Lead(flight))
    }

    /// Removes a flight that has ended; whether it was still there. One that has been replaced is left alone.
    pub(crate) fn remove(&self, flight: &Arc<Flight<T>>) -> bool {
        let hash = self.hash(flight.key().id());
        let mut shard = self.shard(hash);
        let found = shard.flights.find_entry(hash, |f| Arc::ptr_eq(f, flight));
        found.map(OccupiedEntry::remove).is_ok()
    }

    /// Keeps later callers from joining the flight to `id`; it goes on for those aboard.
    pub(crate) fn retire(&self, id: &str) {
        let hash = self.hash(id);
        let mut shard = self.shard(hash);
        if let Ok(found) = shard.flights.find_entry(hash, |f| f.key().id() == id) {
            let (flight, _) = found.remove();
            shard.retire(&flight);
        }
    }

    /// Refuses later callers unless they are detached work, and says what flights there are, in the order of ids.
    pub(crate) fn drain(&self) -> Vec<Arc<Flight<T>>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            if shard.gate == Gate::Open {
                shard.gate = Gate::Draining;
            }
            all.extend(shard.flights.iter().map(Arc::clone));
            all.extend(shard.retired.iter().filter_map(Weak::upgrade));
        }
        in_order(all)
    }

    /// Refuses later callers and takes out every flight, in the order of ids: two runs of a simulation
    /// shall close alike.
    pub(crate) fn close(&self) -> Vec<Arc<Flight<T>>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.gate = Gate::Closed;
            all.extend(shard.flights.drain());
            all.extend(shard.retired.drain(..).filter_map(|f| f.upgrade()));
        }
        in_order(all)
    }

    /// How many flights later callers could join.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|s| lock(s).flights.len()).sum()
    }

    fn hash(&self, id: &str) -> u64 {
        self.hasher.hash_one(id)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard<T>> {
        // The table inside a shard uses the low and the top bits: take some from between.
        #[allow(clippy::cast_possible_truncation)] // Any bits will do.
        lock(&self.shards[(hash >> 32) as usize % SHARDS])
    }
}

impl<T> Shard<T> {
    fn retire(&mut self, flight: &Arc<Flight<T>>) {
        // Now and then, so that many retirements cost no more than their number.
        if self.retired.len() >= self.prune_at {
            self.retired.retain(|f| f.strong_count() > 0);
            self.prune_at = (2 * self.retired.len()).max(RETIRED_AT_LEAST);
        }
        self.retired.push(Arc::downgrade(flight));
    }
}

impl Gate {
    #[cold]
    fn refuses(self) -> bool {
        match self {
            Self::Open => false,
            Self::Draining => !detached::is_current(),
            Self::Closed => true,
        }
    }
}

fn in_order<T>(mut flights: Vec<Arc<Flight<T>>>) -> Vec<Arc<Flight<T>>> {
    flights.sort_by(|a, b| a.key().id().cmp(b.key().id()));
    flights
}

fn lock<T>(shard: &Mutex<Shard<T>>) -> MutexGuard<'_, Shard<T>> {
    // No code that can panic runs under the lock.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
