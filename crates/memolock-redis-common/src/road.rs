//! The road that commands take to one server.

use std::future::Future;
use std::sync::Arc;

use memolock_core::Key;
use memolock_core::redis::{Call, Fault, Reply};

use crate::client::Client;
use crate::cluster::Request;
use crate::counters::Counters;
use crate::link::Doubt;
use crate::site::Site;
use crate::trunk::Trunk;

/// Sends commands to one server, over a connection of its own or another's. It bounds each in time and keeps the order
/// of those on one key. An error reply is an error.
///
/// A command is sent once. A script is sent by its text until it has run over the connection, and a second time if the
/// server has forgotten it meanwhile: the server said that it did nothing. A dropped future takes nothing back.
pub trait Road: Send + Sync + Sized + 'static {
    /// The client.
    type Client: Client;

    /// What the backend is called in `Debug`.
    const BACKEND: &'static str;

    /// What a cluster of them is called in reports.
    const CLUSTER: &'static str;

    /// As [`Opener::TELLS_OF_SLOTS`](crate::cluster::Opener::TELLS_OF_SLOTS).
    const TELLS_OF_SLOTS: bool;

    /// One over a connection of its own. `other` is the doubt of the subscription connection, as for [`Trunk::open`].
    fn pave(site: &Arc<Site<Self::Client>>, counters: &Arc<Counters>, other: Doubt) -> Self;

    /// What the backend of one server is called in reports.
    fn name(&self) -> &'static str;

    /// Its own connection. None: it is an application's pool.
    fn trunk(&self) -> Option<&Trunk<Self::Client>>;

    /// Whether the server is of use: runs scripts, and is the one that the site means. Asked once the first attempt to
    /// connect has ended; if that failed, it is.
    ///
    /// # Errors
    /// It is of none.
    fn is_of_use(&self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// `GET` of a value.
    ///
    /// # Errors
    /// An error reply, none in time, or no connection; so of all that follow.
    fn get(&self, key: &Key) -> impl Future<Output = Result<Reply, Fault>> + Send;

    /// `MGET` of values.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn get_many(&self, keys: &[&Key]) -> impl Future<Output = Result<Reply, Fault>> + Send;

    /// Runs a script, in the order of calls on `keys`; in any if there are none.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn run(&self, keys: &[&Key], call: &Call) -> impl Future<Output = Result<Reply, Fault>> + Send;

    /// As [`Node::ask`](crate::cluster::Node::ask).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn ask(
        &self,
        request: Request<'_>,
        asking: bool,
    ) -> impl Future<Output = Result<Reply, Fault>> + Send;

    /// Ends what is ours of it, for good, without waiting.
    fn close(&self) {
        if let Some(trunk) = self.trunk() {
            trunk.link().close();
        }
    }

    /// Waits until tasks have ended, after [`close`](Self::close).
    fn ended(&self) -> impl Future<Output = ()> + Send {
        async {
            if let Some(trunk) = self.trunk() {
                trunk.link().ended().await;
            }
        }
    }
}
