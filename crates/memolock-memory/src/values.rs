//! The table of values: in the order of use, and in the order of expiry.

use std::collections::hash_map::RandomState;

use bytes::Bytes;
use lru::LruCache;
use memolock_core::{Key, Timestamp};

use crate::expiry::{Expiries, has_come};
use crate::store::cost;

#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) bytes: Bytes,
    pub(crate) expires: Timestamp,
}

#[derive(Debug)]
pub(crate) struct Values {
    // Ids are often chosen by strangers, and the table's default hasher is made for speed: with the
    // standard library's keyed one nobody can choose ids that collide.
    entries: LruCache<Key, Value, RandomState>,
    expiries: Expiries,
    cost: usize,
    /// What went by itself since it was last asked for.
    gone: Vec<Key>,
}

impl Values {
    pub(crate) fn new() -> Self {
        Self {
            // Bounded by bytes, not by number: the store evicts.
            entries: LruCache::unbounded_with_hasher(RandomState::new()),
            expiries: Expiries::default(),
            cost: 0,
            gone: Vec::new(),
        }
    }

    /// The value, which counts as a use.
    pub(crate) fn get(&mut self, key: &Key, now: Timestamp) -> Option<&Value> {
        let live = |value: &&Value| !has_come(value.expires, now);
        self.entries.get(key).filter(live)
    }

    /// The value, without a trace.
    pub(crate) fn peek(&self, key: &Key, now: Timestamp) -> Option<&Value> {
        let live = |value: &&Value| !has_come(value.expires, now);
        self.entries.peek(key).filter(live)
    }

    pub(crate) fn insert(&mut self, key: &Key, value: Value) {
        self.remove(key);
        self.cost += cost(key, value.bytes.len());
        self.expiries.insert(value.expires, key);
        self.entries.put(key.clone(), value);
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        if let Some(value) = self.entries.pop(key) {
            self.forget(key, &value);
        }
    }

    /// Removes one value whose time has come, if there is one.
    pub(crate) fn purge_one(&mut self, now: Timestamp) -> bool {
        let Some(key) = self.expiries.due(now) else {
            return false;
        };
        self.remove(&key);
        self.gone.push(key);
        true
    }

    /// Removes the value that has not been used for longest, if there is one.
    pub(crate) fn evict_one(&mut self) -> bool {
        let Some((key, value)) = self.entries.pop_lru() else {
            return false;
        };
        self.forget(&key, &value);
        self.gone.push(key);
        true
    }

    /// The keys of values that have expired or were evicted since the last time this was asked.
    pub(crate) fn take_gone(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.gone)
    }

    fn forget(&mut self, key: &Key, value: &Value) {
        self.cost -= cost(key, value.bytes.len());
        self.expiries.remove(value.expires, key);
    }

    pub(crate) fn cost(&self) -> usize {
        self.cost
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
