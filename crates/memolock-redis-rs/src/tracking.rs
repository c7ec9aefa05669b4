//! Server-assisted invalidation: asking for it, and reading what is pushed.

use memolock_core::redis::{Fault, Reply};
use memolock_core::{ErrorKind, TrackingBoard, Wish};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use crate::error::fault;
use crate::reply::neutral;

/// Has the server tell of changes: on this connection, of whatever is written by whomever.
pub(crate) async fn track(
    connection: &mut MultiplexedConnection,
    wish: &Wish,
) -> Result<(), Fault> {
    match wish {
        Wish::Also(prefixes) => on(connection, prefixes).await,
        // Prefixes that overlap those of before are refused, and there is no taking back a single one.
        Wish::Only(prefixes) => {
            off(connection).await?;
            on(connection, prefixes).await
        }
        Wish::Nothing => off(connection).await,
    }
}

async fn on(connection: &mut MultiplexedConnection, prefixes: &[String]) -> Result<(), Fault> {
    let mut command = redis::cmd("CLIENT");
    command.arg("TRACKING").arg("ON").arg("BCAST");
    for prefix in prefixes {
        command.arg("PREFIX").arg(prefix);
    }
    send(connection, &command).await
}

async fn off(connection: &mut MultiplexedConnection) -> Result<(), Fault> {
    let mut command = redis::cmd("CLIENT");
    command.arg("TRACKING").arg("OFF");
    send(connection, &command).await
}

async fn send(connection: &mut MultiplexedConnection, command: &Cmd) -> Result<(), Fault> {
    let outcome = connection.send_packed_command(command).await;
    outcome.and_then(Value::extract_error).map_err(fault)?;
    Ok(())
}

/// Whether it may go well over the next connection.
pub(crate) fn is_outage(fault: &Fault) -> bool {
    matches!(
        fault.kind(),
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Refused
    )
}

/// What is pushed: a list of names, or nothing, which means all.
pub(crate) fn changed(trackers: &TrackingBoard, push: Vec<Value>) {
    for part in push {
        match neutral(part) {
            Reply::Array(names) => {
                for name in names {
                    match name {
                        Reply::Bytes(name) => trackers.deliver(&name),
                        // No name: whatever it was may have changed.
                        _ => trackers.all(),
                    }
                }
            }
            _ => trackers.all(),
        }
    }
}
