//! What threads do not fight for: a counter, and a value that many read and one seldom writes.
//!
//! An atomic that all threads of a machine change is fetched from core to core at each change, which costs as much as
//! all else that a hit does. Here each thread has a line of memory of its own, which it shares with others only where
//! there are more than 32. (Per-CPU counters are folklore; `McKenney`'s "Is Parallel Programming Hard", chapter 5, weighs
//! their kinds.)
//!
//! ```
//! use memolock_core::striped::{StripedCell, StripedCounter};
//!
//! let (hits, name) = (StripedCounter::default(), StripedCell::default());
//! name.set(|| "likes".to_owned()); // called for each stripe
//! std::thread::scope(|scope| {
//!     for _ in 0..2 {
//!         scope.spawn(|| {
//!             hits.add();
//!             assert_eq!(name.get(), "likes");
//!         });
//!     }
//! });
//! assert_eq!(hits.get(), 2);
//! ```

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

/// Enough that the threads of a machine rarely share one.
const STRIPES: usize = 32;

/// Two lines, since processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe<T>(T);

/// A counter on a hot path. It takes 4 KiB.
#[derive(Debug, Default)]
pub struct StripedCounter([Stripe<AtomicU64>; STRIPES]);

impl StripedCounter {
    /// Counts one more. It orders nothing.
    pub fn add(&self) {
        self.0[stripe()].0.fetch_add(1, Relaxed);
    }

    /// The sum; what other threads add meanwhile may be in it or not.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.iter().map(|stripe| stripe.0.load(Relaxed)).sum()
    }
}

/// A value on a hot path, in as many copies as there are stripes. It takes 4 KiB, and more if `T` is large.
#[derive(Debug)]
pub struct StripedCell<T>(Box<[Stripe<RwLock<T>>]>);

impl<T: Default> Default for StripedCell<T> {
    fn default() -> Self {
        Self(stripes())
    }
}

impl<T: Clone> StripedCell<T> {
    /// Writes it, copy by copy: until it returns, readers see the old value or the new one. Who makes an `Arc` anew for
    /// each keeps threads from fighting for its count too. Writers that overlap must be kept apart by the caller.
    pub fn set(&self, mut copy: impl FnMut() -> T) {
        for stripe in &*self.0 {
            let old = {
                let mut slot = stripe.0.write().unwrap_or_else(PoisonError::into_inner);
                std::mem::replace(&mut *slot, copy())
            };
            // Under no lock: it may be somebody's code.
            drop(old);
        }
    }

    /// This thread's copy.
    #[must_use]
    pub fn get(&self) -> T {
        // A panic of `clone` leaves what is there as it was.
        let slot = self.0[stripe()].0.read();
        slot.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Things that are costly to make, to be used again. It takes 4 KiB, and what is in it.
#[derive(Debug)]
pub struct StripedPool<T> {
    stripes: Box<[Stripe<Mutex<Vec<T>>>]>,
    each: usize,
}

impl<T> StripedPool<T> {
    /// One that keeps so many for each stripe; what is given back beyond that is dropped.
    #[must_use]
    pub fn new(each: usize) -> Self {
        Self {
            stripes: stripes(),
            each,
        }
    }

    /// What this thread gave back last, if it has any.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.stripe().pop()
    }

    /// Gives one back.
    pub fn put(&self, one: T) {
        let mut stripe = self.stripe();
        if stripe.len() < self.each {
            stripe.push(one);
        }
    }

    fn stripe(&self) -> MutexGuard<'_, Vec<T>> {
        // No code that can panic runs under the lock.
        let stripe = self.stripes[stripe()].0.lock();
        stripe.unwrap_or_else(PoisonError::into_inner)
    }
}

/// On the heap: what has them is moved now and then.
fn stripes<T: Default>() -> Box<[Stripe<T>]> {
    (0..STRIPES).map(|_| Stripe::default()).collect()
}

/// The stripe of this thread.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    STRIPE.with(|stripe| {
        if stripe.get() == usize::MAX {
            stripe.set(NEXT.fetch_add(1, Relaxed) % STRIPES);
        }
        stripe.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn nothing_is_counted_twice_or_forgotten() {
        let counter = StripedCounter::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                scope.spawn(|| (0..100).for_each(|_| counter.add()));
            }
        });
        assert_eq!(counter.get(), 100 * 2 * STRIPES as u64);
    }

    #[test]
    fn every_thread_reads_what_was_written_last() {
        let cell = StripedCell::<u32>::default();
        for written in 1..=3 {
            cell.set(|| written);
            std::thread::scope(|scope| {
                for _ in 0..2 * STRIPES {
                    scope.spawn(|| assert_eq!(cell.get(), written));
                }
            });
        }
    }

    #[test]
    fn nothing_that_was_replaced_is_kept() {
        let (cell, old) = (StripedCell::default(), Arc::new(()));
        cell.set(|| Some(Arc::clone(&old)));
        assert_eq!(Arc::strong_count(&old), 1 + STRIPES);
        cell.set(|| None);
        assert_eq!(Arc::strong_count(&old), 1);
    }

    #[test]
    fn what_was_given_back_last_comes_first_and_no_more_than_wished_is_kept() {
        let pool = StripedPool::new(2);
        let all: [Arc<()>; 3] = Default::default();
        for one in &all {
            pool.put(Arc::clone(one));
        }
        assert_eq!(Arc::strong_count(&all[2]), 1, "it was one too many");
        assert!(pool.take().is_some_and(|last| Arc::ptr_eq(&last, &all[1])));
        assert!(
            pool.take()
                .is_some_and(|first| Arc::ptr_eq(&first, &all[0]))
        );
        assert!(pool.take().is_none());
    }
}
