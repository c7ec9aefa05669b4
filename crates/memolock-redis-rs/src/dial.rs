//! Making one connection.

use std::time::Duration;

use memolock_core::ErrorKind;
use memolock_core::redis::{Address, Fault, Options};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult};

use crate::error::fault;
use crate::pushes::{self, Pushes};
use crate::stream::{Connection, Connector};
use crate::url::client;

/// Commands that may queue for the socket before callers wait for room. The library's default of 50
/// makes hundreds of tasks take turns at the queue.
const QUEUED_COMMANDS: usize = 1024;

/// Bytes that may be gathered into one write. The library's default of 8 KiB makes a herd of small
/// commands cost several system calls.
const WRITE_BYTES: usize = 64 * 1024;

/// Makes connections for one purpose.
pub(crate) struct Dialer {
    client: redis::Client,
    connector: Option<Connector>,
    address: Address,
    name: Option<String>,
    connect_timeout: Duration,
    command_timeout: Duration,
}

/// One connection: the end that sends, and the pushes that come back.
pub(crate) struct Line {
    pub(crate) connection: Connection,
    pub(crate) pushes: Pushes,
}

impl Dialer {
    /// `suffix` tells this connection from the backend's other one in `CLIENT LIST`.
    pub(crate) fn new(
        address: &Address,
        options: &Options,
        connector: Option<Connector>,
        suffix: &str,
    ) -> Result<Self, Fault> {
        Ok(Self {
            client: client(address)?,
            connector,
            address: address.clone(),
            name: options
                .client_name
                .as_ref()
                .map(|name| format!("{name}{suffix}")),
            connect_timeout: options.connect_timeout,
            command_timeout: options.command_timeout,
        })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Connects, authenticates, selects the database and says its name, all within the bound.
    pub(crate) async fn dial(&self) -> Result<Line, Fault> {
        match tokio::time::timeout(self.connect_timeout, self.connect()).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let detail = format!("not connected after {:?}", self.connect_timeout);
                Err(Fault::new(ErrorKind::Timeout, detail))
            }
        }
        .map_err(|fault| fault.at(&self.address))
    }

    async fn connect(&self) -> Result<Line, Fault> {
        let (sender, pushes) = pushes::channel();
        // The one bound of every command. That of connecting is `dial`'s, for it covers the name too.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(Some(self.command_timeout))
            .set_pipeline_buffer_size(QUEUED_COMMANDS)
            .set_write_backpressure_boundary(WRITE_BYTES)
            .set_push_sender(sender);
        // The configuration holds a push sender: as long as it lives, the end of `pushes` tells nothing.
        let mut connection = self.over(config).await.map_err(fault)?;
        if let Some(name) = &self.name {
            let mut command = redis::cmd("CLIENT");
            command.arg("SETNAME").arg(name);
            // A server that will not be told our name (an ACL, a proxy) serves us all the same.
            let answer = connection.send_packed_command(&command).await;
            answer.map_err(fault)?;
        }
        Ok(Line { connection, pushes })
    }

    async fn over(&self, config: AsyncConnectionConfig) -> RedisResult<Connection> {
        if let Some(connector) = &self.connector {
            let info = self.client.get_connection_info();
            return connector.connect(info.redis_settings(), config).await;
        }
        let client = &self.client;
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        Ok(connection.await?.into())
    }
}

/// Asks for a sign of life. Any reply is one, an error too.
pub(crate) async fn ping(connection: &mut MultiplexedConnection) -> Result<(), Fault> {
    match connection.send_packed_command(&redis::cmd("PING")).await {
        Ok(_) => Ok(()),
        Err(error) => match fault(error) {
            fault if fault.kind() == ErrorKind::Timeout => Err(Fault::new(
                ErrorKind::Timeout,
                "the server does not answer a PING",
            )),
            fault => Err(fault),
        },
    }
}
