//! How a backend is set up.

use std::fmt;
use std::sync::Arc;

use crate::{Clock, MemoryBackend};

/// How many bytes a backend holds unless told otherwise: 256 MiB. Enough for a million ordinary
/// values, and little enough that a process in a small container does not die of its cache.
pub const DEFAULT_CAPACITY_BYTES: usize = 256 * 1024 * 1024;

/// What a value or a lock is reckoned to cost beside its names and its bytes: 256 bytes, about what
/// the tables need for it. Without it, a store full of tiny values would be several times its limit.
pub const ENTRY_OVERHEAD_BYTES: usize = 256;

/// Sets up a [`MemoryBackend`].
#[derive(Clone)]
#[must_use]
pub struct MemoryBuilder {
    pub(crate) capacity_bytes: usize,
    pub(crate) clock: Option<Arc<dyn Clock>>,
}

impl MemoryBuilder {
    pub(crate) fn new() -> Self {
        Self {
            capacity_bytes: DEFAULT_CAPACITY_BYTES,
            // Not yet a clock: where the system has none, asking for it would panic.
            clock: None,
        }
    }

    /// How many bytes to hold: of values, locks and their names, with [`ENTRY_OVERHEAD_BYTES`] for
    /// each. Default: [`DEFAULT_CAPACITY_BYTES`].
    ///
    /// Over the limit, the values that have not been read for longest make way, as they do in a
    /// Redis with `allkeys-lru`. Locks never make way: a lock that vanished would let a second compute
    /// in. What does not fit all the same is refused with
    /// [`ErrorKind::OutOfMemory`](memolock_core::ErrorKind::OutOfMemory).
    pub fn capacity_bytes(mut self, bytes: usize) -> Self {
        self.capacity_bytes = bytes;
        self
    }

    /// Where the time comes from. Default: a [`TokioClock`](crate::TokioClock), so that tests with paused time
    /// (`start_paused`) move TTLs and leases. [`ManualClock`](crate::ManualClock) is for tests that move the store's
    /// time alone, [`SystemClock`](crate::SystemClock) for those whose paused time is not to move it.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The backend. Every setting is usable, so this cannot fail.
    #[must_use]
    pub fn build(self) -> MemoryBackend {
        MemoryBackend::of(self)
    }
}

impl fmt::Debug for MemoryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBuilder")
            .field("capacity_bytes", &self.capacity_bytes)
            .finish_non_exhaustive()
    }
}
