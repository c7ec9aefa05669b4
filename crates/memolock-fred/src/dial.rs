//! Making one connection.

use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::{ClientLike, EventInterface};
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, Server, TcpConfig,
};
use fred::types::{ConnectHandle, CustomCommand, Message, RespVersion, Value};
use memolock_core::ErrorKind;
use memolock_core::redis::{Address, Fault, Options, Reply};
use tokio::sync::broadcast::Receiver;

use crate::error::fault;
use crate::reply;
use crate::url::config;

/// Longer than any process lives: the delay before fred would connect again by itself.
const NEVER_MILLIS: u32 = u32::MAX;

/// Makes connections for one purpose.
pub(crate) struct Dialer {
    config: Config,
    address: Address,
    name: Option<String>,
    backlog: usize,
    connect_timeout: Duration,
    command_timeout: Duration,
}

/// One connection: the end that sends, its messages, and its end.
pub(crate) struct Line {
    pub(crate) client: Client,
    pub(crate) messages: Receiver<Message>,
    pub(crate) life: Life,
}

/// A connection's life. Dropping it ends the connection, fails what is in flight, and everything
/// that is sent later fails at once.
///
/// fred's task, left to itself, ends badly: without a reconnect policy it stops and leaves its queue
/// open, so that a command sent afterwards waits for its time-out; with one, it holds commands back
/// while it reconnects. So it is given a policy whose first delay never passes. When a connection
/// breaks it fails what is in flight, says so, and sleeps until it is aborted here, which closes the
/// queue.
pub(crate) struct Life {
    task: ConnectHandle,
    errors: Receiver<(fred::error::Error, Option<Server>)>,
}

impl Life {
    /// Waits for the connection's end. Cancel-safe; not to be called again after it.
    pub(crate) async fn ended(&mut self) {
        tokio::select! {
            _ = &mut self.task => {}
            // Whatever it says, it says it of a connection that is gone.
            _ = self.errors.recv() => {}
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Dialer {
    /// `suffix` tells this connection from the backend's other one in `CLIENT LIST`; `backlog` is how
    /// many messages may wait to be read.
    pub(crate) fn new(
        address: &Address,
        options: &Options,
        suffix: &str,
        backlog: usize,
    ) -> Result<Self, Fault> {
        Ok(Self {
            config: config(address)?,
            address: address.clone(),
            name: options
                .client_name
                .as_ref()
                .map(|name| format!("{name}{suffix}")),
            backlog,
            connect_timeout: options.connect_timeout,
            command_timeout: options.command_timeout,
        })
    }

    /// Connects what only hears, and speaks the older protocol: see `tracking`.
    pub(crate) fn for_receiving(mut self) -> Self {
        self.config.version = RespVersion::RESP2;
        self
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
        let client = self.client();
        let messages = client.message_rx();
        let mut connected = client.reconnect_rx();
        let errors = client.error_rx();
        let task = client.connect();
        let mut life = Life { task, errors };
        // `init` would do the same, and leave its task behind if it is dropped while it waits.
        tokio::select! {
            biased;
            Ok(_) = connected.recv() => {}
            outcome = &mut life.task => return Err(match outcome {
                Ok(Err(error)) => fault(error),
                Ok(Ok(())) | Err(_) => Fault::lost(),
            }),
        }
        self.introduce(&client).await?;
        Ok(Line {
            client,
            messages,
            life,
        })
    }

    fn client(&self) -> Client {
        let performance = PerformanceConfig {
            // The one bound of every command.
            default_command_timeout: self.command_timeout,
            broadcast_channel_capacity: self.backlog,
            ..PerformanceConfig::default()
        };
        let connection = ConnectionConfig {
            connection_timeout: self.connect_timeout,
            internal_command_timeout: self.connect_timeout,
            // By default a command in flight is sent again, twice, over the next connection.
            max_command_attempts: 1,
            tcp: TcpConfig {
                nodelay: Some(true),
                ..TcpConfig::default()
            },
            ..ConnectionConfig::default()
        };
        let policy = ReconnectPolicy::new_constant(0, NEVER_MILLIS);
        let config = self.config.clone();
        Client::new(config, Some(performance), Some(connection), Some(policy))
    }

    /// Says its name and asks for a sign of life: fred takes a connection that was closed in the
    /// middle of its greeting for a good one.
    async fn introduce(&self, client: &Client) -> Result<(), Fault> {
        if let Some(name) = &self.name {
            let args = vec!["SETNAME".into(), name.into()];
            let named = ask(client, "CLIENT", args).await;
            // A server that will not be told our name (an ACL, a proxy) serves us all the same.
            named.or_else(|fault| match fault.kind() {
                ErrorKind::Unavailable | ErrorKind::Timeout => Err(fault),
                _ => Ok(Reply::Nil),
            })?;
        }
        match echo(client, "hello").await? {
            Echo::Heard => Ok(()),
            Echo::Other => Err(Fault::new(
                ErrorKind::Protocol,
                "what is there does not speak as a Redis does",
            )),
        }
    }
}

/// Sends a command that is not fred's own, and reads what came back as it is.
pub(crate) async fn ask(
    client: &Client,
    command: &'static str,
    args: Vec<Value>,
) -> Result<Reply, Fault> {
    let command = CustomCommand::new_static(command, None::<u16>, false);
    let frame = client.custom_raw(command, args).await.map_err(fault)?;
    reply::of_frame(frame)
}

/// Asks for a sign of life. Any reply is one, an error too.
pub(crate) async fn ping(client: &Client) -> Result<(), Fault> {
    let command = CustomCommand::new_static("PING", None::<u16>, false);
    match client.custom_raw::<Value>(command, Vec::new()).await {
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

/// What came back for a word.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    /// The word itself.
    Heard,
    /// Something else.
    Other,
}

/// Has the server repeat a word. An error reply is an error.
pub(crate) async fn echo(client: &Client, word: &str) -> Result<Echo, Fault> {
    let reply = ask(client, "PING", vec![word.into()]).await?;
    Ok(
        match reply == Reply::Bytes(Bytes::copy_from_slice(word.as_bytes())) {
            true => Echo::Heard,
            false => Echo::Other,
        },
    )
}
