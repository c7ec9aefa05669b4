//! The work of a flight that is one of many: its part of a batch.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

use memolock_core::Mode;

use super::gatherer::{Gatherer, Replies};
use crate::nesting::Place;
use crate::work::{Ended, Work, misfit};
use crate::{Computed, Lease};

/// The part of one id: its lease travels to the batch.
pub(crate) struct Part<'a, T> {
    pub(crate) gatherer: &'a Gatherer<T>,
}

impl<T> Work<T> for Part<'_, T> {
    const MODE: Mode = Mode::Compute;

    // The place is that of the batch.
    async fn compute(&mut self, lease: Lease, _: Option<Arc<Place>>) -> Ended<Computed<T>> {
        let ended = self.gatherer.compute(lease).await;
        ended.unwrap_or_else(misfit)
    }

    async fn trigger(&mut self) -> Ended<()> {
        misfit()
    }
}

/// What a batch gave, by id.
pub(crate) type Values<T> = HashMap<String, Computed<T>>;

/// Gives each part its own: a value, or the error that is everybody's.
pub(crate) fn share<T>(
    leases: &[Lease],
    ended: Ended<Values<T>>,
    replies: Replies<Ended<Computed<T>>>,
) {
    match ended {
        Ended::Ok(mut values) => {
            let mut part = |id: &str| values.remove(id).map_or_else(missing, Ended::Ok);
            replies.answer(leases.iter().map(|lease| part(lease.key().id())));
        }
        Ended::Failed { error, message } => replies.answer(std::iter::repeat_with(|| {
            let (error, message) = (Arc::clone(&error), Arc::clone(&message));
            Ended::Failed { error, message }
        })),
        Ended::Panicked(message) => replies.answer(std::iter::repeat_with(|| {
            Ended::Panicked(Arc::clone(&message))
        })),
        Ended::TimedOut(after) => {
            replies.answer(std::iter::repeat_with(|| Ended::TimedOut(after)));
        }
    }
}

/// The error of an id for which a batch gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missing;

impl Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the compute of many gave no value for it")
    }
}

impl std::error::Error for Missing {}

fn missing<V>() -> Ended<V> {
    Ended::Failed {
        error: Arc::new(Missing),
        message: Missing.to_string().into(),
    }
}
