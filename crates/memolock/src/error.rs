//! The one error of the front door.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use memolock_codec::CodecError;
use memolock_core::{BackendError, ErrorKind, Key, KeyError, Phase, Remaining, TagError};

use crate::RuntimeError;

/// What a compute or a trigger fails with, before memolock shares it.
///
/// Every type that implements [`std::error::Error`] converts into it, and so do `String`, `&str`, `anyhow::Error` and a
/// `Box<dyn Error + Send + Sync>`. That is the bound of each closure: `E: Into<BoxError>`.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A compute's error as all callers of one flight share it.
pub(crate) type SharedError = Arc<dyn StdError + Send + Sync>;

/// Why a call did not return a value. One line each: what failed, on which key, what to do.
///
/// It is one type for all calls, whatever their computes fail with, so one `From<memolock::Error>` converts the errors
/// of [`get`](crate::Memolock::get), [`invalidate`](crate::Memolock::invalidate) and
/// [`get_or_compute`](crate::Memolock::get_or_compute) into an application's own error. The compute's error is in
/// [`Error::Compute`], and [`as_compute`](Error::as_compute) gives it back with its type.
///
/// The text of an error says all that memolock knows. [`source`](StdError::source) continues where the text ends: it is the source of
/// the compute's error, so that reporters print each cause once.
///
/// ```
/// # use memolock::{Memolock, memory::MemoryBackend};
/// #[derive(Debug, thiserror::Error)]
/// enum AppError {
///     #[error("cache: {0}")]
///     Memolock(#[from] memolock::Error),
/// }
///
/// # type Db = Result<u64, std::num::ParseIntError>;
/// async fn likes_of(likes: &Memolock<u64>, user: &str) -> Result<u64, AppError> {
///     likes.invalidate(user).await?;
///     let count = likes.get_or_compute(user, |_lease| async { "42".parse() as Db }).await?;
///     Ok(*count)
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), AppError> {
/// # let likes: Memolock<u64> = Memolock::builder("likes", MemoryBackend::new()).build().await?;
/// # assert_eq!(likes_of(&likes, "kristoff").await?, 42);
/// # likes.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The compute (or trigger) returned an error: this caller's own, or that of the caller in this
    /// process that it had joined. All callers of the flight share it.
    ///
    /// Its text and its sources are those of the compute's error.
    Compute(Arc<dyn StdError + Send + Sync>),
    /// The compute panicked. The panic was caught, the lease released, and nothing is poisoned.
    Panicked {
        /// The key.
        key: Key,
        /// The panic's message, where it has one.
        message: String,
    },
    /// The compute (or trigger) took longer than `compute_timeout`
    /// ([`Builder::compute_timeout`](crate::Builder::compute_timeout)). It was cancelled, and its lease released.
    ComputeTimeout {
        /// The key.
        key: Key,
        /// The limit.
        after: Duration,
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
        /// The remaining time of the lock that the call waited for, if it is more than a day or for ever; else `None`.
        /// memolock never takes such a lock. A client of 2019 may: no caller can compute until the lock is deleted.
        lock: Option<Remaining>,
    },
    /// The lease is not ours any more: it expired, or somebody invalidated or put the value.
    LeaseLost {
        /// The key.
        key: Key,
    },
    /// The client was closed.
    Closed,
    /// There is no tokio runtime to work on.
    Runtime(RuntimeError),
    /// The id cannot be used.
    Key(KeyError),
    /// A setting of the builder, or of one call, cannot be used.
    Config(String),
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything. For a compute's own
    /// error that is the caller's to judge: it answers false.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Backend(error) => error.is_retryable(),
            Self::Timeout { .. }
            | Self::ComputeTimeout { .. }
            | Self::LeaseLost { .. }
            | Self::Remote { .. } => true,
            _ => false,
        }
    }

    /// The compute's own error, if the call failed with one and its type is `E`.
    ///
    /// It is found where `E` implements [`std::error::Error`]. A `String` or `&str` has become a type without a name: use its text.
    /// An `anyhow::Error` gives its causes, by [`source`](StdError::source).
    #[must_use]
    pub fn as_compute<E: StdError + 'static>(&self) -> Option<&E> {
        match self {
            Self::Compute(error) => error.downcast_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compute(error) => error.fmt(f),
            Self::Panicked { key, message } => {
                write!(f, "the compute of {key} panicked: {message}")
            }
            Self::ComputeTimeout { key, after } => write!(
                f,
                "the compute of {key} took longer than {after:?} and was cancelled: give it more time with compute_timeout, or find out why it hangs"
            ),
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
            Self::Timeout {
                key,
                phase,
                after,
                lock: Some(lock),
            } => {
                write!(f, "no value for {key} within {after:?} (while {phase}): ")?;
                f.write_str(&lock.odd_for_a_lock().unwrap_or_default())
            }
            Self::Timeout {
                key, phase, after, ..
            } => write!(
                f,
                "no value for {key} within {after:?} (while {phase}): raise wait_timeout, or see who holds the lock with inspect"
            ),
            Self::LeaseLost { key } => write!(
                f,
                "the lease on {key} is lost: it expired, or the value was put or invalidated meanwhile"
            ),
            Self::Closed => f.write_str("the memolock is closed"),
            Self::Runtime(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::Config(what) => write!(f, "unusable setting: {what}"),
        }
    }
}

impl StdError for Error {
    /// The text of an error contains that of what it wraps, so the chain continues with the source of that.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Compute(error) => error.source(),
            Self::Backend(error) => error.source(),
            Self::Codec { error, .. } => error.source(),
            Self::Key(error) => error.source(),
            _ => None,
        }
    }
}

impl From<BackendError> for Error {
    fn from(error: BackendError) -> Self {
        match error.kind() {
            ErrorKind::Closed => Self::Closed,
            _ => Self::Backend(error),
        }
    }
}

impl From<RuntimeError> for Error {
    fn from(error: RuntimeError) -> Self {
        Self::Runtime(error)
    }
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<TagError> for Error {
    fn from(error: TagError) -> Self {
        Self::Config(error.to_string())
    }
}
