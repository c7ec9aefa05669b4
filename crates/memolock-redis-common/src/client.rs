//! What is asked of a client library: connections, and what a connection can do.

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use memolock_core::redis::{Address, Call, Fault, Options, Reply};

use crate::dial::Line;
use crate::greeting::RawStream;
use crate::subscriptions::Owner;
use crate::transfers::Transfers;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Commands of callers, multiplexed. The client gives them no bound in time: see [`Patience`](crate::Patience).
    Commands,
    /// Fulfils of large values, one at a time. The client gives them no bound in time: see [`Ends::run`].
    Large,
    /// Notices that are repeated, one command at a time. As [`Large`](Self::Large).
    Notices,
    /// Subscriptions.
    Subscriptions,
    /// Hearing of changes, where subscriptions and that cannot share one.
    Changes,
    /// Listening to a sentinel, and asking it.
    Sentinel,
}

impl Purpose {
    /// What tells it from the backend's other connections in `CLIENT LIST`.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Commands => "",
            Self::Large => "-large",
            Self::Notices => "-repeat",
            Self::Subscriptions => "-sub",
            Self::Changes => "-near",
            Self::Sentinel => "-watch",
        }
    }

    /// For reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Large => "large values",
            Self::Notices => "repeated notices",
            Self::Subscriptions => "subscriptions",
            Self::Changes => "changes",
            Self::Sentinel => "sentinel",
        }
    }
}

/// A client library, and what it must be told besides address and options. Cheap to clone.
pub trait Client: Clone + Send + Sync + 'static {
    /// What it makes.
    type Ends: Ends;

    /// Whether the bytes of large values are seen as they pass: see [`Patience`](crate::Patience).
    const SEES_BYTES: bool;

    /// Connects, authenticates and selects the database. Whoever calls bounds it in time; dropping the future ends
    /// the attempt and leaves nothing behind.
    ///
    /// # Errors
    /// What the client or the server said, without the address.
    fn connect(
        &self,
        address: &Address,
        options: &Options,
        purpose: Purpose,
    ) -> impl Future<Output = Result<Self::Ends, Fault>> + Send;

    /// A stream to there and nothing more, for a question to a server to which no connection could be made.
    ///
    /// # Errors
    /// There is none.
    fn raw_stream(&self, address: &Address) -> impl Future<Output = io::Result<RawStream>> + Send;

    /// One life of the subscription connection: does what the boards of the owner wish, and tells them what comes of it,
    /// until the connection is lost or has to be given up. Returns why; the owner tells of the gap. It is pinged in the
    /// rhythm of the heartbeat, and whenever it is in doubt.
    fn attend(owner: &Owner<Self>, line: Line<Self>) -> impl Future<Output = Fault> + Send;

    /// The same without what is for the server alone, and not for its sentinels.
    fn for_sentinels(&self) -> Self;
}

/// Both ends of one connection: what sends, and what hears. Dropping it ends what hears; the connection ends with the
/// last [`sender`](Self::sender), at the latest.
pub trait Ends: Send + 'static {
    /// The end that sends; its clones share the connection.
    type Sender: Clone + Send + Sync + 'static;

    /// The end that sends.
    fn sender(&self) -> Self::Sender;

    /// What is known of large values on it.
    fn transfers(&self) -> Arc<Transfers>;

    /// Says its name, if it has one, and sees that it is heard. A server that will not be told the name (an ACL, a
    /// proxy) serves us all the same.
    ///
    /// # Errors
    /// The connection is gone, or has to go.
    fn greet(&mut self, name: Option<String>) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Tells the server what the connection is called from now on, if it will be told.
    fn rename(&mut self, name: String) -> impl Future<Output = ()> + Send;

    /// Asks for a sign of life. Any reply is one, an error too; but who is to be a master shall say that it is,
    /// unless an ACL forbids the question. Whoever calls bounds it in time.
    ///
    /// # Errors
    /// The connection is gone, or it is no master.
    fn sign_of_life(&mut self, is_master: bool) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Waits for the connection's end; what is heard meanwhile is nobody's. Cancel-safe.
    fn ended(&mut self) -> impl Future<Output = Fault> + Send;

    /// Subscribes, and waits for the server to confirm.
    ///
    /// # Errors
    /// The server refused, or the connection is gone.
    fn subscribe(&mut self, channels: &[&str]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// The next message on any channel. Cancel-safe.
    ///
    /// # Errors
    /// The connection is gone.
    fn message(&mut self) -> impl Future<Output = Result<Bytes, Fault>> + Send;

    /// Runs a script by its text, behind an `ASKING` if so, and waits for its reply. By the text at once: beside the
    /// values of [`Purpose::Large`] it is short, and they are not sent a second time to a server that has forgotten it.
    ///
    /// # Errors
    /// An error reply, or the connection is gone.
    fn run(
        sender: &mut Self::Sender,
        call: &Call,
        asking: bool,
    ) -> impl Future<Output = Result<Reply, Fault>> + Send;

    /// Sends one command and waits for its reply.
    ///
    /// # Errors
    /// An error reply, or the connection is gone.
    fn ask(&mut self, words: &[&str]) -> impl Future<Output = Result<Reply, Fault>> + Send;
}
