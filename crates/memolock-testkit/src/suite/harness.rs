//! What an author of a backend tells the suite: how to get clients, and what can be done to the store.

use std::fmt;

use memolock_core::{Backend, Key, async_trait};

/// Whatever went wrong while a harness did its work; shown as the case's failure.
pub type HarnessError = Box<dyn std::error::Error + Send + Sync>;

/// How the suite gets clients of one store. Only [`client`](Harness::client) must be written; each of
/// the others opens more cases, and where it is missing they are reported as skipped, with the reason.
///
/// The store may hold other data and have other users: keys are the suite's own in each run, and what it
/// stores expires or is deleted.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// One more client of the store, always the same store, with connections of its own if it has
    /// any. What it promises is checked across two of them.
    async fn client(&self) -> Result<Box<dyn Backend>, HarnessError>;

    /// A client that the case will close: that must not disturb those of [`client`](Harness::client).
    /// Default: one more of those. A store that ends with its clients gives an empty one instead.
    async fn spare(&self) -> Result<Box<dyn Backend>, HarnessError> {
        self.client().await
    }

    /// A client whose connection can be broken without disturbing the others. Default: there is none.
    async fn breakable(&self) -> Result<Option<Breakable>, HarnessError> {
        Ok(None)
    }

    /// Does damage to what is stored at `key`, or sends what no peer would, behind the client's back.
    /// Says whether this store can be damaged so. Default: no.
    async fn damage(&self, _key: &Key, _damage: Damage) -> Result<bool, HarnessError> {
        Ok(false)
    }

    /// Whether operations of one client on one key take effect in the order in which they were first
    /// polled. Default: yes. A store with a pool of connections may say no.
    fn ordered(&self) -> bool {
        true
    }
}

/// A client, and its line to the store.
pub struct Breakable {
    /// The client. Its time-outs may be shorter than usual: cases wait for them to pass.
    pub client: Box<dyn Backend>,
    /// What lies between it and the store.
    pub line: Box<dyn Line>,
}

impl fmt::Debug for Breakable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breakable")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// The line between one client and the store. [`Proxy`](crate::Proxy) is one, for stores behind TCP.
#[async_trait]
pub trait Line: Send + Sync {
    /// Breaks every connection, and lets none be made until [`heal`](Line::heal). The store keeps its data.
    async fn cut(&self);

    /// Ends a cut or a stall.
    async fn heal(&self);

    /// Keeps connections open and lets nothing through. Says whether it can. Default: no.
    async fn stall(&self) -> bool {
        false
    }
}

/// What a stranger may have done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// Where the value is stored stands something that is no value, such as a list.
    WrongValueType,
    /// The same where the lock is stored.
    WrongLockType,
    /// A lock of a stranger's that never expires.
    EternalLock,
    /// A lock that expires in a minute, whose holder is not a token: empty, or bytes that are no text.
    OddHolder,
    /// On the way of notices, something that is none.
    OddNotice,
}
