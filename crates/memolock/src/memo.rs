//! What a call returns: a shared value, and where it came from.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A memoized value. Callers of one process that asked together share one allocation.
///
/// It dereferences to the value; [`into_arc`](Memo::into_arc) gives the shared pointer.
#[derive(Debug)]
pub struct Memo<T> {
    value: Arc<T>,
    source: Source,
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// It was stored when the call began.
    Hit,
    /// It was in the near cache: [`Builder::near_cache`](crate::Builder::near_cache).
    Near,
    /// This very call computed it.
    Computed,
    /// The call waited while somebody else made it: another task, process or program.
    Awaited,
    /// The store is failing, and this is the last value that this process saw:
    /// [`OutagePolicy::Serve`](memolock_core::OutagePolicy::Serve).
    Stale,
}

impl<T> Memo<T> {
    pub(crate) fn new(value: Arc<T>, source: Source) -> Self {
        Self { value, source }
    }

    /// Where the value came from.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// The shared value.
    #[must_use]
    pub fn into_arc(self) -> Arc<T> {
        self.value
    }
}

impl<T> Deref for Memo<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> AsRef<T> for Memo<T> {
    fn as_ref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Display> fmt::Display for Memo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T> Clone for Memo<T> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            source: self.source,
        }
    }
}

impl<T> From<Memo<T>> for Arc<T> {
    fn from(memo: Memo<T>) -> Self {
        memo.value
    }
}
