//! Storing a large value, which may take longer than its callers should wait.
//!
//! A value of more than 1 MiB is stored by a task of its own. Its caller waits for the task for a second, as it waits
//! for a reply. After that the caller has its value, and clean-up waits for the same task: the value is sent once. The
//! lease is renewed meanwhile, so that no other process computes the value again.
//!
//! | what happens | what follows |
//! |---|---|
//! | the task ends within a second | its callers are told |
//! | it takes longer | its callers go, the value "not stored yet"; clean-up waits for the task |
//! | the caller is dropped | the next driver waits for the task, or clean-up does |
//! | the lease is lost | the task has another second for its reply; then it is ended: the store would not take the value |
//! | the connection ends while it sends | the value is sent once more, and never again |
//! | no reply in time | it is not sent again: that would take as long |
//! | the store cannot be reached, or the breaker is open | nothing was sent: tried again as any other fulfil |
//! | the memolock is closed | the task has the time of a close; then it is ended |
//!
//! Errors of these tasks do not count for the circuit breaker: they say something of one value, and not of the store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memolock_core::{BackendError, ErrorKind, Fulfilled, Key, Operation, Token};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep, sleep_until};

use crate::engine::Engine;
use crate::hub::{Hub, far};
use crate::store::Store;

/// A value with more bytes is large. No server of the Redis family refuses a smaller one for its size.
pub(crate) const LARGE: usize = 1 << 20;

/// How long callers wait for a large value to be stored: as long as for any other command by default.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the task may still take once the memolock is closed: as long as a close waits.
const CLOSING: Duration = Duration::from_secs(5);

/// How often a value is sent whose sending ended the connection.
const SENDINGS: u8 = 2;

type Reply = Result<Fulfilled, BackendError>;

/// What an engine knows of a large value that is being stored.
#[derive(Debug, Default)]
pub(crate) struct Transfer {
    task: Option<Task>,
    /// How often it was sent.
    sendings: u8,
    /// Until when callers wait.
    until: Option<Instant>,
    /// Callers have left it to clean-up, and have not been told what became of it.
    left: bool,
}

impl Transfer {
    /// Whether it is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.task.is_some()
    }

    /// Callers go before it has ended.
    pub(crate) fn leave(&mut self) {
        self.left = true;
    }

    /// Whether callers have gone before it ended.
    pub(crate) fn is_left(&self) -> bool {
        self.left
    }

    /// Whether it was sent more than once.
    pub(crate) fn was_repeated(&self) -> bool {
        self.sendings > 1
    }

    /// Whether callers went before it had ended. From now on they count as told.
    pub(crate) fn was_left(&mut self) -> bool {
        std::mem::take(&mut self.left)
    }
}

/// The task. Dropping it ends it.
#[derive(Debug)]
struct Task(JoinHandle<Reply>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits for it in the name of callers: not for long. Dropping the future leaves the task to the next driver.
pub(crate) async fn with_callers<T>(
    hub: &Hub,
    key: &Key,
    engine: &mut Engine<T>,
    sent: (Token, Bytes, Duration),
) -> Reply {
    let transfer = engine.transfer();
    if !transfer.is_under_way() && !hub.store.admits(key) {
        return Err(Store::refusal(Operation::Fulfil, key));
    }
    let until = transfer.until;
    let until = until.unwrap_or_else(|| far(Instant::now(), PATIENCE));
    transfer.until = Some(until);
    let bytes = sent.1.len();
    let task = begun(hub, key, transfer, sent);
    let reply = tokio::select! {
        biased;
        reply = &mut task.0 => reply,
        () = sleep_until(until) => return Err(not_yet(key, bytes)),
    };
    judged(key, bytes, transfer, reply)
}

/// Waits for it in the background.
pub(crate) async fn behind_callers<T>(
    hub: &Hub,
    key: &Key,
    engine: &mut Engine<T>,
    sent: (Token, Bytes, Duration),
) -> Reply {
    let lost = engine.lost();
    let lost = async {
        lost.cancelled().await;
        // It may be gone because the value has just been stored: then the reply is on its way.
        sleep(PATIENCE).await;
    };
    let closed = async {
        hub.closing.cancelled().await;
        sleep(CLOSING).await;
    };
    let transfer = engine.transfer();
    let bytes = sent.1.len();
    let task = begun(hub, key, transfer, sent);
    let reply = tokio::select! {
        biased;
        reply = &mut task.0 => reply,
        () = lost => {
            transfer.task = None;
            return Ok(Fulfilled::Lost);
        }
        () = closed => {
            transfer.task = None;
            let why = "the memolock was closed before it was stored";
            return Err(BackendError::new(ErrorKind::Closed, Operation::Fulfil, why).on(key));
        }
    };
    judged(key, bytes, transfer, reply)
}

/// The task, begun if there is none.
fn begun<'t>(
    hub: &Hub,
    key: &Key,
    transfer: &'t mut Transfer,
    (token, value, ttl): (Token, Bytes, Duration),
) -> &'t mut Task {
    let Transfer { task, sendings, .. } = transfer;
    task.get_or_insert_with(|| {
        *sendings += 1;
        let (store, key) = (Arc::clone(&hub.store), key.clone());
        Task(hub.start(async move { store.fulfil_large(&key, token, value, ttl).await }))
    })
}

/// The task has ended. What the machine is told: an error after which it sends the value again, or one after which it
/// does not.
fn judged(
    key: &Key,
    bytes: usize,
    transfer: &mut Transfer,
    reply: Result<Reply, JoinError>,
) -> Reply {
    transfer.task = None;
    // Its runtime is gone, or the backend panicked.
    let reply = reply.unwrap_or_else(|error| {
        let detail = format!("the task that stored it ended: {error}");
        Err(BackendError::new(ErrorKind::Unavailable, Operation::Fulfil, detail).on(key))
    });
    let error = match reply {
        Err(error) if error.is_unsent() => {
            transfer.sendings -= 1;
            return Err(error);
        }
        Err(error) => error,
        reply => return reply,
    };
    let detail = match error.kind() {
        ErrorKind::Timeout => format!("{bytes} bytes were not stored in time: {}", error.detail()),
        ErrorKind::Unavailable | ErrorKind::Protocol | ErrorKind::Unrecognized
            if transfer.sendings >= SENDINGS =>
        {
            format!(
                "sending {bytes} bytes failed, or ended the connection {SENDINGS} times: {}; a server may take less, as Redis does by \
             proto-max-bulk-len",
                error.detail()
            )
        }
        _ => return Err(error),
    };
    Err(BackendError::new(ErrorKind::Unsupported, Operation::Fulfil, detail).on(key))
}

/// What the machine is told when callers go: as if the reply were lost.
fn not_yet(key: &Key, bytes: usize) -> BackendError {
    let detail = format!("{bytes} bytes are still being stored");
    BackendError::new(ErrorKind::Timeout, Operation::Fulfil, detail).on(key)
}
