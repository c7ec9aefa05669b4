//! Whether the output is in the store, where the store has not said so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use memolock::Memolock;
use memolock::codec::Raw;
use memolock::core::{Backend, Key};
use serde::Serialize;

use crate::connect::Target;
use crate::exit::say;

/// How often to see whether storing is still tried in the background.
const RHYTHM: Duration = Duration::from_millis(50);

/// What is known of an output. In JSON: `true`, `false` or `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    Yes,
    No,
    /// The store was told, and does not answer any more.
    Unknown,
}

impl Serialize for Stored {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Yes => serializer.serialize_bool(true),
            Self::No => serializer.serialize_bool(false),
            Self::Unknown => serializer.serialize_none(),
        }
    }
}

/// An output whose storing the store has not confirmed.
pub(super) struct Unconfirmed<'a> {
    pub(super) memolock: &'a Memolock<Bytes, Raw>,
    pub(super) backend: &'a Arc<dyn Backend>,
    pub(super) target: &'a Target,
    /// For commands to the store.
    pub(super) timeout: Duration,
    pub(super) key: Key,
    pub(super) output: &'a Bytes,
}

impl Unconfirmed<'_> {
    /// Waits until nothing is tried in the background any more, and then looks into the store. Says what is wrong.
    pub(super) async fn settle(self) -> Stored {
        let lost = self.memolock.stats().lost_leases > 0;
        self.tried().await;
        // From now on nothing more is tried.
        self.memolock.close().await;
        let stored = match self.is_found().await {
            Some(true) => Stored::Yes,
            Some(false) => Stored::No,
            None => Stored::Unknown,
        };
        match (stored, lost) {
            (Stored::Yes, _) => {}
            (Stored::No, true) => {
                say("the output was not stored: the lease was lost, or a value put or invalidated");
            }
            (Stored::No, false) => {
                say("the output was not stored: the server did not take it (-v says why)");
            }
            (Stored::Unknown, _) => {
                say("the output may not be stored: the server does not answer (-v says why)");
            }
        }
        stored
    }

    /// Waits for the tries in the background. They end with the lease; with a server that does not answer, at once.
    async fn tried(&self) {
        let begun = Instant::now();
        while self.memolock.in_flight().tasks > 0 && begun.elapsed() < self.patience() {
            if self.backend.inspect(&self.key).await.is_err() {
                return;
            }
            tokio::time::sleep(RHYTHM).await;
        }
    }

    /// Whether the output is what is stored; `None` if that cannot be told.
    async fn is_found(&self) -> Option<bool> {
        let there = self.backend.inspect(&self.key).await.ok()?.value;
        if there.is_none_or(|value| value.bytes != self.output.len() as u64) {
            return Some(false);
        }
        // As long as ours. That it is ours is read by a connection that has time for it.
        let backend = self.target.open(self.patience()).await.ok()?;
        let found = backend.get(&self.key).await;
        backend.close().await;
        Some(found.ok()?.as_ref() == Some(self.output))
    }

    /// A large output takes long both ways: half a minute, and a second for each MiB.
    fn patience(&self) -> Duration {
        let mebibytes = self.output.len() as u64 >> 20;
        self.timeout.max(Duration::from_secs(30 + mebibytes))
    }
}
