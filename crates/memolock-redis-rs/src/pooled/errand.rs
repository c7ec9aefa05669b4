//! One command over a connection of the pool, seen through.

use deadpool_redis::Connection;
use memolock_core::ErrorKind;
use memolock_core::redis::{Fault, Reply};
use memolock_redis_common::{LONGEST_HIT, Patience};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Value};
use tokio::time::{Instant, timeout_at};

use crate::error::fault;
use crate::reply::neutral;

/// A command, and what is known of it.
pub(super) struct Errand {
    pub(super) command: Cmd,
    /// What is sent in its place if the server has forgotten a script.
    pub(super) reload: Option<Cmd>,
    /// About so many bytes.
    pub(super) bytes: usize,
    /// It is a `GET` of this name.
    pub(super) gets: Option<String>,
}

impl Errand {
    pub(super) fn of(command: Cmd) -> Self {
        Self {
            command,
            reload: None,
            bytes: 0,
            gets: None,
        }
    }
}

/// Sees one command through. `None` if the time was over first.
pub(super) async fn exchange(
    connection: Connection,
    errand: &Errand,
    patience: &Patience,
    deadline: Instant,
) -> Option<Result<Reply, Fault>> {
    // The application's connection has a bound of its own, half a second unless it was told otherwise: ours is
    // another. The clone shares the connection and not that.
    let mut line = MultiplexedConnection::clone(&connection);
    let left = deadline.saturating_duration_since(Instant::now());
    line.set_response_timeout(left.saturating_add(LONGEST_HIT));
    let asked = async {
        match (ask(&mut line, &errand.command).await, &errand.reload) {
            (Err(fault), Some(text)) if fault.is_noscript() => ask(&mut line, text).await,
            (reply, _) => reply,
        }
    };
    let reply = match &errand.gets {
        Some(name) => patience.within_get_until(name, deadline, asked).await,
        None => timeout_at(deadline, asked).await.ok(),
    };
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

pub(super) async fn ask(
    connection: &mut MultiplexedConnection,
    command: &Cmd,
) -> Result<Reply, Fault> {
    let answer = connection.req_packed_command(command).await;
    answer
        .and_then(Value::extract_error)
        .map(neutral)
        .map_err(fault)
}
