//! A counter that threads do not fight for.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Enough that the threads of a machine rarely share one.
const SLOTS: usize = 32;

/// A counter on a hot path: each thread adds to a line of memory of its own.
#[derive(Debug, Default)]
pub(crate) struct Striped([Slot; SLOTS]);

/// Two lines, since processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Slot(AtomicU64);

impl Striped {
    pub(crate) fn add(&self) {
        self.0[slot()].0.fetch_add(1, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.iter().map(|slot| slot.0.load(Relaxed)).sum()
    }
}

/// The slot of this thread.
fn slot() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SLOT: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    SLOT.with(|slot| {
        if slot.get() == usize::MAX {
            slot.set(NEXT.fetch_add(1, Relaxed) % SLOTS);
        }
        slot.get()
    })
}
