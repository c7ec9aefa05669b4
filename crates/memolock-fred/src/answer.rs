//! What comes of the steps of a subscription connection.

use std::pin::Pin;

use memolock_core::Key;
use memolock_core::redis::Fault;
use memolock_redis_common::Step;

use crate::fence::Outcome;
use crate::tracking::Receiver;

/// What the server said to a step, or why it said nothing.
pub(crate) struct Answer {
    pub(crate) step: Step,
    pub(crate) outcome: Result<Outcome, Fault>,
    /// The receiver, if one was opened for it.
    pub(crate) opened: Option<Receiver>,
    /// Of sharded channels, the keys that were refused.
    pub(crate) refused: Vec<(Key, Fault)>,
}

impl Answer {
    pub(crate) fn new(step: Step, outcome: Result<Outcome, Fault>) -> Self {
        Self {
            step,
            outcome,
            opened: None,
            refused: Vec::new(),
        }
    }
}

/// An answer on its way.
pub(crate) type Asking = Pin<Box<dyn Future<Output = Answer> + Send>>;
