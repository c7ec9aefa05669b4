//! How a flight ended, in a form that every joined caller can share.

use std::sync::Arc;
use std::time::Duration;

use memolock_codec::CodecError;
use memolock_core::{BackendError, Key};

use crate::error::SharedError;
use crate::many::Missing;
use crate::{Error, Memo, RuntimeError, Source};

/// The end of a flight. Cloning copies pointers, never values.
#[derive(Debug)]
pub(crate) enum Settled<T> {
    Value {
        value: Arc<T>,
        source: Source,
    },
    /// Nothing is stored (reads only).
    Absent,
    /// The compute's error, shared by all callers of the flight.
    Failed {
        error: SharedError,
        message: Arc<str>,
    },
    Panicked(Arc<str>),
    /// The compute was cancelled after this time.
    TimedOut(Duration),
    Remote(Arc<str>),
    Backend(BackendError),
    Codec(CodecError),
    Closed,
    /// The home runtime has shut down.
    HomeGone,
}

impl<T> Clone for Settled<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Value { value, source } => Self::Value {
                value: Arc::clone(value),
                source: *source,
            },
            Self::Absent => Self::Absent,
            Self::Failed { error, message } => Self::Failed {
                error: Arc::clone(error),
                message: Arc::clone(message),
            },
            Self::Panicked(message) => Self::Panicked(Arc::clone(message)),
            Self::TimedOut(after) => Self::TimedOut(*after),
            Self::Remote(message) => Self::Remote(Arc::clone(message)),
            Self::Backend(error) => Self::Backend(error.clone()),
            Self::Codec(error) => Self::Codec(error.clone()),
            Self::Closed => Self::Closed,
            Self::HomeGone => Self::HomeGone,
        }
    }
}

impl<T> Settled<T> {
    /// The same end as a joined caller sees it: what the leader computed, it has awaited.
    pub(crate) fn for_joiner(&self) -> Self {
        match self.clone() {
            Self::Value {
                value,
                source: Source::Computed,
            } => Self::Value {
                value,
                source: Source::Awaited,
            },
            other => other,
        }
    }

    /// The result that a caller gets; `None` where nothing is stored.
    pub(crate) fn into_result(self, key: impl FnOnce() -> Key) -> Result<Option<Memo<T>>, Error> {
        Err(match self {
            Self::Value { value, source } => return Ok(Some(Memo::new(value, source))),
            Self::Absent => return Ok(None),
            Self::Failed { error, .. } if error.is::<Missing>() => Error::Missing { key: key() },
            Self::Failed { error, .. } => Error::Compute(error),
            Self::Panicked(message) => Error::Panicked {
                key: key(),
                message: message.to_string(),
            },
            Self::TimedOut(after) => Error::ComputeTimeout { key: key(), after },
            Self::Remote(message) => Error::Remote {
                key: key(),
                message: message.to_string(),
            },
            Self::Backend(error) => error.into(),
            Self::Codec(error) => Error::Codec { key: key(), error },
            Self::Closed => Error::Closed,
            Self::HomeGone => RuntimeError::HomeGone.into(),
        })
    }
}

/// What a flight's work produced in this process, kept until the machine is done with it.
#[derive(Debug)]
pub(crate) enum Product<T> {
    Value(Arc<T>),
    /// Not made now: the last one that this process saw.
    Last(Arc<T>),
    Failed {
        error: SharedError,
        message: Arc<str>,
    },
    Panicked(Arc<str>),
    /// It was cancelled after this time.
    TimedOut(Duration),
}

impl<T> Product<T> {
    /// As its maker gets it, or whoever took over after it was made.
    pub(crate) fn into_settled(self, source: Source) -> Settled<T> {
        match self {
            Self::Value(value) => Settled::Value { value, source },
            Self::Last(value) => Settled::Value {
                value,
                source: Source::Stale,
            },
            Self::Failed { error, message } => Settled::Failed { error, message },
            Self::Panicked(message) => Settled::Panicked(message),
            Self::TimedOut(after) => Settled::TimedOut(after),
        }
    }
}
