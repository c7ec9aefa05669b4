//! Which key expires next.

use std::collections::BTreeSet;

use memolock_core::{Key, Timestamp};

/// Keys in the order in which they expire. It holds one entry a key: owners take the old one out
/// when an expiry changes, so that renewals leave nothing behind.
#[derive(Debug, Default)]
pub(crate) struct Expiries(BTreeSet<(Timestamp, Key)>);

impl Expiries {
    pub(crate) fn insert(&mut self, at: Timestamp, key: &Key) {
        self.0.insert((at, key.clone()));
    }

    pub(crate) fn remove(&mut self, at: Timestamp, key: &Key) {
        self.0.remove(&(at, key.clone()));
    }

    /// A key whose time has come.
    pub(crate) fn due(&self, now: Timestamp) -> Option<Key> {
        let (at, key) = self.0.first()?;
        has_come(*at, now).then(|| key.clone())
    }
}

/// Whether what expires `at` is gone `now`. At the very moment it is: a waiter that is told the
/// remaining time and comes back after exactly that must not be told zero.
pub(crate) fn has_come(at: Timestamp, now: Timestamp) -> bool {
    now >= at
}
