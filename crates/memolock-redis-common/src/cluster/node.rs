//! What the router needs of one server.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use memolock_core::redis::{Address, Call, Fault, Reply};
use memolock_core::{BackendError, BackendStats, Key, Keyspace, Listener, Tag, Tracker};

/// What is sent to a node.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    /// A command, word by word.
    Words(&'a [Bytes]),
    /// A script: by its digest, and by its text if the server has forgotten it.
    Call(&'a Call),
}

/// One server, with all that an adapter has for a single one. Dropping it ends it.
pub trait Node: Send + Sync + 'static {
    /// Sends it and waits for the answer, within the bound of a command. An error reply is an error; the fault carries
    /// its redirection. It is never sent twice, but for a script that the server has forgotten. With `asking`, an
    /// `ASKING` goes before it in the same write, so that nobody's command comes between.
    fn ask(
        &self,
        request: Request<'_>,
        asking: bool,
    ) -> impl Future<Output = Result<Reply, Fault>> + Send;

    /// Whether it knows the commands that run scripts, once its first attempt to connect has ended. Any other
    /// failure is none here.
    fn knows_scripts(&self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Listens to a key, once the server has confirmed, within the bound of a command.
    fn listen(&self, key: &Key) -> impl Future<Output = Result<Listener, BackendError>> + Send;

    /// Follows the changes of a keyspace.
    fn track(&self, space: &Keyspace) -> Tracker;

    /// Whether the last attempt to connect to it has failed.
    fn is_down(&self) -> bool;

    /// Waits until that is so, or it was closed.
    fn down(&self) -> impl Future<Output = ()> + Send;

    /// A word for `Debug`: `up`, `down`, `connecting`.
    fn condition(&self) -> &'static str;

    /// Keys that are listened to.
    fn subscriptions(&self) -> usize;

    /// Ends connections, tasks and subscriptions, without waiting for them.
    fn close(&self);

    /// Waits until tasks have ended, after [`close`](Self::close).
    fn ended(&self) -> impl Future<Output = ()> + Send;
}

/// Makes nodes.
pub trait Opener: Send + Sync + 'static {
    /// What it makes.
    type Node: Node;

    /// The backend's name in reports.
    const NAME: &'static str;

    /// Whether a node's listeners hear a gap when their slot leaves it. If not, the map is asked for in a quick rhythm
    /// while anybody listens to sharded channels.
    const TELLS_OF_SLOTS: bool;

    /// A node at that address, which connects in the background, for ever. Within a tokio runtime.
    ///
    /// # Errors
    /// Only for the address.
    fn open(&self, address: &Address) -> Result<Self::Node, Fault>;

    /// A memolock of this tag uses the cluster, for operators to see: as
    /// [`Backend::introduce`](memolock_core::Backend::introduce).
    fn introduce(&self, tag: &Tag) {
        let _ = tag;
    }

    /// How long after a value was stored it is published once more. Default: never.
    fn repeat_notice(&self) -> Option<Duration> {
        None
    }

    /// Commands and reconnects of all that it has opened.
    fn stats(&self) -> BackendStats;
}
