//! The world: a store, a clock, and messages on their way over connections that keep their order.

use std::collections::btree_map::OccupiedEntry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use memolock::core::{Changes, ErrorKind, Key, Switchboard, TrackingBoard, Wish};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::fault::Fault;
use crate::gate::Gate;
use crate::history::{History, ProcessId, What};
use crate::peer::Peer;
pub use crate::peer::{Life, Which};
use crate::store::{Answer, Channel, Millis, Op, Store};

/// What a request comes back with.
pub type Outcome = Result<Answer, ErrorKind>;

/// Something that happens at a moment to come.
#[derive(Debug)]
pub(crate) enum Event {
    /// A request reaches the server.
    Arrives {
        process: ProcessId,
        epoch: u32,
        request: u64,
        op: Op,
    },
    /// Its answer reaches the client.
    Answered {
        process: ProcessId,
        epoch: u32,
        request: u64,
        outcome: Outcome,
    },
    /// Wishes to listen reach the server.
    Asks {
        process: ProcessId,
        epoch: u32,
        listen: Vec<Key>,
        leave: Vec<Key>,
    },
    /// A confirmation reaches the client.
    Confirmed {
        process: ProcessId,
        epoch: u32,
        key: Key,
    },
    /// A message reaches the client.
    Told {
        process: ProcessId,
        epoch: u32,
        key: Key,
        channel: Channel,
        payload: Bytes,
    },
    /// A wish to be told of changes reaches the server.
    Wishes {
        process: ProcessId,
        epoch: u32,
        wish: Wish,
    },
    /// That it was granted reaches the client.
    Granted { process: ProcessId, epoch: u32 },
    /// The server tells what has changed since it last did.
    Sends { process: ProcessId, epoch: u32 },
    /// It reaches the client: the names, and how far the history was when they were sent.
    Changed {
        process: ProcessId,
        epoch: u32,
        names: Vec<Key>,
        sent: usize,
    },
    /// A connection is there again.
    Dialled { process: ProcessId, which: Which },
    /// Something breaks, or is mended.
    Breaks(Fault),
}

/// How the server is.
#[derive(Debug, Default)]
pub(crate) struct Server {
    /// It takes nothing in: what arrives waits.
    pub(crate) hung: bool,
    pub(crate) waiting: Vec<Event>,
    pub(crate) down: bool,
    /// Writes are refused.
    pub(crate) full: bool,
    /// Everything is refused for now; writes alone if so.
    pub(crate) refuses: Option<bool>,
    /// A proxy answers with an error of its own: of this id or of all, and whether the store takes the command first.
    pub(crate) fails: Option<(Option<String>, bool)>,
    /// Added to every latency.
    pub(crate) lag: Millis,
}

/// Everything that changes.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) random: fastrand::Rng,
    pub(crate) store: Store,
    pub(crate) server: Server,
    pub(crate) peers: Vec<Peer>,
    pub(crate) history: History,
    /// The store as it was, for failovers; oldest first.
    pub(crate) snapshots: VecDeque<(Millis, Store)>,
    queue: BTreeMap<(Millis, u64), Event>,
    /// How many things have been numbered.
    count: u64,
    latency: Millis,
    origin: Instant,
}

/// The world of one schedule.
#[derive(Debug)]
pub struct World {
    inner: Mutex<Inner>,
    pub(crate) sooner: Notify,
    circle: Notify,
}

/// What became of an attempt to send.
pub(crate) enum Sent {
    Yes(oneshot::Receiver<Outcome>),
    Connecting(Arc<Gate>),
    Down,
}

/// More than a schedule ever comes to.
const TOO_MUCH: usize = 50_000;
/// As far back as a failover can go.
const SNAPSHOTS: usize = 64;

impl World {
    /// A world without processes. Must be made within a runtime whose clock is paused.
    #[must_use]
    pub fn new(seed: u64, latency: Millis) -> Arc<Self> {
        let inner = Inner {
            random: fastrand::Rng::with_seed(seed),
            store: Store::default(),
            server: Server::default(),
            peers: Vec::new(),
            history: History::default(),
            snapshots: VecDeque::new(),
            queue: BTreeMap::new(),
            count: 0,
            latency,
            origin: Instant::now(),
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
            sooner: Notify::new(),
            circle: Notify::new(),
        })
    }

    /// One more process, connected.
    pub fn join(&self) -> (ProcessId, Arc<Switchboard>, Arc<TrackingBoard>) {
        let mut inner = self.lock();
        let board = Arc::new(Switchboard::new());
        let trackers = Arc::new(TrackingBoard::new());
        inner.peers.push(Peer::new(&board, &trackers));
        (inner.peers.len() - 1, board, trackers)
    }

    /// The time.
    pub fn now(&self) -> Millis {
        self.lock().now()
    }

    /// A number below `below` that the seed says.
    pub(crate) fn draw(&self, below: u32) -> u32 {
        self.lock().random.u32(0..below)
    }

    /// A number that nothing else has.
    pub(crate) fn number(&self) -> u64 {
        self.lock().number()
    }

    /// Adds to the history.
    pub fn note(&self, what: What) {
        let mut inner = self.lock();
        inner.note(what);
        if inner.history.entries.len() >= TOO_MUCH {
            self.circle.notify_one();
        }
    }

    /// Waits until more has happened than can: somebody goes in a circle.
    pub(crate) async fn goes_in_a_circle(&self) {
        self.circle.notified().await;
    }

    /// Takes the history, at the end.
    pub fn take_history(&self) -> History {
        std::mem::take(&mut self.lock().history)
    }

    /// Waits while a process is paused; for ever if it is dead.
    pub async fn running(&self, process: ProcessId) {
        let runs = Arc::clone(&self.lock().peers[process].runs);
        runs.until(true).await;
    }

    /// How a process is now.
    pub fn life(&self, process: ProcessId) -> Life {
        self.lock().peers[process].life
    }

    /// The locks that are held now, by the names of their keys.
    pub fn locks(&self) -> Vec<String> {
        let inner = self.lock();
        let locks = inner.store.locks(inner.now());
        // A vandal's lock stays.
        let theirs = locks.filter(|(_, lock)| lock.token.is_some());
        theirs.map(|(key, _)| key.id().to_owned()).collect()
    }

    /// Sends a request, if its connection is there.
    pub(crate) fn send(&self, process: ProcessId, op: Op) -> Sent {
        let mut inner = self.lock();
        let peer = &inner.peers[process];
        if !peer.commands.up.is_open() {
            return match inner.server.down {
                true => Sent::Down,
                false => Sent::Connecting(Arc::clone(&peer.commands.up)),
            };
        }
        let epoch = peer.commands.epoch;
        let (sender, receiver) = oneshot::channel();
        let request = inner.number();
        inner.peers[process].pending.insert(request, sender);
        let at = inner.arrival(process, Which::Commands);
        inner.schedule(
            at,
            Event::Arrives {
                process,
                epoch,
                request,
                op,
            },
        );
        drop(inner);
        self.sooner.notify_one();
        Sent::Yes(receiver)
    }

    /// A command that memolock has not. It is not tried again.
    pub(crate) async fn raw(&self, process: ProcessId, op: Op) -> Option<Answer> {
        if self.life(process) != Life::Runs {
            return None;
        }
        match self.send(process, op) {
            Sent::Yes(answer) => answer.await.ok()?.ok(),
            Sent::Connecting(_) | Sent::Down => None,
        }
    }

    /// Whether the subscription connection is there, as it changes.
    pub(crate) fn subscription_up(&self, process: ProcessId) -> Arc<Gate> {
        Arc::clone(&self.lock().peers[process].subscriptions.up)
    }

    /// Asks to listen and to leave.
    pub(crate) fn ask(&self, process: ProcessId, changes: Changes) {
        let mut inner = self.lock();
        let epoch = inner.peers[process].subscriptions.epoch;
        let at = inner.arrival(process, Which::Subscriptions);
        let (listen, leave) = (changes.subscribe, changes.unsubscribe);
        inner.schedule(
            at,
            Event::Asks {
                process,
                epoch,
                listen,
                leave,
            },
        );
        drop(inner);
        self.sooner.notify_one();
    }

    /// Something will break at `at`.
    pub(crate) fn plan(&self, at: Millis, fault: Fault) {
        self.lock().schedule(at, Event::Breaks(fault));
        self.sooner.notify_one();
    }

    /// Lets happen what is due, for ever.
    pub async fn turn(self: Arc<Self>) {
        loop {
            let next = {
                let inner = self.lock();
                let due = inner.queue.first_key_value().map(|((at, _), _)| *at);
                due.map(|at| inner.origin + Duration::from_millis(at))
            };
            tokio::select! {
                biased;
                () = self.sooner.notified() => continue,
                () = until(next) => {}
            }
            // One by one, and sometimes with room for others in between.
            while self.step() {
                if self.lock().random.bool() {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Lets one thing happen; whether there was one due.
    fn step(&self) -> bool {
        let mut inner = self.lock();
        let now = inner.now();
        let due = inner.queue.first_entry().filter(|e| e.key().0 <= now);
        let Some(event) = due.map(OccupiedEntry::remove) else {
            return false;
        };
        inner.happen(event);
        true
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub(crate) fn now(&self) -> Millis {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn note(&mut self, what: What) {
        let now = self.now();
        if self.history.entries.len() < TOO_MUCH + 100 {
            self.history.add(now, what);
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub(crate) fn schedule(&mut self, at: Millis, event: Event) {
        let number = self.number();
        self.queue.insert((at, number), event);
    }

    /// A random delay of a message.
    pub(crate) fn delay(&mut self) -> Millis {
        self.random.u64(0..=self.latency) + self.server.lag
    }

    /// When a message that is sent now reaches the server: never before an earlier one.
    pub(crate) fn arrival(&mut self, process: ProcessId, which: Which) -> Millis {
        let at = self.now() + self.delay();
        let connection = self.peers[process].connection(which);
        connection.last_in = connection.last_in.max(at);
        connection.last_in
    }

    /// The same on the way back.
    pub(crate) fn return_trip(&mut self, process: ProcessId, which: Which) -> Millis {
        let at = self.now() + self.delay();
        let connection = self.peers[process].connection(which);
        connection.last_out = connection.last_out.max(at);
        connection.last_out
    }

    /// Remembers the store as it is, for a failover to come.
    pub(crate) fn snapshot(&mut self) {
        if self.snapshots.len() == SNAPSHOTS {
            self.snapshots.pop_front();
        }
        let now = self.now();
        let store = self.store.clone();
        self.snapshots.push_back((now, store));
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
