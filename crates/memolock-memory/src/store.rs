//! What is stored: the semantics of each operation, as the scripts of `memolock_core::scripts` have
//! them, without clock and notification.

use std::time::Duration;

use bytes::Bytes;
use memolock_core::{
    Acquired, Fulfilled, Inspection, Key, LockInfo, PutMode, Remaining, Timed, Timestamp, Token,
    ValueInfo, millis,
};

use crate::ENTRY_OVERHEAD_BYTES;
use crate::locks::{Lock, Locks};
use crate::values::{Value, Values};

/// Expired entries that one call removes. Two would do, since a call adds one at most; a few more
/// clear a crowd that expired together without making one caller pay for all of it.
const PURGED_PER_CALL: usize = 8;

/// What a [`MemoryBackend`](crate::MemoryBackend) holds. Expired entries count until they are
/// purged, a few with each call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Values.
    pub values: usize,
    /// Locks.
    pub locks: usize,
    /// What they are reckoned to cost in all, in bytes: see
    /// [`capacity_bytes`](crate::MemoryBuilder::capacity_bytes).
    pub bytes: usize,
}

/// There is no room, even if every value made way: nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Debug)]
pub(crate) struct Store {
    values: Values,
    locks: Locks,
    capacity: usize,
}

/// What an entry with a payload of `bytes` is reckoned to cost.
pub(crate) fn cost(key: &Key, bytes: usize) -> usize {
    let names = key.id().len() + key.space().tag().as_str().len();
    // What exists in memory adds up without overflow.
    ENTRY_OVERHEAD_BYTES + names + bytes
}

impl Store {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            values: Values::new(),
            locks: Locks::default(),
            capacity,
        }
    }

    pub(crate) fn get(&mut self, now: Timestamp, key: &Key) -> Option<Bytes> {
        self.values.get(key, now).map(|v| v.bytes.clone())
    }

    /// The value and how long it stays.
    pub(crate) fn get_timed(&mut self, now: Timestamp, key: &Key) -> Option<Timed> {
        self.values.get(key, now).map(|value| Timed {
            value: value.bytes.clone(),
            remaining: Remaining::Expires(value.expires.since(now)),
        })
    }

    /// What has expired or was evicted since this was last asked.
    pub(crate) fn take_gone(&mut self) -> Vec<Key> {
        self.values.take_gone()
    }

    pub(crate) fn acquire(
        &mut self,
        now: Timestamp,
        key: &Key,
        token: Token,
        lease: Duration,
        stale: Option<&Bytes>,
    ) -> Result<Acquired, Full> {
        match self.get(now, key) {
            Some(value) if Some(&value) != stale => return Ok(Acquired::Value(value)),
            _ => {}
        }
        match self.locks.get(key, now) {
            Some(lock) if lock.token != token => {
                let left = lock.expires.since(now);
                return Ok(Acquired::Held(Remaining::Expires(left)));
            }
            // Ours already: an earlier reply was lost, and the lease begins anew.
            Some(_) => {}
            None => {
                self.ensure_fits(now, cost(key, 0), 0)?;
                self.make_room(now, cost(key, 0));
            }
        }
        let expires = expiry(now, lease);
        self.locks.insert(key, Lock { token, expires });
        Ok(Acquired::Granted)
    }

    pub(crate) fn fulfil(
        &mut self,
        now: Timestamp,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, Full> {
        if !self.holds(now, key, token) {
            return Ok(Fulfilled::Lost);
        }
        self.put(now, key, value, ttl, PutMode::Override)?;
        Ok(Fulfilled::Stored)
    }

    pub(crate) fn renew(
        &mut self,
        now: Timestamp,
        key: &Key,
        token: Token,
        lease: Duration,
    ) -> bool {
        let ours = self.holds(now, key, token);
        if ours {
            let expires = expiry(now, lease);
            self.locks.insert(key, Lock { token, expires });
        }
        ours
    }

    pub(crate) fn release(&mut self, now: Timestamp, key: &Key, token: Token) -> bool {
        let ours = self.holds(now, key, token);
        if ours {
            self.locks.remove(key);
        }
        ours
    }

    pub(crate) fn put(
        &mut self,
        now: Timestamp,
        key: &Key,
        bytes: Bytes,
        ttl: Duration,
        mode: PutMode,
    ) -> Result<(), Full> {
        let lock = self.locks.get(key, now);
        let freed = match (mode, lock) {
            (PutMode::Override, Some(_)) => cost(key, 0),
            _ => 0,
        };
        let cost = cost(key, bytes.len());
        self.ensure_fits(now, cost, freed)?;
        self.values.remove(key);
        if mode == PutMode::Override {
            self.locks.remove(key);
        }
        self.make_room(now, cost);
        let expires = expiry(now, ttl);
        self.values.insert(key, Value { bytes, expires });
        Ok(())
    }

    pub(crate) fn invalidate(&mut self, key: &Key) {
        self.values.remove(key);
        self.locks.remove(key);
    }

    pub(crate) fn inspect(&self, now: Timestamp, key: &Key) -> Inspection {
        let remaining = |expires: Timestamp| Remaining::Expires(expires.since(now));
        let mut seen = Inspection::default();
        seen.value = self.values.peek(key, now).map(|value| ValueInfo {
            bytes: value.bytes.len() as u64,
            remaining: remaining(value.expires),
        });
        seen.lock = self.locks.get(key, now).map(|lock| LockInfo {
            holder: lock.token.to_wire().into(),
            remaining: remaining(lock.expires),
        });
        seen
    }

    /// Removes a few entries whose time has come, so that what nobody asks for again does not stay.
    pub(crate) fn purge(&mut self, now: Timestamp) {
        for _ in 0..PURGED_PER_CALL {
            if !self.values.purge_one(now) && !self.locks.purge_one(now) {
                return;
            }
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            values: self.values.len(),
            locks: self.locks.len(),
            bytes: self.values.cost() + self.locks.cost(),
        }
    }

    fn holds(&self, now: Timestamp, key: &Key, token: Token) -> bool {
        self.locks.get(key, now).is_some_and(|l| l.token == token)
    }

    /// Whether `cost` more can fit, `freed` being given back by a lock. Locks do not make way for
    /// anything, and values do not matter here, because all of them would.
    fn ensure_fits(&mut self, now: Timestamp, cost: usize, freed: usize) -> Result<(), Full> {
        loop {
            if self.locks.cost() - freed + cost <= self.capacity {
                return Ok(());
            }
            if !self.locks.purge_one(now) {
                return Err(Full);
            }
        }
    }

    /// Makes room for `cost` more, which is known to fit. Expired entries go first, then the values
    /// that have not been used for longest.
    fn make_room(&mut self, now: Timestamp, cost: usize) {
        while self.usage().bytes + cost > self.capacity {
            let made =
                self.values.purge_one(now) || self.locks.purge_one(now) || self.values.evict_one();
            if !made {
                return;
            }
        }
    }
}

/// When what is stored now for `duration` expires. Through `millis`, as in a store across the wire.
fn expiry(now: Timestamp, duration: Duration) -> Timestamp {
    now.after(Duration::from_millis(millis(duration)))
}
