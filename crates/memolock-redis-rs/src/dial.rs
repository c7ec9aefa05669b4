//! Making one connection.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use memolock_core::ErrorKind;
use memolock_core::redis::{Address, Call, Endpoint, Fault, Options, Reply, sentinel};
use memolock_redis_common::{Client, Owner, Purpose, RawStream, Transfers, raw_stream};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, PushKind, Value};

use crate::command::{after_asking, by_text};
use crate::error::{fault, of_io};
use crate::pushes::{self, Pushes};
use crate::reply;
use crate::session::Session;
use crate::stream::{self, Connection, Connector, Stream};
use crate::tls::Tls;
use crate::url::settings;

/// Commands that may queue for the socket before callers wait for room. The library's default of 50
/// makes hundreds of tasks take turns at the queue.
const QUEUED_COMMANDS: usize = 1024;

/// Bytes that may be gathered into one write. The library's default of 8 KiB makes a herd of small
/// commands cost several system calls.
const WRITE_BYTES: usize = 64 * 1024;

/// The client, and how its streams are made.
#[derive(Clone, Default)]
pub(crate) struct Redis {
    /// None: over TCP, or whatever the URL says.
    pub(crate) connector: Option<Connector>,
    /// Some if the URL says so.
    pub(crate) tls: Option<Tls>,
}

/// One connection: the end that sends, and the pushes that come back.
pub(crate) struct Ends {
    pub(crate) connection: Connection,
    pub(crate) pushes: Pushes,
}

/// A connection of this client's.
pub(crate) type Line = memolock_redis_common::Line<Redis>;

impl Client for Redis {
    type Ends = Ends;
    const SEES_BYTES: bool = true;

    async fn connect(
        &self,
        address: &Address,
        options: &Options,
        purpose: Purpose,
    ) -> Result<Ends, Fault> {
        let (sender, pushes) = pushes::channel();
        // The time of commands and of large values depends on the bytes that pass: whoever sends them bounds them. The
        // bound of connecting is the dialer's, for it covers the name too.
        let bound = match purpose {
            Purpose::Commands | Purpose::Large | Purpose::Notices => None,
            _ => Some(options.command_timeout),
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(bound)
            .set_pipeline_buffer_size(QUEUED_COMMANDS)
            .set_write_backpressure_boundary(WRITE_BYTES)
            .set_push_sender(sender);
        // The configuration holds a push sender: as long as it lives, the end of `pushes` tells nothing.
        let connection = self.over(address, config).await?;
        Ok(Ends { connection, pushes })
    }

    async fn raw_stream(&self, address: &Address) -> io::Result<RawStream> {
        match &self.connector {
            Some(connector) => Ok(Box::new(connector.stream().await?)),
            None => raw_stream(address, self.tls.as_ref().map(Tls::raw).as_ref()).await,
        }
    }

    async fn attend(owner: &Owner<Self>, line: Line) -> Fault {
        Session::new(owner, line).run().await
    }

    fn for_sentinels(&self) -> Self {
        Self {
            // Its streams are the master's.
            connector: None,
            ..self.clone()
        }
    }
}

impl Redis {
    async fn over(
        &self,
        address: &Address,
        config: AsyncConnectionConfig,
    ) -> Result<Connection, Fault> {
        let stream: Box<dyn Stream> = match (address.endpoint(), &self.connector, &self.tls) {
            (_, Some(connector), _) => connector.stream().await.map_err(of_io)?,
            (Endpoint::Tls { host, port }, None, Some(tls)) => {
                Box::new(tls.connect(host, *port).await?)
            }
            (endpoint, None, _) => stream::open(endpoint).await?,
        };
        let settings = settings(address);
        let connecting = Connection::over(stream, &settings, config);
        connecting.await.map_err(fault)
    }
}

impl memolock_redis_common::Ends for Ends {
    type Sender = Connection;

    fn sender(&self) -> Connection {
        self.connection.clone()
    }

    fn transfers(&self) -> Arc<Transfers> {
        Arc::clone(self.connection.transfers())
    }

    async fn greet(&mut self, name: Option<String>) -> Result<(), Fault> {
        if let Some(name) = name {
            let answer = self.connection.send_packed_command(&set_name(&name)).await;
            answer.map_err(fault)?;
        }
        Ok(())
    }

    async fn rename(&mut self, name: String) {
        // Whoever will not be told serves us all the same.
        let _ = self.connection.send_packed_command(&set_name(&name)).await;
    }

    async fn sign_of_life(&mut self, is_master: bool) -> Result<(), Fault> {
        sign_of_life(&mut self.connection, is_master).await
    }

    async fn ended(&mut self) -> Fault {
        loop {
            if let Err(fault) = self.pushes.recv().await {
                return fault;
            }
        }
    }

    async fn subscribe(&mut self, channels: &[&str]) -> Result<(), Fault> {
        let outcome = self.connection.subscribe(channels).await;
        outcome.map_err(fault)
    }

    async fn message(&mut self) -> Result<Bytes, Fault> {
        loop {
            let push = self.pushes.recv().await?;
            let payload = push.data.into_iter().nth(1).and_then(reply::bytes);
            if let (PushKind::Message, Some(payload)) = (push.kind, payload) {
                return Ok(payload);
            }
        }
    }

    async fn run(connection: &mut Connection, call: &Call, asking: bool) -> Result<Reply, Fault> {
        let command = by_text(call);
        let answer = match asking {
            false => connection.send_packed_command(&command).await,
            true => after_asking(connection, command).await,
        };
        let answer = answer.and_then(Value::extract_error);
        answer.map(reply::neutral).map_err(fault)
    }

    async fn ask(&mut self, words: &[&str]) -> Result<Reply, Fault> {
        let mut command = Cmd::new();
        command.arg(words);
        let answer = self.connection.send_packed_command(&command).await;
        let answer = answer.and_then(Value::extract_error);
        answer.map(reply::neutral).map_err(fault)
    }
}

/// What tells a server what a connection is called.
pub(crate) fn set_name(name: &str) -> Cmd {
    let mut command = redis::cmd("CLIENT");
    command.arg("SETNAME").arg(name);
    command
}

/// Whether the server knows the commands that run scripts, in one round trip. They are sent without arguments:
/// a server looks for the command first, then at their number, and last at rights, so that nothing is run, denied
/// or logged. Whatever else goes wrong is for those to meet who send something.
pub(crate) async fn knows_scripts(connection: &mut MultiplexedConnection) -> Result<(), Fault> {
    let mut pair = redis::Pipeline::with_capacity(2);
    pair.cmd("EVALSHA").cmd("EVAL");
    let Ok(answers) = connection.send_packed_commands(&pair, 0, 2).await else {
        return Ok(());
    };
    let errors = answers.into_iter().filter_map(|a| a.extract_error().err());
    match errors
        .map(fault)
        .find(|fault| *fault == Fault::no_scripts())
    {
        Some(fault) => Err(fault),
        None => Ok(()),
    }
}

/// Asks for a sign of life. Any reply is one, an error too; but who is to be a master shall say that it is,
/// unless an ACL forbids the question.
pub(crate) async fn sign_of_life(
    connection: &mut MultiplexedConnection,
    is_master: bool,
) -> Result<(), Fault> {
    let command = redis::cmd(if is_master { "ROLE" } else { "PING" });
    match connection.send_packed_command(&command).await {
        Ok(Value::ServerError(_)) => Ok(()),
        Ok(role) if is_master => sentinel::is_master(&reply::neutral(role)),
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
