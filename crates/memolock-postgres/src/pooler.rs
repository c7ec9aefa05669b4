//! Whether a pooler stands before the server that gives us another session for each transaction.
//!
//! Over such a pooler `LISTEN` and our settings would be made in sessions of other clients, and wake-ups
//! would be lost. So this is found out before anything is set:
//!
//! 1. A server tells each connection its process id at the start. If the process that answers has that id,
//!    there is no pooler, and one round trip has shown it. A pooler has numbers of its own.
//! 2. Else a second connection is made, and both ask in turn who answers them, the second within a
//!    transaction. In session mode each is always answered by a process of its own. In transaction mode the
//!    process that has just answered the first is free, and poolers give it to the next who asks: the second.
//!    While that holds it, the first is answered by another one. Other clients can take a process in
//!    between, but not in each of [`ROUNDS`] rounds.
//! 3. If the second waits while the first is answered again, the first has a process of its own: poolers
//!    serve those who wait in turn.
//!
//! Each fence of a subscription asks again who answers, so that a pooler that changes its mode later is
//! found out too.
//!
//! Dropped at any await, both connections end. What was asked has changed nothing; a transaction that was
//! begun is rolled back.

use std::time::Duration;

use memolock_core::ErrorKind;
use memolock_core::connection::Fault;
use tokio::time::sleep;

use crate::opening::Opened;

const ROUNDS: usize = 6;

/// How long the second connection waits for an answer before the first one asks whether it still has its
/// process. Longer than a pooler needs to open a connection to its server.
const WAITING: Duration = Duration::from_millis(200);

/// The process that answers, and when its server began: processes of two servers may have the same id.
/// Asked in a transaction: a role may have a bound for statements that is too short, and what is set ends
/// with the transaction.
const WHO: &str = "BEGIN; SET LOCAL statement_timeout = 0; \
     SELECT pg_backend_pid() || ' ' || extract(epoch FROM pg_postmaster_start_time())";

async fn who(opened: &mut Opened) -> Result<String, Fault> {
    opened.word(&format!("{WHO}; COMMIT")).await
}

/// Refuses a pooler that does not keep a session for us. `again` opens a second connection to the same place.
pub(crate) async fn refuse_pooler(
    first: &mut Opened,
    again: impl Future<Output = Result<Opened, Fault>>,
) -> Result<(), Fault> {
    let own = who(first).await?;
    let pid = own
        .split(' ')
        .next()
        .and_then(|pid| pid.parse::<i32>().ok());
    if pid.is_some() && pid == first.number {
        return Ok(());
    }
    let mut second = again.await.map_err(|fault| unproved(&fault))?;
    let other = tokio::select! {
        biased;
        other = who(&mut second) => other.map_err(|fault| unproved(&fault))?,
        still = asked_later(first) => {
            return if still? == own { Ok(()) } else { Err(shared()) };
        }
    };
    for _ in 0..ROUNDS {
        if other == own || who(first).await? != own {
            return Err(shared());
        }
        // In statement mode this is refused.
        let begun = second.word(WHO).await;
        let begun = begun.map_err(|fault| match fault.is_connection() {
            true => unproved(&fault),
            false => shared(),
        })?;
        if begun != other || who(first).await? != own {
            return Err(shared());
        }
        if second
            .word(&format!("COMMIT; {WHO}"))
            .await
            .map_err(|fault| unproved(&fault))?
            != other
        {
            return Err(shared());
        }
    }
    Ok(())
}

async fn asked_later(first: &mut Opened) -> Result<String, Fault> {
    sleep(WAITING).await;
    who(first).await
}

/// It gives us another session for each transaction.
pub(crate) fn shared() -> Fault {
    let why = "a pooler in transaction or statement mode stands before the server, and LISTEN needs a session: connect to the server itself, or to a pool with pool_mode=session";
    Fault::new(ErrorKind::Unsupported, why)
}

fn unproved(fault: &Fault) -> Fault {
    let why = format!(
        "a pooler stands before the server, and its mode cannot be checked: {}",
        fault.detail()
    );
    Fault::new(fault.kind(), why)
}
