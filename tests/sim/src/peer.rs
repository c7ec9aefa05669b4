//! A process as the world knows it: how it is, and its two connections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memolock::core::{Key, Switchboard, TrackingBoard};
use tokio::sync::oneshot;

use crate::gate::Gate;
use crate::store::Millis;
use crate::world::{Event, Outcome};

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Runs,
    /// Stopped, as by SIGSTOP: its messages wait.
    Paused,
    /// Gone, as by SIGKILL.
    Dead,
}

/// One of the two connections of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Which {
    Commands,
    Subscriptions,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) epoch: u32,
    pub(crate) up: Arc<Gate>,
    /// What was on its way when it broke still reaches the server.
    pub(crate) late: bool,
    pub(crate) last_in: Millis,
    pub(crate) last_out: Millis,
}

/// What the world knows of a process.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) life: Life,
    pub(crate) runs: Arc<Gate>,
    pub(crate) board: Arc<Switchboard>,
    pub(crate) trackers: Arc<TrackingBoard>,
    pub(crate) commands: Connection,
    pub(crate) subscriptions: Connection,
    /// Which keys the server tells it of.
    pub(crate) hears: BTreeSet<Key>,
    /// Whose values the server tells it of, by what their names begin with.
    pub(crate) tracks: Vec<String>,
    /// What changed since it was last told: the server gathers for a moment.
    pub(crate) changed: BTreeSet<Key>,
    /// What came while it was paused.
    pub(crate) kept: Vec<Event>,
    pub(crate) pending: BTreeMap<u64, oneshot::Sender<Outcome>>,
}

impl Peer {
    /// One that runs, and is connected.
    pub(crate) fn new(board: &Arc<Switchboard>, trackers: &Arc<TrackingBoard>) -> Self {
        Self {
            life: Life::Runs,
            runs: Arc::new(Gate::open()),
            board: Arc::clone(board),
            trackers: Arc::clone(trackers),
            commands: Connection::new(),
            subscriptions: Connection::new(),
            hears: BTreeSet::new(),
            tracks: Vec::new(),
            changed: BTreeSet::new(),
            kept: Vec::new(),
            pending: BTreeMap::new(),
        }
    }

    /// It goes on, stops, or is gone.
    pub(crate) fn live(&mut self, life: Life) {
        self.life = life;
        self.runs.set(life == Life::Runs);
    }

    pub(crate) fn connection(&mut self, which: Which) -> &mut Connection {
        match which {
            Which::Commands => &mut self.commands,
            Which::Subscriptions => &mut self.subscriptions,
        }
    }
}

impl Connection {
    fn new() -> Self {
        Self {
            epoch: 0,
            up: Arc::new(Gate::open()),
            late: false,
            last_in: 0,
            last_out: 0,
        }
    }
}
