//! The raw clients, at their best: RESP3 and no delay, as the adapters have them.

use std::time::Duration;

use anyhow::Result;
use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::RespVersion;
use fred::types::config::{Config, ConnectionConfig, TcpConfig};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, IntoConnectionInfo, ProtocolVersion};

/// The `redis` crate's, with its default time-out.
///
/// # Errors
/// If it cannot connect.
pub async fn redis_rs(url: &str) -> Result<MultiplexedConnection> {
    connect(url, AsyncConnectionConfig::new()).await
}

/// The same with this bound for each reply.
///
/// # Errors
/// If it cannot connect.
pub async fn redis_rs_within(url: &str, bound: Duration) -> Result<MultiplexedConnection> {
    connect(
        url,
        AsyncConnectionConfig::new().set_response_timeout(Some(bound)),
    )
    .await
}

async fn connect(url: &str, config: AsyncConnectionConfig) -> Result<MultiplexedConnection> {
    let info = url.into_connection_info()?;
    let settings = info.redis_settings().clone();
    let settings = settings.set_protocol(ProtocolVersion::RESP3);
    let tcp = TcpSettings::default().set_nodelay(true);
    let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
    let client = redis::Client::open(info)?;
    Ok(client
        .get_multiplexed_async_connection_with_config(&config)
        .await?)
}

/// The `fred` crate's.
///
/// # Errors
/// If it cannot connect.
pub async fn fred(url: &str) -> Result<Client> {
    let mut config = Config::from_url(url)?;
    config.version = RespVersion::RESP3;
    let connection = ConnectionConfig {
        tcp: TcpConfig {
            nodelay: Some(true),
            ..TcpConfig::default()
        },
        ..ConnectionConfig::default()
    };
    let client = Client::new(config, None, Some(connection), None);
    client.init().await?;
    Ok(client)
}
