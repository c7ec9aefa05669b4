//! Counters of a memolock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memolock_core::BackendStats;

use crate::near::NearStats;
use crate::places::Places;
use crate::store::Store;
use memolock_core::striped::StripedCounter;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        /// Counters since the memolock was built. They are read one by one, so a snapshot taken under
        /// load need not add up exactly.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            /// Commands that were not sent, because the circuit breaker was open.
            pub spared: u64,
            /// Computes that took the spare place beside [`local_computes`](crate::Builder::local_computes), at their
            /// start or after a nested call, because they had queued for a quarter of their wait time-out.
            pub overflows: u64,
            /// Whether the circuit breaker is open now: the store did not answer, and is not asked until it does.
            pub circuit_open: bool,
            /// The backend's own counters. A backend shared by several memolocks counts for all of them.
            pub backend: BackendStats,
            /// The near cache, if there is one. What it answers counts nowhere else.
            pub near: NearStats,
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: $kind,)*
        }

        impl Counters {
            pub(crate) fn read(&self, store: &Store, places: &Places) -> Stats {
                Stats {
                    $($name: self.$name.get(),)*
                    spared: store.spared(),
                    overflows: places.overflows(),
                    circuit_open: store.circuit_open(),
                    backend: store.stats(),
                    near: NearStats::default(),
                }
            }
        }
    };
}

counters! {
    /// Values found in the store by a flight's first look.
    hits: StripedCounter,
    /// Flights whose first look found nothing.
    misses: Counter,
    /// Values found that are of another version of the type, and were taken for none.
    stale: Counter,
    /// Values found that could not be decoded: see [`Builder::on_undecodable`](crate::Builder::on_undecodable). Not hits.
    undecodable: Counter,
    /// Computes and triggers started.
    computes: Counter,
    /// Computes and triggers that failed or panicked.
    failures: Counter,
    /// Calls that joined a flight of this process and cost no command.
    joins: StripedCounter,
    /// Flights that waited for a holder elsewhere and got its value.
    awaited: Counter,
    /// Flights handed from a dropped caller to a joined one.
    handovers: Counter,
    /// Leases lost before the work was done.
    lost_leases: Counter,
    /// Computes run without a lease because the store was failing.
    degraded: Counter,
    /// Flights that ended with the last value that this process saw, because the store was failing.
    served_stale: Counter,
    /// Computed values that were not stored when their callers received them. After a lost reply or a refusal that
    /// may pass, storing is tried again in the background, so some of them are stored later.
    unstored: Counter,
    /// Calls that ended with a time-out.
    timeouts: Counter,
}

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
