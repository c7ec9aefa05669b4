//! Streams that the application makes, or TLS, in place of the client's own.

use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;

use memolock_redis_common::RawStream;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisResult};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;

/// What the client needs of a stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Makes a stream to the server whenever one is wanted.
#[derive(Clone)]
pub(crate) struct Connector(Arc<dyn Fn() -> Connecting + Send + Sync>);

impl Connector {
    pub(crate) fn new<F, Fut, S>(connect: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self(Arc::new(move || {
            let connecting = connect();
            Box::pin(async move { Ok(Box::new(connecting.await?) as Box<dyn Stream>) })
        }))
    }

    /// A new stream, and nothing more.
    pub(crate) async fn stream(&self) -> io::Result<RawStream> {
        Ok(Box::new((self.0)().await?))
    }

    /// A connection over a new stream, authenticated and all.
    pub(crate) async fn connect(
        &self,
        settings: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> RedisResult<Connection> {
        let stream = (self.0)().await?;
        Connection::over(stream, settings, config).await
    }
}

/// A connection and whoever drives it: the client sees to that itself, unless the stream is not its own.
#[derive(Clone)]
pub(crate) struct Connection {
    inner: MultiplexedConnection,
    _driver: Option<Arc<Driver>>,
}

impl Connection {
    /// Over a stream that the client did not make.
    pub(crate) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        settings: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> RedisResult<Self> {
        let (inner, driver) =
            MultiplexedConnection::new_with_config(settings, stream, config).await?;
        let driver = Driver(tokio::spawn(driver).abort_handle());
        Ok(Self {
            inner,
            _driver: Some(Arc::new(driver)),
        })
    }
}

impl From<MultiplexedConnection> for Connection {
    fn from(inner: MultiplexedConnection) -> Self {
        Self {
            inner,
            _driver: None,
        }
    }
}

impl Deref for Connection {
    type Target = MultiplexedConnection;

    fn deref(&self) -> &MultiplexedConnection {
        &self.inner
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut MultiplexedConnection {
        &mut self.inner
    }
}

/// Ends with the last clone of its connection, as the client's own does: else a command that is never
/// answered would keep the stream open.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}
