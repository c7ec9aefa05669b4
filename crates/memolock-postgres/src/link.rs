//! The self-healing connection: one task dials, serves, and dials again.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use memolock_core::connection::{Backoff, Fault, Options, UNRECOGNIZED_PAUSE};
use memolock_core::{ErrorKind, Switchboard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;
use tokio_postgres::Row;
use tracing::{debug, warn};

use crate::dial::{Dialer, Line, Wire};
use crate::parameter::Parameter;
use crate::paused::late;
use crate::queue::Outcome;
use crate::session::Session;
use crate::statements::Verb;

/// How long a command that met a dead connection waits for the task to notice.
const NOTICING: Duration = Duration::from_millis(100);

/// What is known of the link.
#[derive(Clone)]
enum State {
    /// The first attempt, at the start or after a break, has not ended yet.
    Connecting,
    Up(Wire),
    /// The last attempt failed; others follow.
    Down(Fault),
    Closed,
    /// The runtime of its task has shut down.
    Gone,
}

/// What the task and the users of a link share.
pub(crate) struct Shared {
    state: watch::Sender<State>,
    pub(crate) board: Arc<Switchboard>,
    /// A wish to have the connection checked now, rather than at its next heartbeat.
    pub(crate) doubt: Notify,
    commands: AtomicU64,
    reconnects: AtomicU64,
}

/// A link, seen by its users. Dropping it ends the task and the connection.
pub(crate) struct Link {
    shared: Arc<Shared>,
    abort: AbortHandle,
    task: Mutex<Option<JoinHandle<()>>>,
    bound: Duration,
}

impl Link {
    /// Starts the task, on `runtime`.
    pub(crate) fn open(
        dialer: Dialer,
        options: &Options,
        sweep_interval: Duration,
        runtime: &Handle,
    ) -> Self {
        let shared = Arc::new(Shared {
            state: watch::Sender::new(State::Connecting),
            board: Arc::new(Switchboard::new()),
            doubt: Notify::new(),
            commands: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
        });
        let supervisor = Supervisor {
            dialer,
            shared: Arc::clone(&shared),
            backoff: Backoff::new(options.reconnect_min_delay, options.reconnect_max_delay),
            options: options.clone(),
            sweep_interval,
        };
        let task = runtime.spawn(supervisor.run());
        Self {
            shared,
            abort: task.abort_handle(),
            task: Mutex::new(Some(task)),
            bound: options.command_timeout,
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Sends a statement and waits for its rows: for the bound, and longer only while the server does others, which
    /// [`queue`](crate::queue) judges. What was not sent when a connection ended is sent over the next one, once. `bytes` are those of a
    /// value among the parameters: it has the time for them too.
    pub(crate) async fn ask(
        &self,
        bytes: usize,
        verb: Verb,
        mut parameters: Vec<Parameter>,
    ) -> Result<Vec<Row>, Fault> {
        for _ in 0..2 {
            let wire = tokio::time::timeout(self.bound, self.wire()).await;
            let wire = wire.unwrap_or_else(|_| Err(Fault::still_connecting()))?;
            match wire.queue.ask(bytes, verb, parameters).await {
                Some(Outcome::Answered(Err(fault))) if wire.client.is_closed() => {
                    return Err(self.noticed(wire.pid, fault).await);
                }
                Some(Outcome::Answered(outcome)) => return outcome,
                Some(Outcome::Late) => return Err(self.late()),
                Some(Outcome::Unsent(back)) => {
                    parameters = back;
                    self.noticed(wire.pid, Fault::lost()).await;
                }
                // The task was ended.
                None => break,
            }
        }
        match self.now() {
            Some(Err(fault)) => Err(fault),
            _ => Err(Fault::lost()),
        }
    }

    /// Ends for a call whose wait for what a session does has no more sense. A session ends by itself if the server
    /// hangs; without one the wait is for the bound, and for one other connection.
    pub(crate) async fn too_long(&self) {
        let mut states = self.shared.state.subscribe();
        for _ in 0..2 {
            let up = async {
                let up = states.wait_for(|state| matches!(state, State::Up(_)));
                match up.await.as_deref() {
                    Ok(State::Up(wire)) => Some(wire.pid),
                    // The sender is dropped with the link alone.
                    _ => None,
                }
            };
            let Ok(Some(pid)) = tokio::time::timeout(self.bound, up).await else {
                return;
            };
            let ended = states.wait_for(|s| !matches!(s, State::Up(wire) if wire.pid == pid));
            let _ = ended.await;
        }
    }

    /// The bound of a call has passed.
    pub(crate) fn late(&self) -> Fault {
        match self.now() {
            None => Fault::still_connecting(),
            Some(_) => {
                self.shared.doubt.notify_one();
                late(self.bound)
            }
        }
    }

    /// The wire, once the first attempt to connect has ended.
    async fn wire(&self) -> Result<Wire, Fault> {
        let verdict = match self.now() {
            Some(verdict) => verdict,
            None => self.settled().await,
        };
        if verdict.is_err() {
            // It took no time. Who tries again in a loop must not keep the task that mends the link
            // from running.
            tokio::task::yield_now().await;
        }
        verdict
    }

    /// The wire, or why there is none. `None` while the first attempt is under way.
    pub(crate) fn now(&self) -> Option<Result<Wire, Fault>> {
        self.shared.state.borrow().verdict()
    }

    async fn settled(&self) -> Result<Wire, Fault> {
        let mut states = self.shared.state.subscribe();
        let settled = states.wait_for(|state| !matches!(state, State::Connecting));
        // It only ends early with the sender, which we hold ourselves.
        let verdict = settled.await.ok().and_then(|state| state.verdict());
        verdict.unwrap_or_else(|| Err(Fault::closed()))
    }

    /// How the first attempt to connect ends, told as it was.
    pub(crate) async fn first_attempt(&self) -> Result<(), Fault> {
        let mut states = self.shared.state.subscribe();
        let settled = states.wait_for(|state| !matches!(state, State::Connecting));
        match settled.await.as_deref() {
            Ok(State::Up(_)) => Ok(()),
            Ok(State::Down(fault)) => Err(fault.clone()),
            Ok(State::Gone) => Err(Fault::no_runtime()),
            _ => Err(Fault::closed()),
        }
    }

    /// Waits until there is no use in waiting: an attempt has failed, or the link was closed.
    pub(crate) async fn hopeless(&self) -> Fault {
        let mut states = self.shared.state.subscribe();
        let hopeless =
            |state: &State| matches!(state, State::Down(_) | State::Closed | State::Gone);
        match states.wait_for(hopeless).await.as_deref() {
            Ok(State::Down(fault)) => fault.while_down(),
            Ok(State::Gone) => Fault::no_runtime(),
            _ => Fault::closed(),
        }
    }

    /// The connection died under a command: the next one shall find the link connecting and wait.
    async fn noticed(&self, pid: i32, fault: Fault) -> Fault {
        let mut states = self.shared.state.subscribe();
        let put_away = states.wait_for(|s| !matches!(s, State::Up(wire) if wire.pid == pid));
        let _ = tokio::time::timeout(NOTICING, put_away).await;
        match self.now() {
            Some(Err(over)) if matches!(over.kind(), ErrorKind::Closed | ErrorKind::NoRuntime) => {
                over
            }
            _ => fault,
        }
    }

    /// A word for `Debug`.
    pub(crate) fn condition(&self) -> &'static str {
        match &*self.shared.state.borrow() {
            State::Connecting => "connecting",
            State::Up(_) => "up",
            State::Down(_) => "down",
            State::Closed => "closed",
            State::Gone => "gone",
        }
    }

    pub(crate) fn commands(&self) -> u64 {
        self.shared.commands.load(Relaxed)
    }

    pub(crate) fn reconnects(&self) -> u64 {
        self.shared.reconnects.load(Relaxed)
    }

    /// Ends the task, the connection and every listener, for good.
    pub(crate) fn close(&self) {
        self.shared.state.send_replace(State::Closed);
        self.abort.abort();
        self.shared.board.close();
    }

    /// Waits until the task has ended, after [`close`](Self::close).
    pub(crate) async fn ended(&self) {
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            // An error only says that it was aborted, as we wished.
            let _ = task.await;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// So many statements were sent.
    pub(crate) fn sent(&self, statements: u64) {
        self.commands.fetch_add(statements, Relaxed);
    }
}

impl State {
    fn verdict(&self) -> Option<Result<Wire, Fault>> {
        match self {
            Self::Connecting => None,
            Self::Up(wire) => Some(Ok(wire.clone())),
            Self::Down(fault) => Some(Err(fault.while_down())),
            Self::Closed => Some(Err(Fault::closed())),
            Self::Gone => Some(Err(Fault::no_runtime())),
        }
    }
}

struct Supervisor {
    dialer: Dialer,
    shared: Arc<Shared>,
    backoff: Backoff,
    options: Options,
    sweep_interval: Duration,
}

impl Supervisor {
    /// Never returns; it is aborted.
    async fn run(mut self) {
        let mut line = self.redial(false).await;
        loop {
            self.publish(State::Up(line.wire.clone()));
            let since = Instant::now();
            let session = Session::new(
                &self.shared,
                line,
                self.dialer.progress(),
                &self.options,
                self.sweep_interval,
            );
            let fault = session.run().await;
            // Every listener hears of the gap, and every key comes out of `changes` again.
            self.shared.board.gap();
            // From here on commands wait: it may have been one killed connection.
            self.publish(State::Connecting);
            self.backoff.lived(since.elapsed());
            warn!(server = %self.dialer, reason = fault.detail(), "connection lost, reconnecting");
            line = self.redial(true).await;
            self.shared.reconnects.fetch_add(1, Relaxed);
        }
    }

    /// `was_up`: a connection was made before with the same settings.
    async fn redial(&mut self, was_up: bool) -> Line {
        let mut failures = 0_u64;
        loop {
            tokio::time::sleep(self.backoff.next(random())).await;
            match self.dialer.dial().await {
                Ok(line) => {
                    debug!(server = %self.dialer, failures, "connected");
                    return line;
                }
                Err(fault) => {
                    failures += 1;
                    if fault.kind() == ErrorKind::Unrecognized {
                        self.backoff.at_least(UNRECOGNIZED_PAUSE);
                    }
                    match failures {
                        1 => warn!(reason = fault.detail(), "cannot connect"),
                        _ => debug!(reason = fault.detail(), failures, "still cannot connect"),
                    }
                    // What was right before may be right again: an outage, in which callers compute.
                    let fault = match fault.kind() {
                        ErrorKind::Config if was_up => {
                            Fault::new(ErrorKind::Unavailable, fault.detail().to_owned())
                        }
                        _ => fault,
                    };
                    self.publish(State::Down(fault));
                }
            }
        }
    }

    fn publish(&self, new: State) {
        self.shared.state.send_if_modified(|state| {
            // Closed is for good, even if the task is late to notice.
            let open = !matches!(state, State::Closed | State::Gone);
            if open {
                *state = new;
            }
            open
        });
    }
}

/// A close says so before it aborts the task; otherwise the runtime has dropped it.
impl Drop for Supervisor {
    fn drop(&mut self) {
        if !matches!(*self.shared.state.borrow(), State::Closed) {
            self.publish(State::Gone);
            // Whoever listens shall not wait for what nobody hears.
            self.shared.board.close();
        }
    }
}

/// A random number, good enough for jitter: the standard library seeds its hashers.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}
