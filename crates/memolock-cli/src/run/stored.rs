//! Whether the output is in the store, where the store has not said so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use memolock::Memolock;
use memolock::codec::Raw;
use memolock::core::{Backend, BackendError, Key};
use serde::Serialize;

use crate::connect::Target;
use crate::exit::say;

/// How often to see whether storing is still tried in the background.
const RHYTHM: Duration = Duration::from_millis(50);

/// The longest time-out that a backend takes.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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

/// The server has not answered at all.
fn is_silence(error: &BackendError) -> bool {
    error.is_reply_lost()
}

impl Unconfirmed<'_> {
    /// Waits until nothing is tried in the background any more, as large outputs are. If the store has not confirmed
    /// the output by then, looks into it, and says what is wrong.
    pub(super) async fn settle(self) -> Stored {
        self.tried().await;
        if self.is_confirmed() {
            return Stored::Yes;
        }
        let lost = self.memolock.stats().lost_leases > 0;
        // From now on nothing more is tried.
        self.memolock.close().await;
        match (self.is_found().await, lost) {
            (Some(Ok(true)), _) => Stored::Yes,
            (Some(Ok(false)), true) => {
                say("the output was not stored: the lease was lost, or a value put or invalidated");
                Stored::No
            }
            (Some(Ok(false)), false) => {
                say("the output was not stored: the server did not take it (-v says why)");
                Stored::No
            }
            (Some(Err(error)), _) if !is_silence(&error) => {
                say(&format!("the output may not be stored: {error}"));
                Stored::Unknown
            }
            (Some(Err(_)) | None, _) => {
                say("the output may not be stored: the server does not answer (-v says why)");
                Stored::Unknown
            }
        }
    }

    /// A connection that was lost may have had the reply: what was sent again then finds no lease, whatever the reason.
    fn is_confirmed(&self) -> bool {
        let stats = self.memolock.stats();
        let ended = self.memolock.in_flight().tasks == 0;
        ended && stats.unstored == 0 && stats.backend.reconnects == 0
    }

    /// Waits for the tries in the background, which end with the lease. A server that does not answer is given up at
    /// once, unless a large output keeps it busy.
    async fn tried(&self) {
        let begun = Instant::now();
        while self.memolock.in_flight().tasks > 0 && begun.elapsed() < self.patience() {
            let asked = self.backend.inspect(&self.key).await;
            // Who refuses to say is there, and may take what is tried once more.
            let silent = asked.is_err_and(|error| is_silence(&error));
            if silent && begun.elapsed() > self.transfer() {
                return;
            }
            tokio::time::sleep(RHYTHM).await;
        }
    }

    /// Whether the output is what is stored; none without a connection. By a connection that has time for it, as the
    /// server may still be busy with what was sent.
    async fn is_found(&self) -> Option<Result<bool, BackendError>> {
        let backend = self.target.open(self.patience()).await.ok()?;
        let found = self.is_found_by(&*backend).await;
        backend.close().await;
        Some(found)
    }

    async fn is_found_by(&self, backend: &dyn Backend) -> Result<bool, BackendError> {
        let there = backend.inspect(&self.key).await?.value;
        // Another one need not be transferred.
        if there.is_none_or(|value| value.bytes != self.output.len() as u64) {
            return Ok(false);
        }
        Ok(backend.get(&self.key).await?.as_ref() == Some(self.output))
    }

    /// A large output takes long both ways: two seconds for each MiB, as memolock itself grants it.
    fn transfer(&self) -> Duration {
        Duration::from_secs(self.output.len() as u64 >> 19)
    }

    /// And the server needs time for what it is busy with: some seconds, even for a small one.
    fn patience(&self) -> Duration {
        self.timeout
            .saturating_add(Duration::from_secs(4))
            .saturating_add(self.transfer())
            .min(DAY)
    }
}
