//! What the clones of a memolock share: services, settings, flights, and what is remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use memolock_core::{Key, LeaseLimits, Mode};

use crate::cleanup;
use crate::codec_check::CodecCheck;
use crate::engine::Wants;
use crate::flight::{Flight, Left};
use crate::hub::Hub;
use crate::near::{Claim, Near, Ticket};
use crate::remembered::Remembered;
use crate::table::Table;
use crate::undecodable::Unreadable;

/// What clones share.
pub(crate) struct Shared<T, C> {
    pub(crate) hub: Arc<Hub>,
    pub(crate) codec: C,
    pub(crate) codec_check: CodecCheck,
    pub(crate) terms: Terms,
    pub(crate) unreadable: Unreadable,
    /// What is served while the store is failing, if anything is.
    pub(crate) remembered: Option<Remembered<T>>,
    /// How often anything was put or invalidated here, counted before it is forgotten.
    retirements: AtomicU64,
    /// What is in front of everything, if anything is.
    pub(crate) near: Option<Arc<Near<T>>>,
    pub(crate) reads: Table<T>,
    pub(crate) computes: Table<T>,
}

/// Which flights may be shared: a look never waits for a compute.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lane {
    Read,
    Compute,
}

/// What one call may differ in from the memolock's settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) ttl: Duration,
    pub(crate) wait_timeout: Duration,
    /// How long its work may take.
    pub(crate) compute_timeout: Option<Duration>,
    pub(crate) limits: LeaseLimits,
    /// Whether the call has set limits itself: they are checked when it begins.
    pub(crate) own_limits: bool,
}

impl Terms {
    /// What a caller of that kind wants of a flight.
    pub(crate) fn wants(&self, mode: Mode) -> Wants {
        let limits = self.limits;
        Wants { mode, limits }
    }
}

impl<T, C> Shared<T, C> {
    pub(crate) fn new(
        hub: Arc<Hub>,
        codec: C,
        codec_check: CodecCheck,
        terms: Terms,
        unreadable: Unreadable,
        remembered: Option<Remembered<T>>,
        near: Option<Arc<Near<T>>>,
    ) -> Self {
        Self {
            hub,
            codec,
            codec_check,
            terms,
            unreadable,
            remembered,
            retirements: AtomicU64::new(0),
            near,
            reads: Table::new(),
            computes: Table::new(),
        }
    }

    pub(crate) fn table(&self, lane: Lane) -> &Table<T> {
        match lane {
            Lane::Read => &self.reads,
            Lane::Compute => &self.computes,
        }
    }

    /// A value is good now: it may be served while the store is failing.
    pub(crate) fn remember(&self, key: &Key, value: &Arc<T>) {
        if let Some(remembered) = &self.remembered {
            remembered.keep(key.id(), value);
        }
    }

    /// The last value, to be served while the store is failing.
    pub(crate) fn last(&self, key: &Key) -> Option<Arc<T>> {
        let value = self.remembered.as_ref()?.last(key.id())?;
        self.hub.counters.served_stale.add();
        Some(value)
    }

    /// The last value is none any more.
    pub(crate) fn forget(&self, id: &str) {
        if let Some(remembered) = &self.remembered {
            remembered.forget(id);
        }
    }

    /// The value, if there is a copy of it here that is good now: the first thing that every call asks. After a
    /// close there is none.
    pub(crate) fn near(&self, id: &str) -> Option<Arc<T>> {
        self.near.as_ref()?.get(id)
    }

    /// To be taken before a command is sent that gives or stores a value.
    pub(crate) fn ticket(&self, id: &str) -> Option<Ticket> {
        self.near.as_ref()?.ticket(id)
    }

    /// A flight ended with a value of the store's, or one that it stored.
    pub(crate) fn keep(&self, key: &Key, value: &Arc<T>, claim: Option<Claim>) {
        if let (Some(near), Some(claim)) = (&self.near, claim) {
            near.keep(key.id(), value, claim);
        }
    }

    /// A value was put or invalidated: who calls from now on joins no flight that began before, and finds
    /// here what was put, or nothing.
    pub(crate) fn retire(&self, id: &str, put: Option<(Ticket, Arc<T>, Duration)>) {
        self.reads.retire(id);
        self.computes.retire(id);
        self.retirements.fetch_add(1, SeqCst);
        self.forget(id);
        if let Some(near) = &self.near {
            near.wrote(id, put);
        }
    }

    /// How often that was. Who remembers without a flight compares before the look and after remembering: if
    /// it is the same, whoever retires comes after and forgets what was remembered.
    pub(crate) fn retirements(&self) -> u64 {
        self.retirements.load(SeqCst)
    }

    /// Somebody left a flight; if nobody is left in it, it is taken off and cleaned up.
    pub(crate) fn left(&self, lane: Lane, flight: &Arc<Flight<T>>, left: Left<T>)
    where
        T: Send + Sync + 'static,
    {
        if let Left::Orphaned(engine) = left {
            self.table(lane).remove(flight);
            cleanup::clean_up(&self.hub, flight.key(), engine);
        }
    }
}
