//! What whoever keeps copies of values hears of their changes.

mod board;
#[cfg(test)]
mod tests;
mod tracker;

use std::pin::Pin;

use futures_core::Stream;

use crate::BackendError;

pub use board::{TrackingBoard, Wish};
pub use tracker::Tracker;

/// The changes of a keyspace: see [`Backend::track`](crate::Backend::track). Ends (`None`) only when the
/// backend is closed.
pub type Tracking = Pin<Box<dyn Stream<Item = Change> + Send>>;

/// One of them. What is not told while changes are [`Resumed`](Self::Resumed) did not happen, or is still
/// under way: whoever reads a value after that, and is told nothing of it, has the one that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Changes are heard from here on. Every copy that was read before is in doubt.
    Resumed,
    /// The value of this id was stored, deleted or evicted, or has expired; by whomever, oneself included.
    /// Several changes of one value may be told as one.
    Value(String),
    /// Any value may have changed: all were deleted, or more changed than could be told.
    All,
    /// Changes are not heard until resumed. Every copy is in doubt.
    Gap,
    /// The store will not tell changes, and is not asked again on this stream.
    Refused(BackendError),
}
