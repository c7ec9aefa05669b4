//! What a proxy has done so far.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a [`Proxy`](crate::Proxy) has done so far: for tests to see that a fault struck, and to wait for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Connections passed on to the server.
    pub served: u64,
    /// Connections closed at once, or met with silence. Those refused are not seen.
    pub turned_away: u64,
    /// Connections that are open now, those met with silence among them.
    pub open: u64,
    /// Bytes passed from clients to the server.
    pub up: u64,
    /// Bytes passed from the server to clients.
    pub down: u64,
    /// Bytes that vanished, either way.
    pub vanished: u64,
    /// Connections broken at their [`Limit`](crate::Limit).
    pub broken: u64,
}

/// The same, being counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) served: AtomicU64,
    pub(super) turned_away: AtomicU64,
    pub(super) open: AtomicU64,
    pub(super) up: AtomicU64,
    pub(super) down: AtomicU64,
    pub(super) vanished: AtomicU64,
    pub(super) broken: AtomicU64,
}

impl Counts {
    pub(super) fn now(&self) -> Tally {
        Tally {
            served: self.served.load(Relaxed),
            turned_away: self.turned_away.load(Relaxed),
            open: self.open.load(Relaxed),
            up: self.up.load(Relaxed),
            down: self.down.load(Relaxed),
            vanished: self.vanished.load(Relaxed),
            broken: self.broken.load(Relaxed),
        }
    }

    /// Counts a connection as open until the guard is dropped.
    pub(super) fn opened(&self) -> Open<'_> {
        self.open.fetch_add(1, Relaxed);
        Open(&self.open)
    }
}

pub(super) struct Open<'a>(&'a AtomicU64);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

pub(super) fn add(count: &AtomicU64, more: usize) {
    count.fetch_add(more as u64, Relaxed);
}
