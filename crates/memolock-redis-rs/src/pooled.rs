//! Commands through an application's own pool of connections.
//!
//! A pool hands out any connection that is free, so two calls could overtake each other, and a call that was
//! given up could take effect after the next one. Therefore:
//!
//! * calls on one key take turns, in the order in which they were first polled; a call on many keys waits
//!   for all of their turns, and has them until its reply is there;
//! * once a command is on its way, a task sees it through: a caller that leaves takes away nothing but
//!   itself, the turn ends with the reply, and the connection goes back to the pool with nothing unread;
//! * a connection whose reply did not come in time, or made no sense, is not given back.
//!
//! After a time-out alone the order is open: the server may still read what it had not read by then.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::{Connection, Pool, PoolError};
use memolock_core::redis::{Call, Fault, Options, Reply};
use memolock_core::{ErrorKind, Key};
use memolock_redis_common::{Counters, Dialer, Doubt, late};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Value};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::command::{by_digest, by_text};
use crate::dial::{Redis, knows_scripts};
use crate::error::fault;
use crate::reply::neutral;
use crate::url::provide_crypto;

/// Turns are kept per lane, and keys are spread over the lanes: far more of them than a pool has
/// connections, so that two keys rarely wait for each other without need.
const LANES: usize = 256;

/// The application's pool, as a road for commands.
pub(crate) struct Pooled {
    pool: Pool,
    /// To see whether the pool leads to the same place.
    dialer: Dialer<Redis>,
    lanes: Box<[Arc<Mutex<()>>]>,
    hasher: RandomState,
    counters: Arc<Counters>,
    /// The subscription connection's: a server that does not answer here may not answer there.
    doubt: Doubt,
    bound: Duration,
    closed: watch::Sender<bool>,
    tasks: TaskTracker,
}

impl Pooled {
    pub(crate) fn new(
        pool: Pool,
        dialer: Dialer<Redis>,
        options: &Options,
        counters: &Arc<Counters>,
        doubt: Doubt,
    ) -> Self {
        // The pool's own client may speak TLS, and has not connected yet.
        provide_crypto();
        Self {
            pool,
            dialer,
            lanes: (0..LANES).map(|_| Arc::default()).collect(),
            hasher: RandomState::new(),
            counters: Arc::clone(counters),
            doubt,
            bound: options.command_timeout,
            closed: watch::Sender::new(false),
            tasks: TaskTracker::new(),
        }
    }

    /// Sends one command and waits for its reply, within the bound.
    pub(crate) async fn send(&self, keys: &[&Key], command: Cmd) -> Result<Reply, Fault> {
        self.carry(keys, command, None).await
    }

    /// Runs a script, by its text if the server has forgotten it, in one turn.
    pub(crate) async fn run(&self, keys: &[&Key], call: &Call) -> Result<Reply, Fault> {
        let reload = by_text(call);
        self.carry(keys, by_digest(call), Some(reload)).await
    }

    /// Waits until the pool has given a connection, and checks that it leads where the URL does: values
    /// and notifications must be on one server.
    pub(crate) async fn ready(&self) -> Result<(), Fault> {
        let address = self.dialer.address();
        let deadline = Instant::now() + self.bound;
        let mut theirs = self.connection(deadline).await?;
        let (pool, url) = (theirs.get_db(), i64::from(address.database()));
        if pool != url {
            let detail = format!("the pool is on database {pool}, the URL on {url}");
            return Err(Fault::new(ErrorKind::Config, detail));
        }
        let mut ours = self.dialer.dial().await?;
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
        let known = knows_scripts(&mut ours.ends.connection).await;
        known.map_err(|fault| fault.at(address))
    }

    /// Refuses later calls and ends waiting ones. The pool is the application's and stays open.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
        self.tasks.close();
    }

    /// Waits until what was on its way has come back, after [`close`](Self::close): within the bound.
    pub(crate) async fn ended(&self) {
        self.tasks.wait().await;
    }

    async fn carry(
        &self,
        keys: &[&Key],
        command: Cmd,
        reload: Option<Cmd>,
    ) -> Result<Reply, Fault> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(Fault::closed()),
            reply = self.travel(keys, command, reload) => reply,
        }
    }

    async fn travel(
        &self,
        keys: &[&Key],
        command: Cmd,
        reload: Option<Cmd>,
    ) -> Result<Reply, Fault> {
        let deadline = Instant::now() + self.bound;
        let turns = self.turns(keys, deadline).await?;
        let connection = self.connection(deadline).await?;
        self.counters.command();
        let (bound, doubt) = (self.bound, self.doubt.clone());
        let exchange = async move {
            let reply = exchange(connection, &command, reload.as_ref(), deadline).await;
            drop(turns);
            reply.unwrap_or_else(|| {
                doubt.raise();
                Err(late(bound))
            })
        };
        // It fails only when the runtime is shutting down.
        let done = self.tasks.spawn(exchange).await;
        done.unwrap_or_else(|_| Err(Fault::closed()))
    }

    /// Queues behind the calls on these keys that were first. Tokio's mutex is fair.
    async fn turns(
        &self,
        keys: &[&Key],
        deadline: Instant,
    ) -> Result<Vec<OwnedMutexGuard<()>>, Fault> {
        let lanes = keys.iter().map(|key| self.lane(key));
        let mut lanes: Vec<usize> = lanes.collect();
        // All in one order, lest two calls wait for each other; and each once, lest one waits for itself.
        lanes.sort_unstable();
        lanes.dedup();
        let mut turns = Vec::with_capacity(lanes.len());
        for lane in lanes {
            let turn = Arc::clone(&self.lanes[lane]).lock_owned();
            match timeout_at(deadline, turn).await {
                Ok(turn) => turns.push(turn),
                Err(_) => return Err(self.late()),
            }
        }
        Ok(turns)
    }

    fn lane(&self, key: &Key) -> usize {
        #[allow(clippy::cast_possible_truncation)] // Any bits will do.
        let hash = self.hasher.hash_one(key.value_name()) as usize;
        hash % LANES
    }

    /// A connection of the pool, checked by it. Nothing has been sent for us yet.
    async fn connection(&self, deadline: Instant) -> Result<Connection, Fault> {
        match timeout_at(deadline, self.pool.get()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(of_pool(error)),
            Err(_) => Err(self.late()),
        }
    }

    fn late(&self) -> Fault {
        let status = self.pool.status();
        if status.size >= status.max_size && status.available == 0 {
            let detail = format!(
                "all {} connections of the pool were in use for {:?}: enlarge it",
                status.max_size, self.bound
            );
            return Fault::new(ErrorKind::Refused, detail);
        }
        self.doubt.raise();
        late(self.bound)
    }
}

/// Sees one command through. `None` if the time was over first.
async fn exchange(
    connection: Connection,
    command: &Cmd,
    reload: Option<&Cmd>,
    deadline: Instant,
) -> Option<Result<Reply, Fault>> {
    // The application's connection has a bound of its own, half a second unless it was told otherwise: ours is
    // another. The clone shares the connection and not that.
    let mut line = MultiplexedConnection::clone(&connection);
    line.set_response_timeout(deadline.saturating_duration_since(Instant::now()));
    let asked = async {
        match (ask(&mut line, command).await, reload) {
            (Err(fault), Some(text)) if fault.is_noscript() => ask(&mut line, text).await,
            (reply, _) => reply,
        }
    };
    let reply = timeout_at(deadline, asked).await.ok();
    let sound = match &reply {
        Some(Ok(_)) => true,
        Some(Err(fault)) => !matches!(
            fault.kind(),
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Protocol
        ),
        None => false,
    };
    if !sound {
        // Out of the pool, which makes another.
        drop(Connection::take(connection));
    }
    match reply {
        Some(Err(fault)) if fault.kind() == ErrorKind::Timeout => None,
        reply => reply,
    }
}

async fn ask(connection: &mut MultiplexedConnection, command: &Cmd) -> Result<Reply, Fault> {
    let answer = connection.req_packed_command(command).await;
    answer
        .and_then(Value::extract_error)
        .map(neutral)
        .map_err(fault)
}

/// Which run of which server it is.
async fn run_id(connection: &mut impl ConnectionLike) -> Result<Option<String>, Fault> {
    let mut info = redis::cmd("INFO");
    info.arg("server");
    let text = told(&info, connection).await?.unwrap_or_default();
    let id = text.lines().find_map(|line| line.strip_prefix("run_id:"));
    Ok(id.map(str::to_owned))
}

/// As whom it is logged in.
async fn user(connection: &mut impl ConnectionLike) -> Result<Option<String>, Fault> {
    let mut whoami = redis::cmd("ACL");
    whoami.arg("WHOAMI");
    told(&whoami, connection).await
}

/// What a server says of itself; `None` if it will not say. It serves us all the same.
async fn told(
    command: &Cmd,
    connection: &mut impl ConnectionLike,
) -> Result<Option<String>, Fault> {
    match command.query_async(connection).await {
        Ok(text) => Ok(Some(text)),
        Err(error) => match fault(error) {
            lost if lost.is_passing() => Err(lost),
            _ => Ok(None),
        },
    }
}

/// Whether both are known and not the same.
fn differ((theirs, ours): &(Option<String>, Option<String>)) -> bool {
    theirs.is_some() && ours.is_some() && theirs != ours
}

fn of_pool(error: PoolError) -> Fault {
    match error {
        PoolError::Backend(error) => fault(error),
        PoolError::Timeout(deadpool_redis::TimeoutType::Wait) => Fault::new(
            ErrorKind::Refused,
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
