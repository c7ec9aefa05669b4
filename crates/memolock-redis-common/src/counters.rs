//! What the backend counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memolock_core::BackendStats;
use memolock_core::striped::StripedCounter;

/// Counters since the backend was made. They order nothing, so they are relaxed.
#[derive(Debug, Default)]
pub struct Counters {
    commands: StripedCounter,
    reconnects: AtomicU64,
}

impl Counters {
    /// A command was sent.
    pub fn command(&self) {
        self.commands.add();
    }

    /// A connection that was lost has been replaced.
    pub fn reconnect(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }

    /// What there is to say of all that share them; subscriptions are not counted here.
    #[must_use]
    pub fn stats(&self) -> BackendStats {
        let mut stats = BackendStats::default();
        stats.commands = self.commands.get();
        stats.reconnects = self.reconnects.load(Relaxed);
        stats
    }
}
