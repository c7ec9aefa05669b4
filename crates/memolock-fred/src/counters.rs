//! What the backend counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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

    pub(crate) fn commands(&self) -> u64 {
        self.commands.load(Relaxed)
    }

    pub(crate) fn reconnects(&self) -> u64 {
        self.reconnects.load(Relaxed)
    }
}
