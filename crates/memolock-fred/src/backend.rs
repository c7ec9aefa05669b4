//! The backend: one server, or the nodes of a cluster.

use std::fmt;

use memolock_core::{Backend, BackendError};
use memolock_redis_common::Store;

use crate::builder::FredBackendBuilder;
use crate::command::Commands;

/// A Redis or Valkey server, or a cluster of them, as a [`Backend`]. Cheap to clone; the clones share their
/// connections, two for each server, and with the last of them the connections and their tasks end.
#[derive(Clone)]
pub struct FredBackend(pub(crate) Store<Commands>);

impl FredBackend {
    /// Connects with the default options, and fails fast if that is not possible: within about a
    /// second. For the URL see the [crate's page](crate#urls).
    ///
    /// Cancellation: dropping the future ends the attempt and leaves nothing behind.
    ///
    /// # Errors
    /// As [`FredBackendBuilder::connect`].
    pub async fn connect(url: impl Into<String>) -> Result<Self, BackendError> {
        Self::builder(url).connect().await
    }

    /// Makes the backend with the default options and connects in the background, for ever: a
    /// service can start before its Redis does. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// As [`FredBackendBuilder::connect_lazy`]: only for the URL, or if there is no runtime.
    pub fn connect_lazy(url: impl Into<String>) -> Result<Self, BackendError> {
        Self::builder(url).connect_lazy()
    }

    /// A builder, for other than the default options. The URL is looked at when it connects.
    pub fn builder(url: impl Into<String>) -> FredBackendBuilder {
        FredBackendBuilder::new(url.into())
    }

    /// Waits until no notice is pending that is [to be repeated](FredBackendBuilder::repeat_notice): each was sent, or
    /// dropped. At once where notices are not repeated. For programs that end soon after they have stored a value.
    ///
    /// Cancellation: dropping the future changes nothing.
    pub async fn notices_repeated(&self) {
        self.0.notices_repeated().await;
    }

    /// Waits until the first attempt to connect has ended, which is bounded by itself.
    pub(crate) async fn ready(&self) -> Result<(), BackendError> {
        self.0.ready().await
    }

    fn backend(&self) -> &dyn Backend {
        self.0.backend()
    }
}

memolock_redis_common::forward_backend!(FredBackend);

/// The addresses and the state of the links; never user or password.
impl fmt::Debug for FredBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
