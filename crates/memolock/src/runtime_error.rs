//! What is wrong with the tokio runtimes of a call.

use std::fmt;

/// Why a call has no tokio runtime to work on: see [`Error::Runtime`](crate::Error::Runtime).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The call was made outside of any runtime, so it has no timers.
    Outside,
    /// The [home runtime](crate::Builder::runtime) has shut down: nothing can renew leases or clean up any more.
    HomeGone,
    /// The caller's runtime, on which a detached call ran, has shut down, and has dropped it.
    CallerGone,
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Outside => "there is no tokio runtime here: make the call within one",
            Self::HomeGone => {
                "the home runtime of the memolock has shut down: build it on a runtime that outlives it, or give one to Builder::runtime"
            }
            Self::CallerGone => {
                "the runtime on which the detached call ran has shut down: await it on a runtime that lives longer"
            }
        })
    }
}

impl std::error::Error for RuntimeError {}
