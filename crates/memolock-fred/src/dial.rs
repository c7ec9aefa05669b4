//! Making one connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fred::clients::{Client, Pipeline};
use fred::interfaces::{AuthInterface, ClientLike, EventInterface};
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, Server, TcpConfig, TlsConnector,
};
use fred::types::{ConnectHandle, CustomCommand, Message, RespVersion, Value};
use memolock_core::ErrorKind;
use memolock_core::redis::{Address, Call, Fault, Options, Reply, sentinel};
use memolock_redis_common::{Owner, Purpose, RawStream, RawTls, Transfers, raw_stream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::command::{asking as after_asking, words};
use crate::error::fault;
use crate::fence::{Fence, Outcome};
use crate::reply;
use crate::session::Session;
use crate::url::config;

/// Longer than any process lives: the delay before fred would connect again by itself.
const NEVER_MILLIS: u32 = u32::MAX;

/// The client, and what it must be told.
#[derive(Clone, Default)]
pub(crate) struct Fred {
    /// Some if the URL says so.
    pub(crate) tls: Option<TlsConnector>,
    /// The same for streams without a client.
    pub(crate) raw_tls: Option<RawTls>,
}

/// One connection: the end that sends, its messages, and its end.
pub(crate) struct Ends {
    pub(crate) client: Client,
    pub(crate) messages: Receiver<Message>,
    pub(crate) life: Life,
    pub(crate) transfers: Arc<Transfers>,
}

/// A connection of this client's.
pub(crate) type Line = memolock_redis_common::Line<Fred>;

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

impl memolock_redis_common::Client for Fred {
    type Ends = Ends;
    const SEES_BYTES: bool = false;

    async fn connect(
        &self,
        address: &Address,
        options: &Options,
        purpose: Purpose,
    ) -> Result<Ends, Fault> {
        let mut config = config(address, self.tls.as_ref())?;
        let logs_in = config.password.is_some();
        // The others: see `tracking`.
        let speaks_resp3 = purpose != Purpose::Changes;
        if !speaks_resp3 {
            config.version = RespVersion::RESP2;
        }
        let client = client(config, options, purpose);
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
                Ok(Err(error)) if logs_in => not_logged_in(error),
                Ok(Err(error)) => fault(error),
                Ok(Ok(())) | Err(_) => Fault::lost(),
            }),
        }
        if logs_in && speaks_resp3 {
            // Inline, as fred writes it, but with nothing in it that anybody chose.
            let hello = client.hello(RespVersion::RESP3, None, None);
            hello.await.map_err(fault)?;
        }
        if let number @ 1.. = address.database() {
            let number = vec![number.to_string().into()];
            ask(&client, "SELECT", number).await?;
        }
        Ok(Ends {
            client,
            messages,
            life,
            transfers: Arc::default(),
        })
    }

    async fn raw_stream(&self, address: &Address) -> io::Result<RawStream> {
        raw_stream(address, self.raw_tls.as_ref()).await
    }

    async fn attend(owner: &Owner<Self>, line: Line) -> Fault {
        Session::new(owner, line).run().await
    }

    fn for_sentinels(&self) -> Self {
        self.clone()
    }
}

impl memolock_redis_common::Ends for Ends {
    type Sender = Client;

    fn sender(&self) -> Client {
        self.client.clone()
    }

    fn transfers(&self) -> Arc<Transfers> {
        Arc::clone(&self.transfers)
    }

    /// fred takes a connection that was closed in the middle of its greeting for a good one, so it is asked.
    async fn greet(&mut self, name: Option<String>) -> Result<(), Fault> {
        introduce(&self.client, name).await
    }

    async fn rename(&mut self, name: String) {
        // Whoever will not be told serves us all the same.
        let _ = set_name(&self.client, name).await;
    }

    async fn sign_of_life(&mut self, is_master: bool) -> Result<(), Fault> {
        sign_of_life(&self.client, is_master).await
    }

    async fn ended(&mut self) -> Fault {
        self.life.ended().await;
        Fault::lost()
    }

    async fn subscribe(&mut self, channels: &[&str]) -> Result<(), Fault> {
        let channels: Vec<String> = channels.iter().map(ToString::to_string).collect();
        match Fence::default().subscribe(&self.client, channels).await? {
            Outcome::Done => Ok(()),
            Outcome::Refused(fault) => Err(fault),
        }
    }

    async fn message(&mut self) -> Result<Bytes, Fault> {
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

    async fn run(client: &mut Client, call: &Call, asking: bool) -> Result<Reply, Fault> {
        let words = words(call.script.text(), call);
        match asking {
            false => ask(client, "EVAL", words).await,
            true => after_asking(client, "EVAL", words).await,
        }
    }

    async fn ask(&mut self, words: &[&str]) -> Result<Reply, Fault> {
        let [command, args @ ..] = words else {
            return Ok(Reply::Nil);
        };
        let command = CustomCommand::new(*command, None::<u16>, false);
        let args: Vec<Value> = args.iter().map(|word| Value::from(*word)).collect();
        let frame = self.client.custom_raw(command, args).await.map_err(fault)?;
        reply::of_frame(frame)
    }
}

/// Why fred's `AUTH` has failed.
// By value, so that it is used as `fault` is.
#[allow(clippy::needless_pass_by_value)]
fn not_logged_in(error: fred::error::Error) -> Fault {
    let said = error.details();
    if said == "Expected string." {
        // What fred makes of a connection that ends before the answer.
        return Fault::lost();
    }
    // A server that knows no users knows no RESP3 either. The other adapter's `HELLO` finds it out.
    match said.contains("wrong number of arguments for 'auth'") {
        true => Fault::no_resp3(said),
        false => fault(error),
    }
}

/// How many messages may wait to be read. fred keeps a slot for each, in each of its eight channels; who falls further
/// behind starts over with a new connection.
fn backlog(purpose: Purpose) -> usize {
    match purpose {
        Purpose::Commands | Purpose::Large | Purpose::Notices => 1,
        Purpose::Subscriptions | Purpose::Changes => 1024,
        // Announcements.
        Purpose::Sentinel => 64,
    }
}

fn client(config: Config, options: &Options, purpose: Purpose) -> Client {
    let performance = PerformanceConfig {
        // The time of commands and of large values depends on the bytes that pass: whoever sends them bounds them.
        default_command_timeout: match purpose {
            Purpose::Commands | Purpose::Large | Purpose::Notices => Duration::ZERO,
            _ => options.command_timeout,
        },
        broadcast_channel_capacity: backlog(purpose),
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
    Ok(heard(&reply, word))
}

/// Sends what `queued` holds, and a word to repeat behind it. An error reply to that word is an error.
pub(crate) async fn enclose(queued: &Pipeline<Client>, word: &str) -> Result<Echo, Fault> {
    let ping = CustomCommand::new_static("PING", None::<u16>, false);
    let _: Value = queued.custom(ping, vec![word]).await.map_err(fault)?;
    let reply = queued.last().await.map_err(fault)?;
    Ok(heard(&reply::of_value(reply), word))
}

/// Over RESP2, who has subscribed is told `pong` before the word.
fn heard(reply: &Reply, word: &str) -> Echo {
    let said = match reply {
        Reply::Array(parts) => parts.last(),
        other => Some(other),
    };
    match said {
        Some(Reply::Bytes(said)) if *said == word => Echo::Heard,
        _ => Echo::Other,
    }
}
