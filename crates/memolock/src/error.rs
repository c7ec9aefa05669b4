//! The one error of the front door.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use memolock_codec::CodecError;
use memolock_core::{BackendError, ErrorKind, Key, KeyError, Phase, TagError};

/// Why a call did not return a value. One line each: what failed, on which key, what to do.
///
/// `E` is the error of the caller's own compute; calls that compute nothing have [`Infallible`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Error<E = Infallible> {
    /// The compute (or trigger) returned an error: this caller's own, or that of the caller in this
    /// process whom it had joined, which is why it is shared.
    Compute(Arc<E>),
    /// A joined caller's compute failed with an error of another type than this caller's `E`.
    Joined {
        /// The key.
        key: Key,
        /// The other error's message.
        message: String,
    },
    /// The compute panicked. The panic was caught, the lease released, and nothing is poisoned.
    Panicked {
        /// The key.
        key: Key,
        /// The panic's message, where it has one.
        message: String,
    },
    /// A compute of many ([`Memolock::get_or_compute_many`](crate::Memolock::get_or_compute_many)), this
    /// caller's own or the one that it had joined, gave no value for this id.
    Missing {
        /// The key.
        key: Key,
    },
    /// A holder elsewhere failed, and failures are shared
    /// ([`FailurePolicy::Share`](memolock_core::FailurePolicy::Share)), or an external program said so.
    Remote {
        /// The key.
        key: Key,
        /// What the holder said.
        message: String,
    },
    /// The store failed, and there was no working around it.
    Backend(BackendError),
    /// What is stored cannot be decoded, or a value cannot be encoded.
    Codec {
        /// The key.
        key: Key,
        /// What the codec said.
        error: CodecError,
    },
    /// The wait time-out passed. Work under way elsewhere goes on.
    Timeout {
        /// The key.
        key: Key,
        /// What the call was waiting for.
        phase: Phase,
        /// The wait time-out.
        after: Duration,
    },
    /// The lease is not ours any more: it expired, or somebody invalidated or put the value.
    LeaseLost {
        /// The key.
        key: Key,
    },
    /// The client was closed.
    Closed,
    /// The id cannot be used.
    Key(KeyError),
    /// A setting of the builder cannot be used.
    Config(String),
}

impl<E> Error<E> {
    /// Whether the same call may succeed later without anybody changing anything. For a compute's own
    /// error that is the caller's to judge: it answers false.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Backend(error) => error.is_retryable(),
            Self::Timeout { .. } | Self::LeaseLost { .. } | Self::Remote { .. } => true,
            _ => false,
        }
    }

    /// The compute's own error, if it was that.
    #[must_use]
    pub fn as_compute(&self) -> Option<&E> {
        match self {
            Self::Compute(error) => Some(error),
            _ => None,
        }
    }
}

impl Error {
    /// The same error where a compute's error type is expected, so that `get` and `get_or_compute` can
    /// be used side by side: `likes.get(id).await.map_err(Error::widen)?`.
    #[must_use]
    pub fn widen<E>(self) -> Error<E> {
        match self {
            Self::Compute(never) => match *never {},
            Self::Joined { key, message } => Error::Joined { key, message },
            Self::Panicked { key, message } => Error::Panicked { key, message },
            Self::Missing { key } => Error::Missing { key },
            Self::Remote { key, message } => Error::Remote { key, message },
            Self::Backend(error) => Error::Backend(error),
            Self::Codec { key, error } => Error::Codec { key, error },
            Self::Timeout { key, phase, after } => Error::Timeout { key, phase, after },
            Self::LeaseLost { key } => Error::LeaseLost { key },
            Self::Closed => Error::Closed,
            Self::Key(error) => Error::Key(error),
            Self::Config(what) => Error::Config(what),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compute(error) => error.fmt(f),
            Self::Joined { key, message } => {
                write!(f, "another caller's compute of {key} failed: {message}")
            }
            Self::Panicked { key, message } => {
                write!(f, "the compute of {key} panicked: {message}")
            }
            Self::Missing { key } => write!(
                f,
                "the compute of many gave no value for {key}: give one for each id, or make its type an Option"
            ),
            Self::Remote { key, message } if message.is_empty() => {
                write!(f, "the holder of {key} elsewhere failed without saying why")
            }
            Self::Remote { key, message } => {
                write!(f, "the holder of {key} elsewhere failed: {message}")
            }
            Self::Backend(error) => error.fmt(f),
            Self::Codec { key, error } => write!(
                f,
                "{error} at {key}: invalidate it, or choose another tag or codec"
            ),
            Self::Timeout { key, phase, after } => write!(
                f,
                "no value for {key} within {after:?} (while {phase}): wait longer, or see who holds the lock with inspect"
            ),
            Self::LeaseLost { key } => write!(
                f,
                "the lease on {key} is lost: it expired, or the value was put or invalidated meanwhile"
            ),
            Self::Closed => f.write_str("the memolock is closed"),
            Self::Key(error) => error.fmt(f),
            Self::Config(what) => write!(f, "unusable setting: {what}"),
        }
    }
}

// No `source`: each variant's text says all of its cause already, and reporters would print it twice.
impl<E: fmt::Debug + fmt::Display> std::error::Error for Error<E> {}

impl<E> From<BackendError> for Error<E> {
    fn from(error: BackendError) -> Self {
        match error.kind() {
            ErrorKind::Closed => Self::Closed,
            _ => Self::Backend(error),
        }
    }
}

impl<E> From<KeyError> for Error<E> {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl<E> From<TagError> for Error<E> {
    fn from(error: TagError) -> Self {
        Self::Config(error.to_string())
    }
}
