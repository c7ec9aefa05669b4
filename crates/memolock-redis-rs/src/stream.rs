//! Streams, in place of the client's own: what passes over ours is seen, and applications can make theirs.

use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::select_ok;
use memolock_core::ErrorKind;
use memolock_core::redis::{Endpoint, Fault};
use memolock_redis_common::{Transfers, Watched};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisResult};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::error::of_io;

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
    pub(crate) async fn stream(&self) -> io::Result<Box<dyn Stream>> {
        (self.0)().await
    }
}

/// A stream without TLS to there, by the first of its addresses that answers.
pub(crate) async fn open(endpoint: &Endpoint) -> Result<Box<dyn Stream>, Fault> {
    match endpoint {
        Endpoint::Tcp { host, port } => Ok(Box::new(tcp(host, *port).await.map_err(of_io)?)),
        #[cfg(unix)]
        Endpoint::Unix(path) => {
            let stream = tokio::net::UnixStream::connect(path).await;
            Ok(Box::new(stream.map_err(of_io)?))
        }
        _ => Err(Fault::new(
            ErrorKind::Config,
            "no connection of this kind can be made here",
        )),
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = tokio::net::lookup_host((host, port)).await?;
    let attempts: Vec<_> = addresses
        .map(|address| Box::pin(TcpStream::connect(address)))
        .collect();
    if attempts.is_empty() {
        let detail = format!("no address found for host {host}");
        return Err(io::Error::new(io::ErrorKind::NotFound, detail));
    }
    let (stream, _) = select_ok(attempts).await?;
    // Small writes would wait for acknowledgements of earlier ones.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection, whoever drives it, and what passes over it.
#[derive(Clone)]
pub(crate) struct Connection {
    inner: MultiplexedConnection,
    transfers: Arc<Transfers>,
    _driver: Arc<Driver>,
}

impl Connection {
    /// Over a stream that the client did not make.
    pub(crate) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        settings: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> RedisResult<Self> {
        let transfers = Arc::default();
        let stream = Watched::new(stream, &transfers);
        let (inner, driver) =
            MultiplexedConnection::new_with_config(settings, stream, config).await?;
        let driver = Driver(tokio::spawn(driver).abort_handle());
        Ok(Self {
            inner,
            transfers,
            _driver: Arc::new(driver),
        })
    }

    /// What is known of large values on it.
    pub(crate) fn transfers(&self) -> &Arc<Transfers> {
        &self.transfers
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
