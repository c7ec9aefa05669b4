//! The subscription connection: one task owns it and drives the core's switchboard.

use std::sync::Arc;
use std::time::Duration;

use memolock_core::redis::Fault;
use memolock_core::{
    BackendError, ErrorKind, Key, Keyspace, Listener, Operation, Switchboard, Tracker,
    TrackingBoard,
};

use crate::client::{Client, Purpose};
use crate::counters::Counters;
use crate::dial::Line;
use crate::gate::patient;
use crate::link::{Doubt, Link, Tenant};
use crate::site::Site;

/// The subscriptions of a backend.
pub(crate) struct Subscriptions {
    link: Link<()>,
    board: Arc<Switchboard>,
    trackers: Arc<TrackingBoard>,
    doubt: Doubt,
    bound: Duration,
}

impl Subscriptions {
    /// Opens the link. It connects at once, so that the first waiter does not have to wait for it.
    pub(crate) fn open<C: Client>(
        site: &Arc<Site<C>>,
        counters: &Arc<Counters>,
        doubt: Doubt,
    ) -> Self {
        let options = &site.options;
        let board = Arc::new(Switchboard::new());
        let trackers = Arc::new(TrackingBoard::new());
        let owner = Owner {
            site: Arc::clone(site),
            board: Arc::clone(&board),
            trackers: Arc::clone(&trackers),
            counters: Arc::clone(counters),
            doubt: doubt.clone(),
        };
        Self {
            link: Link::open(site, Purpose::Subscriptions, owner, counters),
            board,
            trackers,
            doubt,
            bound: options.command_timeout,
        }
    }

    /// Listens to a key, once the server has confirmed: within the bound, and later only while the server confirms
    /// others. A crowd that gave up and asked again would have the server begin from the start each time. Dropping the
    /// future takes the wish back.
    pub(crate) async fn subscribe(&self, key: &Key) -> Result<Listener, BackendError> {
        if let Some(Err(fault)) = self.link.now() {
            // It took no time: whoever tries again in a loop must not keep the link from being mended.
            tokio::task::yield_now().await;
            return Err(fault.on(Operation::Subscribe, key));
        }
        let mut listener = self.board.listen(key);
        let confirmed = patient(listener.confirmed(), self.bound, || self.board.answered());
        let fault = tokio::select! {
            biased;
            outcome = confirmed => match outcome {
                Some(outcome) => return outcome.map(|()| listener),
                None => self.unconfirmed(),
            },
            fault = self.link.hopeless() => fault,
        };
        Err(fault.on(Operation::Subscribe, key))
    }

    /// Follows the changes of a keyspace, from when the server has confirmed.
    pub(crate) fn track(&self, space: &Keyspace) -> Tracker {
        self.trackers.track(space)
    }

    fn unconfirmed(&self) -> Fault {
        match self.link.now() {
            None => Fault::still_connecting(),
            Some(_) => {
                self.doubt.raise();
                Fault::new(
                    ErrorKind::Timeout,
                    format!("not confirmed after {:?}", self.bound),
                )
            }
        }
    }

    /// How many keys are listened to, or still being unsubscribed.
    pub(crate) fn keys(&self) -> usize {
        self.board.len()
    }

    /// What dials, and tells of the connection.
    pub(crate) fn link(&self) -> &Link<()> {
        &self.link
    }

    /// Ends every listener and the connection.
    pub(crate) fn close(&self) {
        self.link.close();
        self.board.close();
        self.trackers.close();
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.close();
    }
}

/// The task's part: what outlives the connection, and what a [session](Client::attend) works for.
pub struct Owner<C> {
    /// Where, as whom and how.
    pub site: Arc<Site<C>>,
    /// The book of subscriptions: wishes, confirmations, messages.
    pub board: Arc<Switchboard>,
    /// The same of keyspaces whose changes are followed.
    pub trackers: Arc<TrackingBoard>,
    /// For each command sent.
    pub counters: Arc<Counters>,
    /// Raised when the connection is to be checked.
    pub doubt: Doubt,
}

impl<C: Client> Tenant<C> for Owner<C> {
    type Handle = ();

    fn handle(&mut self, _line: &Line<C>) {}

    async fn serve(&mut self, line: Line<C>) -> Fault {
        C::attend(self, line).await
    }

    fn lost(&mut self) {
        // Every listener hears of the gap, and every key comes out of `changes` again.
        self.board.gap();
        self.trackers.gap();
    }

    fn gone(&mut self) {
        // Whoever listens shall not wait for what nobody hears.
        self.board.close();
        self.trackers.close();
    }
}
