//! What the client itself needs to connect as an address says: for pools of the application's own.

use memolock_core::redis::{Address, Endpoint, Fault};
use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::error::fault;
use crate::url::settings;

/// Where a client of the application's own connects to, and what its connections begin with.
pub(crate) fn of(address: &Address) -> Result<ConnectionInfo, Fault> {
    let place = match address.endpoint().clone() {
        Endpoint::Tcp { host, port } => ConnectionAddr::Tcp(host, port),
        Endpoint::Tls { host, port } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        },
        Endpoint::Unix(path) => ConnectionAddr::Unix(path),
    };
    let info = place.into_connection_info().map_err(fault)?;
    Ok(info
        .set_redis_settings(settings(address))
        // Off by default, and small writes would wait for acknowledgements of earlier ones.
        .set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}
