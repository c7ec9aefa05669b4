//! Making one connection.

use std::sync::Arc;

use bytes::Bytes;
use memolock_core::ErrorKind;
use memolock_core::redis::sentinel::{self, Place};
use memolock_core::redis::{Address, Endpoint, Fault, Reply};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, PushKind, Value};

use crate::error::fault;
use crate::pushes::{self, Pushes};
use crate::reply;
use crate::site::{NameWatch, Site};
use crate::stream::Connection;
use crate::url::{client, settings};

/// Commands that may queue for the socket before callers wait for room. The library's default of 50
/// makes hundreds of tasks take turns at the queue.
const QUEUED_COMMANDS: usize = 1024;

/// Bytes that may be gathered into one write. The library's default of 8 KiB makes a herd of small
/// commands cost several system calls.
const WRITE_BYTES: usize = 64 * 1024;

/// Makes connections for one purpose.
pub(crate) struct Dialer {
    site: Arc<Site>,
    suffix: &'static str,
}

/// One connection: the end that sends, and the pushes that come back.
pub(crate) struct Line {
    pub(crate) connection: Connection,
    pub(crate) pushes: Pushes,
    /// What it is to be called.
    pub(crate) names: NameWatch,
    /// Where sentinels said that the master is, if they were asked.
    pub(crate) place: Option<Place>,
}

impl Dialer {
    /// `suffix` tells this connection from the backend's other one in `CLIENT LIST`.
    pub(crate) fn new(site: &Arc<Site>, suffix: &'static str) -> Self {
        let site = Arc::clone(site);
        Self { site, suffix }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.site.address
    }

    /// Finds the server, connects, authenticates, selects the database and says its name, all within
    /// the bound.
    pub(crate) async fn dial(&self) -> Result<Line, Fault> {
        let bound = self.site.options.connect_timeout;
        match tokio::time::timeout(bound, self.find()).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let detail = format!("not connected after {bound:?}");
                Err(Fault::new(ErrorKind::Timeout, detail).at(self.address()))
            }
        }
    }

    /// Waits until a server is no more the one to be connected to.
    pub(crate) async fn deposed(&self, place: Option<&Place>) -> Fault {
        match (&self.site.sentinels, place) {
            (Some(sentinels), Some(place)) => sentinels.moved_from(place).await,
            _ => std::future::pending().await,
        }
    }

    /// Waits until there is a reason to try again at once.
    pub(crate) async fn news(&self) {
        match &self.site.sentinels {
            Some(sentinels) => sentinels.news().await,
            None => std::future::pending().await,
        }
    }

    async fn find(&self) -> Result<Line, Fault> {
        let Some(sentinels) = &self.site.sentinels else {
            return self.connect(self.address(), None).await;
        };
        let place = sentinels.resolve().await?;
        let address = self.address().at_host(place.host(), place.port());
        tokio::select! {
            biased;
            fault = sentinels.moved_from(&place) => Err(fault.at(&address)),
            line = self.connect(&address, Some(&place)) => line,
        }
    }

    async fn connect(&self, address: &Address, place: Option<&Place>) -> Result<Line, Fault> {
        let address = self.site.identify(address).await?;
        let line = self.open(&address, place).await;
        line.map_err(|fault| fault.at(&address))
    }

    async fn open(&self, address: &Address, place: Option<&Place>) -> Result<Line, Fault> {
        let (sender, pushes) = pushes::channel();
        // The one bound of every command. That of connecting is `dial`'s, for it covers the name too.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(Some(self.site.options.command_timeout))
            .set_pipeline_buffer_size(QUEUED_COMMANDS)
            .set_write_backpressure_boundary(WRITE_BYTES)
            .set_push_sender(sender);
        // The configuration holds a push sender: as long as it lives, the end of `pushes` tells nothing.
        let mut line = Line {
            connection: self.over(address, config).await?,
            pushes,
            names: self.site.way.names.of(self.suffix),
            place: place.cloned(),
        };
        if place.is_some() {
            sign_of_life(&mut line.connection, true).await?;
        }
        if let Some(name) = line.names.now() {
            // A server that will not be told our name (an ACL, a proxy) serves us all the same.
            let answer = line.connection.send_packed_command(&set_name(&name)).await;
            answer.map_err(fault)?;
        }
        Ok(line)
    }

    async fn over(
        &self,
        address: &Address,
        config: AsyncConnectionConfig,
    ) -> Result<Connection, Fault> {
        if let Some(connector) = &self.site.way.connector {
            let settings = settings(address);
            let connecting = connector.connect(&settings, config);
            return connecting.await.map_err(fault);
        }
        if let (Endpoint::Tls { host, port }, Some(tls)) = (address.endpoint(), &self.site.way.tls)
        {
            let stream = tls.connect(host, *port).await?;
            let settings = settings(address);
            let connecting = Connection::over(stream, &settings, config);
            return connecting.await.map_err(fault);
        }
        let client = client(address)?;
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        Ok(connecting.await.map_err(fault)?.into())
    }
}

/// What sentinels are asked over.
impl Line {
    pub(crate) async fn subscribe(&mut self, channels: &[&str]) -> Result<(), Fault> {
        let outcome = self.connection.subscribe(channels).await;
        outcome.map_err(fault)
    }

    /// The next message on any channel. Cancel-safe.
    pub(crate) async fn message(&mut self) -> Result<Bytes, Fault> {
        loop {
            let push = self.pushes.recv().await?;
            let payload = push.data.into_iter().nth(1).and_then(reply::bytes);
            if let (PushKind::Message, Some(payload)) = (push.kind, payload) {
                return Ok(payload);
            }
        }
    }

    pub(crate) async fn ask(&mut self, words: &[&str]) -> Result<Reply, Fault> {
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
