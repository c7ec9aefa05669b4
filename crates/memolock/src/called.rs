//! How a call ended.

use std::time::Duration;

use memolock_core::{Key, KeyError, Phase, Remaining};

use crate::flight::Flight;
use crate::hub::Hub;
use crate::settled::Settled;
use crate::{Error, Memo, RuntimeError};

/// What a call waited for when its time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Late {
    pub(crate) phase: Phase,
    /// For how long the lock stands that it waited for, if that is odd.
    pub(crate) lock: Option<Remaining>,
}

impl Late {
    /// It waited for anything but a holder.
    pub(crate) fn in_phase(phase: Phase) -> Self {
        Self { phase, lock: None }
    }

    /// It shared this flight.
    pub(crate) fn of<T>(flight: &Flight<T>, phase: Phase) -> Self {
        let lock = match phase {
            Phase::Waiting => flight.odd_lock(),
            _ => None,
        };
        Self { phase, lock }
    }
}

/// How a call ended, before it becomes the caller's result. Cloning copies pointers, never values.
pub(crate) enum Called<T> {
    /// A value, or the word that there is none. Nearly all calls end so, and need no name for it.
    Found(Option<Memo<T>>),
    Failed(Settled<T>, Key),
    TimedOut(Key, Late, Duration),
    Refused(KeyError),
    Closed,
    Stranded(RuntimeError),
}

impl<T> Clone for Called<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Found(found) => Self::Found(found.clone()),
            Self::Failed(settled, key) => Self::Failed(settled.clone(), key.clone()),
            Self::TimedOut(key, late, after) => Self::TimedOut(key.clone(), *late, *after),
            Self::Refused(error) => Self::Refused(error.clone()),
            Self::Closed => Self::Closed,
            Self::Stranded(error) => Self::Stranded(*error),
        }
    }
}

impl<T> Called<T> {
    /// It came too late.
    pub(crate) fn closed(hub: &Hub) -> Self {
        match hub.home.is_gone() {
            true => Self::Stranded(RuntimeError::HomeGone),
            false => Self::Closed,
        }
    }

    pub(crate) fn settled(settled: Settled<T>, key: impl FnOnce() -> Key) -> Self {
        match settled {
            Settled::Value { value, source } => Self::Found(Some(Memo::new(value, source))),
            Settled::Absent => Self::Found(None),
            other => Self::Failed(other, key()),
        }
    }

    pub(crate) fn into_result(self) -> Result<Option<Memo<T>>, Error> {
        match self {
            Self::Found(found) => Ok(found),
            Self::Failed(settled, key) => settled.into_result(|| key),
            Self::TimedOut(key, Late { phase, lock }, after) => Err(Error::Timeout {
                key,
                phase,
                after,
                lock,
            }),
            Self::Refused(error) => Err(error.into()),
            Self::Closed => Err(Error::Closed),
            Self::Stranded(error) => Err(error.into()),
        }
    }
}
