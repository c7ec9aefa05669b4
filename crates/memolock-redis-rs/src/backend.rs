//! The backend: one server, or the nodes of a cluster.

use std::fmt;

#[cfg(feature = "deadpool")]
use memolock_core::redis::{Address, Fault, Topology};
use memolock_core::{Backend, BackendError};
#[cfg(feature = "deadpool")]
use memolock_core::{ErrorKind, Operation};
use memolock_redis_common::Store;

use crate::builder::RedisBackendBuilder;
use crate::road::Road;

/// A Redis or Valkey server, or a cluster of them, as a [`Backend`]. Cheap to clone; the clones share their
/// connections, two for each server, and with the last of them the connections and their tasks end.
#[derive(Clone)]
pub struct RedisBackend(pub(crate) Store<Road>);

impl RedisBackend {
    /// Connects with the default options, and fails fast if that is not possible: within about a
    /// second. For the URL see the [crate's page](crate#urls).
    ///
    /// Cancellation: dropping the future ends the attempt and leaves nothing behind.
    ///
    /// # Errors
    /// As [`RedisBackendBuilder::connect`].
    pub async fn connect(url: impl Into<String>) -> Result<Self, BackendError> {
        Self::builder(url).connect().await
    }

    /// Makes the backend with the default options and connects in the background, for ever: a
    /// service can start before its Redis does. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// As [`RedisBackendBuilder::connect_lazy`]: only for the URL, or if there is no runtime.
    pub fn connect_lazy(url: impl Into<String>) -> Result<Self, BackendError> {
        Self::builder(url).connect_lazy()
    }

    /// A builder, for other than the default options. The URL is looked at when it connects.
    pub fn builder(url: impl Into<String>) -> RedisBackendBuilder {
        RedisBackendBuilder::new(url.into())
    }

    /// What the `redis` crate needs to connect as this URL says: for a pool of connections that is to be
    /// [lent](RedisBackendBuilder::pool). Do not let the crate read the URL itself: it logs in a user without a password
    /// as the default user, and it ignores `?db=2`.
    ///
    /// ```no_run
    /// # use memolock_redis_rs::RedisBackend;
    /// # use memolock_redis_rs::deadpool_redis::{Manager, Pool, Runtime};
    /// # async fn example(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = Manager::new(RedisBackend::connection_info(url)?)?;
    /// let pool = Pool::builder(manager).runtime(Runtime::Tokio1).build()?;
    /// let backend = RedisBackend::builder(url).pool(pool).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Config`](memolock_core::ErrorKind::Config) for a URL that cannot be read, and for one of a cluster or of
    /// sentinels: a pool leads to one server.
    #[cfg(feature = "deadpool")]
    pub fn connection_info(url: &str) -> Result<redis::ConnectionInfo, BackendError> {
        let info = Address::parse(url).and_then(|address| match address.topology() {
            Topology::Single => crate::connection_info::of(&address),
            Topology::Cluster | Topology::Sentinel { .. } => {
                let detail = "a pool leads to one server: use redis://";
                Err(Fault::new(ErrorKind::Config, detail))
            }
        });
        info.map_err(|fault| fault.outward(Operation::Connect))
    }

    /// Waits until no notice is pending that is [to be repeated](RedisBackendBuilder::repeat_notice): each was sent, or
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

memolock_redis_common::forward_backend!(RedisBackend);

/// The addresses and the state of the links; never user or password.
impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
