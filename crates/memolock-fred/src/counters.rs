//! What the backend counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memolock_core::BackendStats;

/// Counters since the backend was made. They order nothing, so they are relaxed.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    commands: AtomicU64,
    reconnects: AtomicU64,
}

impl Counters {
    pub(crate) fn command(&self) {
        self.commands.fetch_add(1, Relaxed);
    }

    pub(crate) fn reconnect(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }

    /// What there is to say of all that share them; subscriptions are not counted here.
    pub(crate) fn stats(&self) -> BackendStats {
        let mut stats = BackendStats::default();
        stats.commands = self.commands();
        stats.reconnects = self.reconnects();
        stats
    }

    pub(crate) fn commands(&self) -> u64 {
        self.commands.load(Relaxed)
    }

    pub(crate) fn reconnects(&self) -> u64 {
        self.reconnects.load(Relaxed)
    }
}
