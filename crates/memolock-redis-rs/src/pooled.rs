//! Commands through an application's own pool of connections.
//!
//! A pool hands out any connection that is free, so two calls could overtake each other, and a call that was
//! given up could take effect after the next one. Therefore:
//!
//! * calls on one key take turns, in the order in which they were first polled; a call on many keys waits
//!   for all of their turns, and has them until its reply is there;
//! * once a command is on its way, its task sees it through: a caller that leaves takes away nothing but
//!   itself, the turn ends with the reply, and the connection goes back to the pool with nothing unread;
//! * a connection whose reply did not come in time, or made no sense, is not given back;
//! * that task is on the backend's runtime, and waits there for its turns and for a connection: a caller's runtime may
//!   stop at any moment, and would keep for ever what the caller has by then.
//!
//! After a time-out alone the order is open: the server may still read what it had not read by then.
//!
//! A call that finds no free connection in time is a time-out too. The circuit breaker counts it, so that an exhausted
//! pool costs a few calls their whole time-out and not every call. The breaker's probe waits in the pool's queue, and
//! closes the breaker as soon as it is given a connection.
//!
//! A large value has the time for its bytes beyond the time-out of a command, and so have the calls that wait for its
//! turn or for its connection. The size of a reply is not known before it is there: a `GET` that takes long has the server
//! asked, over another connection of the pool, how large the value is.

use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use deadpool_redis::{Connection, Pool, PoolError};
use memolock_core::redis::{Call, Fault, Options, Reply};
use memolock_core::{ErrorKind, Key};
use memolock_redis_common::{Counters, Dialer, Doubt, Home, Patience, allowance, late};
use redis::Cmd;
use redis::aio::ConnectionLike;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot, watch};
use tokio::task::unconstrained;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use crate::command::{by_digest, by_text};
use crate::dial::{Redis, knows_scripts};
use crate::error::fault;
use crate::url::provide_crypto;

mod errand;
mod identity;
mod sizes;

use errand::{Errand, exchange};
use identity::{differ, run_id, user};
use sizes::SizesInPool;

/// Turns are kept per lane, and keys are spread over the lanes: far more of them than a pool has
/// connections, so that two keys rarely wait for each other without need.
const LANES: usize = 256;

/// The application's pool, as a road for commands.
pub(crate) struct Pooled {
    lines: Arc<Lines>,
    home: Home,
    lanes: Box<[Lane]>,
    hasher: RandomState,
    closed: watch::Sender<bool>,
    tasks: TaskTracker,
}

/// Where calls on some keys take turns.
type Lane = Arc<Mutex<()>>;

/// What the tasks share.
struct Lines {
    pool: Pool,
    /// To see whether the pool leads to the same place.
    dialer: Dialer<Redis>,
    counters: Arc<Counters>,
    /// The subscription connection's: a server that does not answer here may not answer there.
    doubt: Doubt,
    /// Large values have connections of the pool, and the turns of their keys, for longer.
    patience: Patience,
}

impl Pooled {
    pub(crate) fn new(
        pool: Pool,
        dialer: Dialer<Redis>,
        home: Home,
        options: &Options,
        counters: &Arc<Counters>,
        doubt: Doubt,
    ) -> Self {
        // The pool's own client may speak TLS, and has not connected yet.
        provide_crypto();
        let sizes = Arc::new(SizesInPool(pool.clone()));
        let lines = Lines {
            pool,
            dialer,
            counters: Arc::clone(counters),
            doubt,
            patience: Patience {
                transfers: Arc::default(),
                bound: options.command_timeout,
                sizes: Some(sizes),
            },
        };
        Self {
            lines: Arc::new(lines),
            home,
            lanes: (0..LANES).map(|_| Arc::default()).collect(),
            hasher: RandomState::new(),
            closed: watch::Sender::new(false),
            tasks: TaskTracker::new(),
        }
    }

    /// Sends one command and waits for its reply, within the bound.
    pub(crate) async fn send(&self, keys: &[&Key], command: Cmd) -> Result<Reply, Fault> {
        self.carry(keys, Errand::of(command)).await
    }

    /// As [`send`](Self::send), of a `GET`.
    pub(crate) async fn get(&self, key: &Key, command: Cmd) -> Result<Reply, Fault> {
        let mut errand = Errand::of(command);
        errand.gets = Some(key.value_name());
        self.carry(&[key], errand).await
    }

    /// Runs a script, by its text if the server has forgotten it, in one turn.
    pub(crate) async fn run(&self, keys: &[&Key], call: &Call) -> Result<Reply, Fault> {
        let mut errand = Errand::of(by_digest(call));
        (errand.reload, errand.bytes) = (Some(by_text(call)), call.bytes());
        self.carry(keys, errand).await
    }

    /// Waits until the pool has given a connection, and checks that it leads where the URL does: values
    /// and notifications must be on one server.
    pub(crate) async fn ready(&self) -> Result<(), Fault> {
        self.home.within(self.lines.ready()).await?
    }

    /// Refuses later calls and ends waiting ones. The pool is the application's and stays open.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
        self.tasks.close();
        self.home.close();
    }

    /// Waits until what was on its way has come back, after [`close`](Self::close): within the bound.
    pub(crate) async fn ended(&self) {
        // A large value has far longer: its task goes on, and drops its connection.
        let _ = timeout(self.lines.patience.bound, self.tasks.wait()).await;
    }

    async fn carry(&self, keys: &[&Key], errand: Errand) -> Result<Reply, Fault> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(Fault::closed()),
            reply = self.travel(keys, errand) => reply,
        }
    }

    async fn travel(&self, keys: &[&Key], errand: Errand) -> Result<Reply, Fault> {
        let lines = Arc::clone(&self.lines);
        let bound = lines.patience.bound;
        let deadline = Instant::now() + bound;
        // Queued here, so that calls are in the order in which they were polled; waited for in the task.
        let mut queued = Box::pin(turns(self.lanes(keys)));
        let turns = unconstrained(poll_once(queued.as_mut())).await;
        let (stays, mut left) = oneshot::channel::<()>();
        let task = async move {
            let waiting = async {
                let turns = match turns {
                    Poll::Ready(turns) => turns,
                    Poll::Pending => queued.await,
                };
                Ok((turns, lines.connection(deadline).await?))
            };
            let waited = tokio::select! {
                biased;
                // Nothing has been sent. Nobody reads this.
                _ = &mut left => return Err(Fault::closed()),
                waited = lines.patience.within_hit(waiting) => waited,
            };
            let (turns, connection) = waited.unwrap_or_else(|| Err(lines.late()))?;
            let bytes = errand.bytes;
            let sent = lines.patience.transfers.sends(bytes);
            let now = Instant::now();
            let deadline = match &sent {
                Some(_) => now + bound + allowance(bytes),
                // It waited for one that is large.
                None if now >= deadline => now + bound,
                None => deadline,
            };
            lines.counters.command();
            let reply = exchange(connection, &errand, &lines.patience, deadline).await;
            drop(turns);
            if let (Some(sent), Some(_)) = (sent, &reply) {
                sent.answered();
            }
            reply.unwrap_or_else(|| {
                lines.doubt.raise();
                Err(late(bound))
            })
        };
        let done = self.tasks.spawn_on(task, self.home.runtime()).await;
        drop(stays);
        // It is never aborted, so only a runtime that shuts down ends it early.
        done.unwrap_or_else(|error| match error.is_cancelled() {
            true => Err(Fault::no_runtime()),
            false => Err(Fault::closed()),
        })
    }

    /// The lanes of these keys: all in one order, lest two calls wait for each other; and each once, lest one waits for
    /// itself.
    fn lanes(&self, keys: &[&Key]) -> Vec<Lane> {
        let lanes = keys.iter().map(|key| self.lane(key));
        let mut lanes: Vec<usize> = lanes.collect();
        lanes.sort_unstable();
        lanes.dedup();
        let lanes = lanes.into_iter();
        lanes.map(|lane| Arc::clone(&self.lanes[lane])).collect()
    }

    fn lane(&self, key: &Key) -> usize {
        #[allow(clippy::cast_possible_truncation)] // Any bits will do.
        let hash = self.hasher.hash_one(key.value_name()) as usize;
        hash % LANES
    }
}

impl Lines {
    async fn ready(&self) -> Result<(), Fault> {
        let address = self.dialer.address();
        let deadline = Instant::now() + self.patience.bound;
        let theirs = timeout_at(deadline, self.connection(deadline)).await;
        let mut theirs = theirs.unwrap_or_else(|_| Err(self.late()))?;
        let (pool, url) = (theirs.get_db(), i64::from(address.database()));
        if pool != url {
            let detail = format!("the pool is on database {pool}, the URL on {url}");
            return Err(Fault::new(ErrorKind::Config, detail));
        }
        let mut ours = self.dialer.dial().await?;
        // What it took to connect is no answer's time.
        let deadline = Instant::now() + self.patience.bound;
        let asked = async {
            let servers = (
                run_id(&mut *theirs).await?,
                run_id(&mut *ours.ends.connection).await?,
            );
            // The one form of a URL that the client reads as another user.
            let users = match (address.user(), address.password()) {
                (Some(_), Some("")) => (
                    user(&mut *theirs).await?,
                    user(&mut *ours.ends.connection).await?,
                ),
                _ => (None, None),
            };
            Ok::<_, Fault>((servers, users))
        };
        let (servers, users) = match timeout_at(deadline, asked).await {
            Ok(asked) => asked?,
            Err(_) => return Err(self.late()),
        };
        if differ(&servers) {
            return Err(Fault::new(
                ErrorKind::Config,
                format!("the pool leads to another server than {address}"),
            ));
        }
        if differ(&users) {
            return Err(Fault::new(
                ErrorKind::Config,
                "the pool's connections are another user than the URL says: make it of RedisBackend::connection_info",
            ));
        }
        match timeout_at(deadline, knows_scripts(&mut ours.ends.connection)).await {
            Ok(known) => known.map_err(|fault| fault.at(address)),
            Err(_) => Err(self.late()),
        }
    }

    /// A connection of the pool, checked by it. Nothing has been sent for us yet.
    async fn connection(&self, deadline: Instant) -> Result<Connection, Fault> {
        match self.pool.get().await {
            Ok(connection) => Ok(connection),
            Err(error) => {
                let fault = of_pool(error);
                let said = self.dialer.explain(fault.clone());
                Err(timeout_at(deadline, said).await.unwrap_or(fault))
            }
        }
    }

    fn late(&self) -> Fault {
        let status = self.pool.status();
        if status.size >= status.max_size && status.available == 0 {
            let detail = format!(
                "all {} connections of the pool were in use for {:?}: enlarge it",
                status.max_size, self.patience.bound
            );
            // Waited for in vain, as for a server that hangs: it counts for the circuit breaker.
            return Fault::new(ErrorKind::Timeout, detail);
        }
        self.doubt.raise();
        late(self.patience.bound)
    }
}

/// Queues behind the calls that were first in these lanes. Tokio's mutex is fair.
async fn turns(lanes: Vec<Lane>) -> Vec<OwnedMutexGuard<()>> {
    let mut turns = Vec::with_capacity(lanes.len());
    for lane in lanes {
        turns.push(lane.lock_owned().await);
    }
    turns
}

/// Polls it, and comes back whether it is done or not.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

fn of_pool(error: PoolError) -> Fault {
    match error {
        PoolError::Backend(error) => fault(error),
        PoolError::Timeout(deadpool_redis::TimeoutType::Wait) => Fault::new(
            ErrorKind::Timeout,
            "no connection of the pool came free within its own time-out",
        ),
        PoolError::Timeout(step) => Fault::new(
            ErrorKind::Timeout,
            format!("the pool's own time-out ended its {step:?}"),
        ),
        PoolError::Closed => Fault::new(
            ErrorKind::Unavailable,
            "the application has closed its pool",
        ),
        other => Fault::new(ErrorKind::Config, format!("the pool: {other}")),
    }
}
