//! Making one connection.

use std::time::Duration;

use memolock_core::ErrorKind;
use memolock_core::redis::{Address, Fault, Options};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, PushInfo, PushKind};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::error::fault;
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
    address: Address,
    name: Option<String>,
    connect_timeout: Duration,
    command_timeout: Duration,
}

/// One connection: the end that sends, and the pushes that come back.
pub(crate) struct Line {
    pub(crate) connection: MultiplexedConnection,
    pub(crate) pushes: UnboundedReceiver<PushInfo>,
}

impl Dialer {
    /// `suffix` tells this connection from the backend's other one in `CLIENT LIST`.
    pub(crate) fn new(address: &Address, options: &Options, suffix: &str) -> Result<Self, Fault> {
        Ok(Self {
            client: client(address)?,
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
        let (sender, pushes) = unbounded_channel();
        // The one bound of every command. That of connecting is `dial`'s, for it covers the name too.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(Some(self.command_timeout))
            .set_pipeline_buffer_size(QUEUED_COMMANDS)
            .set_write_backpressure_boundary(WRITE_BYTES)
            .set_push_sender(sender);
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(fault)?;
        // It holds a push sender: as long as it lives, the end of `pushes` tells nothing.
        drop(config);
        if let Some(name) = &self.name {
            let mut command = redis::cmd("CLIENT");
            command.arg("SETNAME").arg(name);
            // A server that will not be told our name (an ACL, a proxy) serves us all the same.
            let answer = connection.send_packed_command(&command).await;
            answer.map_err(fault)?;
        }
        Ok(Line { connection, pushes })
    }
}

/// Whether a push says that the connection is gone. `None` says so too: its driver has ended.
pub(crate) fn is_end(push: Option<&PushInfo>) -> bool {
    push.is_none_or(|push| push.kind == PushKind::Disconnection)
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
