//! Making one connection.

use std::sync::Arc;

use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::{ClientLike, EventInterface};
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, Server, TcpConfig,
};
use fred::types::{ConnectHandle, CustomCommand, Message, RespVersion, Value};
use memolock_core::ErrorKind;
use memolock_core::redis::sentinel::{self, Place};
use memolock_core::redis::{Address, Fault, Reply};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::error::fault;
use crate::fence::{Fence, Outcome};
use crate::reply;
use crate::site::{NameWatch, Site};
use crate::url::config;

/// Longer than any process lives: the delay before fred would connect again by itself.
const NEVER_MILLIS: u32 = u32::MAX;

/// Makes connections for one purpose.
pub(crate) struct Dialer {
    site: Arc<Site>,
    suffix: &'static str,
    backlog: usize,
    version: RespVersion,
}

/// One connection: the end that sends, its messages, and its end.
pub(crate) struct Line {
    pub(crate) client: Client,
    pub(crate) messages: Receiver<Message>,
    pub(crate) life: Life,
    /// What it is to be called.
    pub(crate) names: NameWatch,
    /// Where sentinels said that the master is, if they were asked.
    pub(crate) place: Option<Place>,
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
    /// `suffix` tells this connection from the backend's other ones in `CLIENT LIST`; `backlog` is how
    /// many messages may wait to be read.
    pub(crate) fn new(site: &Arc<Site>, suffix: &'static str, backlog: usize) -> Self {
        Self {
            site: Arc::clone(site),
            suffix,
            backlog,
            version: RespVersion::RESP3,
        }
    }

    /// Connects what only hears, and speaks the older protocol: see `tracking`.
    pub(crate) fn for_receiving(mut self) -> Self {
        self.version = RespVersion::RESP2;
        self
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

    /// Connects to where another connection goes, which sentinels have named.
    pub(crate) async fn dial_to(&self, place: Option<&Place>) -> Result<Line, Fault> {
        let Some(place) = place else {
            return self.dial().await;
        };
        let bound = self.site.options.connect_timeout;
        let address = self.address().at_host(place.host(), place.port());
        match tokio::time::timeout(bound, self.connect(&address, Some(place))).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let detail = format!("not connected after {bound:?}");
                Err(Fault::new(ErrorKind::Timeout, detail).at(&address))
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
        let mut config = config(address, self.site.way.tls.as_ref())?;
        config.version = self.version.clone();
        let client = self.client(config);
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
        let mut names = self.site.way.names.of(self.suffix);
        if place.is_some() {
            sign_of_life(&client, true).await?;
        }
        introduce(&client, names.now()).await?;
        Ok(Line {
            client,
            messages,
            life,
            names,
            place: place.cloned(),
        })
    }

    fn client(&self, config: Config) -> Client {
        let options = &self.site.options;
        let performance = PerformanceConfig {
            // The one bound of every command.
            default_command_timeout: options.command_timeout,
            broadcast_channel_capacity: self.backlog,
            ..PerformanceConfig::default()
        };
        let connection = ConnectionConfig {
            connection_timeout: options.connect_timeout,
            internal_command_timeout: options.connect_timeout,
            // By default a command in flight is sent again, twice, over the next connection.
            max_command_attempts: 1,
            tcp: TcpConfig {
                nodelay: Some(true),
                ..TcpConfig::default()
            },
            ..ConnectionConfig::default()
        };
        let policy = ReconnectPolicy::new_constant(0, NEVER_MILLIS);
        Client::new(config, Some(performance), Some(connection), Some(policy))
    }
}

/// What sentinels are asked over.
impl Line {
    pub(crate) async fn subscribe(&mut self, channels: &[&str]) -> Result<(), Fault> {
        let channels: Vec<String> = channels.iter().map(ToString::to_string).collect();
        match Fence::default().subscribe(&self.client, channels).await? {
            Outcome::Done => Ok(()),
            Outcome::Refused(fault) => Err(fault),
        }
    }

    /// The next message on any channel. Cancel-safe.
    pub(crate) async fn message(&mut self) -> Result<Bytes, Fault> {
        loop {
            let message = tokio::select! {
                biased;
                message = self.messages.recv() => message,
                () = self.life.ended() => return Err(Fault::lost()),
            };
            match message {
                Ok(message) => {
                    if let Some(payload) = reply::bytes(message.value) {
                        return Ok(payload);
                    }
                }
                // What was missed was a reason to ask, as whatever comes next is.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err(Fault::lost()),
            }
        }
    }

    pub(crate) async fn ask(&mut self, words: &[&str]) -> Result<Reply, Fault> {
        let [command, args @ ..] = words else {
            return Ok(Reply::Nil);
        };
        let command = CustomCommand::new(*command, None::<u16>, false);
        let args: Vec<Value> = args.iter().map(|word| Value::from(*word)).collect();
        let frame = self.client.custom_raw(command, args).await.map_err(fault)?;
        reply::of_frame(frame)
    }
}

/// Says its name and asks for a sign of life: fred takes a connection that was closed in the
/// middle of its greeting for a good one.
async fn introduce(client: &Client, name: Option<String>) -> Result<(), Fault> {
    if let Some(name) = name {
        // A server that will not be told our name (an ACL, a proxy) serves us all the same.
        set_name(client, name).await.or_else(|fault| match fault {
            fault if fault.is_connection() => Err(fault),
            _ => Ok(()),
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

/// Tells a server what a connection is called.
pub(crate) async fn set_name(client: &Client, name: String) -> Result<(), Fault> {
    let words = vec!["SETNAME".into(), name.into()];
    ask(client, "CLIENT", words).await.map(drop)
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

/// Whether the server knows the commands that run scripts, in one round trip. They are sent without arguments:
/// a server looks for the command first, then at their number, and last at rights, so that nothing is run, denied
/// or logged. Whatever else goes wrong is for those to meet who send something.
pub(crate) async fn knows_scripts(client: &Client) -> Result<(), Fault> {
    let [digest, text] = ["EVALSHA", "EVAL"].map(|verb| ask(client, verb, Vec::new()));
    let (digest, text) = tokio::join!(digest, text);
    let mut faults = [digest, text].into_iter().filter_map(Result::err);
    match faults.find(|fault| *fault == Fault::no_scripts()) {
        Some(fault) => Err(fault),
        None => Ok(()),
    }
}

/// Asks for a sign of life. Any reply is one, an error too; but who is to be a master shall say that it is,
/// unless an ACL forbids the question.
pub(crate) async fn sign_of_life(client: &Client, is_master: bool) -> Result<(), Fault> {
    let command = if is_master { "ROLE" } else { "PING" };
    let command = CustomCommand::new_static(command, None::<u16>, false);
    match client.custom_raw(command, Vec::<Value>::new()).await {
        Ok(frame) => match reply::of_frame(frame) {
            Ok(role) if is_master => sentinel::is_master(&role),
            _ => Ok(()),
        },
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
