//! The last values that this process saw, to be served while the store is failing.
//!
//! An invalidation must win over whoever remembers: a flight remembers before it leaves the table, and forgets
//! again if it finds that it was taken out; who invalidates takes flights out of the table first and
//! forgets then. In every order of these four steps the value is forgotten in the end.

use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

/// What is remembered, and for how long, by default: enough for a hot set, and longer than most outages.
pub(crate) const DEFAULT: Limits = Limits {
    most: NonZero::new(1000).expect("a thousand is not zero"),
    age: Duration::from_secs(3600),
};

/// How much is remembered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) most: NonZero<usize>,
    pub(crate) age: Duration,
}

/// Values by id, each with when it was last known to be good.
type Values<T> = LruCache<Box<str>, (Arc<T>, Instant)>;

/// The last values; the one not asked for the longest goes first.
pub(crate) struct Remembered<T> {
    values: Mutex<Values<T>>,
    most: usize,
    age: Duration,
}

impl<T> Remembered<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            // Its own bound would allocate room for the whole of it at once.
            values: Mutex::new(LruCache::unbounded()),
            most: limits.most.get(),
            age: limits.age,
        }
    }

    /// Keeps a value that is good now.
    pub(crate) fn keep(&self, id: &str, value: &Arc<T>) {
        let seen = (Arc::clone(value), Instant::now());
        let mut values = self.lock();
        let replaced = values.push(id.into(), seen);
        let evicted = match values.len() > self.most {
            true => values.pop_lru(),
            false => None,
        };
        // What it replaces is dropped outside of the lock: that is the user's code.
        drop(values);
        drop((replaced, evicted));
    }

    /// The last value, unless it is too old.
    pub(crate) fn last(&self, id: &str) -> Option<Arc<T>> {
        let (value, seen) = self.lock().get(id).cloned()?;
        (seen.elapsed() <= self.age).then_some(value)
    }

    /// The value is none any more.
    pub(crate) fn forget(&self, id: &str) {
        let forgotten = self.lock().pop(id);
        drop(forgotten);
    }

    fn lock(&self) -> MutexGuard<'_, Values<T>> {
        // No code that can panic runs under the lock.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(most: usize, seconds: u64) -> Remembered<u32> {
        Remembered::new(Limits {
            most: NonZero::new(most).unwrap(),
            age: Duration::from_secs(seconds),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_kept_and_only_so_long() {
        let values = remembered(2, 60);
        for id in ["a", "b", "a", "c"] {
            values.keep(id, &Arc::new(id.len() as u32));
        }
        assert!(values.last("b").is_none(), "not asked for the longest");
        assert!(values.last("a").is_some() && values.last("c").is_some());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(values.last("a").is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(values.last("a").is_none());
    }

    /// Room for all of them at once would be more than there is memory.
    #[tokio::test]
    async fn the_greatest_limits_take_no_memory() {
        let values = remembered(usize::MAX, u64::MAX);
        values.keep("a", &Arc::new(1));
        assert_eq!(values.last("a").as_deref(), Some(&1));
    }

    #[tokio::test]
    async fn what_is_forgotten_is_gone() {
        let values = remembered(2, 60);
        values.keep("a", &Arc::new(1));
        values.forget("a");
        values.forget("never kept");
        assert!(values.last("a").is_none());
    }
}
