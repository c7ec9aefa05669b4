//! The subscription connection: one task owns it and drives the core's switchboard.

use std::sync::Arc;
use std::time::Duration;

use memolock_core::redis::Fault;
use memolock_core::{
    BackendError, ErrorKind, Key, Keyspace, Listener, Operation, Switchboard, Tracker,
    TrackingBoard,
};
use memolock_redis_common::{Counters, Doubt, Link, Purpose, Site, Tenant};

use crate::dial::{Line, Redis};
use crate::session::Session;

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
    pub(crate) fn open(site: &Arc<Site<Redis>>, counters: &Arc<Counters>, doubt: Doubt) -> Self {
        let options = &site.options;
        let board = Arc::new(Switchboard::new());
        let trackers = Arc::new(TrackingBoard::new());
        let owner = Owner {
            board: Arc::clone(&board),
            trackers: Arc::clone(&trackers),
            counters: Arc::clone(counters),
            doubt: doubt.clone(),
            interval: options.heartbeat,
            database: site.address.database(),
        };
        Self {
            link: Link::open(site, Purpose::Subscriptions, owner, counters),
            board,
            trackers,
            doubt,
            bound: options.command_timeout,
        }
    }

    /// Listens to a key, once the server has confirmed. Dropping the future takes the wish back.
    pub(crate) async fn subscribe(&self, key: &Key) -> Result<Listener, BackendError> {
        if let Some(Err(fault)) = self.link.now() {
            // It took no time: see `Commands::send`.
            tokio::task::yield_now().await;
            return Err(fault.on(Operation::Subscribe, key));
        }
        let mut listener = self.board.listen(key);
        let confirmed = tokio::time::timeout(self.bound, listener.confirmed());
        let fault = tokio::select! {
            biased;
            outcome = confirmed => match outcome {
                Ok(outcome) => return outcome.map(|()| listener),
                Err(_) => self.unconfirmed(),
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

    /// Keys that are listened to, or still being unsubscribed.
    pub(crate) fn len(&self) -> usize {
        self.board.len()
    }

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

/// The task's part.
pub(crate) struct Owner {
    pub(crate) board: Arc<Switchboard>,
    pub(crate) trackers: Arc<TrackingBoard>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) doubt: Doubt,
    pub(crate) interval: Duration,
    pub(crate) database: u32,
}

impl Tenant<Redis> for Owner {
    type Handle = ();

    fn handle(&mut self, _line: &Line) {}

    async fn serve(&mut self, line: Line) -> Fault {
        Session::new(self, line).run().await
    }

    fn lost(&mut self) {
        // Every listener hears of the gap, and every key comes out of `changes` again.
        self.board.gap();
        self.trackers.gap();
    }
}
