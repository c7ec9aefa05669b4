//! The table of locks.

use std::collections::HashMap;

use memolock_core::{Key, Timestamp, Token};

use crate::expiry::{Expiries, has_come};
use crate::store::cost;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Lock {
    pub(crate) token: Token,
    pub(crate) expires: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct Locks {
    entries: HashMap<Key, Lock>,
    expiries: Expiries,
    cost: usize,
}

impl Locks {
    pub(crate) fn get(&self, key: &Key, now: Timestamp) -> Option<Lock> {
        let lock = self.entries.get(key).copied();
        lock.filter(|l| !has_come(l.expires, now))
    }

    pub(crate) fn insert(&mut self, key: &Key, lock: Lock) {
        self.remove(key);
        self.cost += cost(key, 0);
        self.expiries.insert(lock.expires, key);
        self.entries.insert(key.clone(), lock);
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        if let Some(lock) = self.entries.remove(key) {
            self.cost -= cost(key, 0);
            self.expiries.remove(lock.expires, key);
        }
    }

    /// Removes one lock whose time has come, if there is one.
    pub(crate) fn purge_one(&mut self, now: Timestamp) -> bool {
        let due = self.expiries.due(now);
        due.inspect(|key| self.remove(key)).is_some()
    }

    pub(crate) fn cost(&self) -> usize {
        self.cost
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
