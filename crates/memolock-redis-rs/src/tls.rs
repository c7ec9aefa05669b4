//! TLS with rustls: streams, and who is at their other end.

use std::io;
use std::sync::Arc;

use memolock_core::ErrorKind;
use memolock_core::redis::{Fault, TlsOptions};
use memolock_redis_common::{RawTls, client_config};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::of_io;

/// Makes streams that nobody else can read. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    pub(crate) fn new(options: &TlsOptions) -> Result<Self, Fault> {
        client_config(options).map(|config| Self(Arc::new(config)))
    }

    /// The same for streams without a client.
    pub(crate) fn raw(&self) -> RawTls {
        RawTls::from(Arc::clone(&self.0))
    }

    /// Connects, and checks the server's certificate.
    pub(crate) async fn connect(
        &self,
        host: &str,
        port: u16,
    ) -> Result<TlsStream<TcpStream>, Fault> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            let detail = "no certificate can be for such a host";
            Fault::new(ErrorKind::Config, detail)
        })?;
        self.shake(name, host, port).await.map_err(of_io)
    }

    async fn shake(
        &self,
        name: ServerName<'static>,
        host: &str,
        port: u16,
    ) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::clone(&self.0));
        connector.connect(name, stream).await
    }
}
