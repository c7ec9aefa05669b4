//! A fault: what is done to a server or a process, and what must come of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::act::Act;
use super::stage::Stage;

/// One fault and its name. Each adapter meets it on a server of its own.
#[derive(Clone, Copy)]
pub struct Fault {
    /// For choosing it.
    pub name: &'static str,
    /// What is done, for the table.
    pub what: &'static str,
    /// Where the server must be.
    pub place: Place,
    /// Begins it.
    pub(super) strike: fn(Arc<Stage>) -> Act,
    /// How long it lasts, besides what the acts take.
    pub lasts: Duration,
    /// Ends it.
    pub(super) mend: fn(Arc<Stage>) -> Act,
    /// When the holder's compute ends.
    pub ends: Ends,
    /// How large the holder's value is, at least.
    pub bytes: usize,
    /// Backends that wait for it.
    pub waiters: usize,
    /// The bound of commands, if not the adapters' own.
    pub bound: Option<Duration>,
    /// How long leases last.
    pub lease: Duration,
    /// What must come of it.
    pub expected: Expected,
}

/// Where a fault's server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A process of our own.
    Spawned,
    /// A container: needs Docker.
    Container,
}

/// When the holder's compute ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// In the middle of the fault.
    During,
    /// When the fault is over.
    After,
    /// It has no time for that.
    Never,
}

/// Whose value it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Maker {
    /// The holder's.
    Holder,
    /// A waiter's own.
    Waiter,
    /// There is none.
    Nobody,
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holder => "holder",
            Self::Waiter => "waiter",
            Self::Nobody => "nobody",
        })
    }
}

/// What a fault must leave a trace in, or it never took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Felt {
    /// Calls computed without a lease.
    Degraded,
    /// Connections were made anew.
    Reconnects,
    /// Waiters' connections were made anew, each of them.
    WaitersReconnect,
    /// The server counted errors of this code.
    Errors(&'static str),
    /// The waiter took over.
    Takeover,
}

/// What must come of a fault, whatever the adapter. What holds for every fault is in `verdict.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Its trace.
    pub felt: Felt,
    /// Whose value waiters may get.
    pub waiter: &'static [Maker],
    /// Whose value may be stored when all is over.
    pub stored: &'static [Maker],
    /// The store loses nothing, so that who listened before the fault is woken by a message after it.
    pub keeps_listeners: bool,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault({})", self.name)
    }
}
