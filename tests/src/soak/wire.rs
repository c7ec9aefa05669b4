//! What workers and the conductor tell each other, as lines of JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Micros;
use super::stamp::{Maker, Stamp};

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fact {
    /// By the clock that all processes share.
    pub(crate) at: Micros,
    /// What.
    pub(crate) what: What,
}

/// What may happen in a worker, or to one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // The names say it.
pub(crate) enum What {
    /// A worker is there.
    Hello,
    /// A compute begins.
    Computing {
        number: u64,
        key: u32,
        leased: bool,
    },
    /// It is over. Told before memolock sees the value.
    Computed {
        number: u64,
        outcome: Outcome,
        /// Whether its lease was known to be lost by then.
        lost: bool,
    },
    /// A write begins; the number is that of its value.
    Writing {
        number: u64,
        key: u32,
        how: How,
        nonce: u64,
    },
    /// It is over.
    Wrote {
        number: u64,
        done: bool,
    },
    /// A call is over.
    Called(Call),
    /// Another program is asked for the value of a key.
    Triggered {
        key: u32,
    },
    /// The time goes on. By how much the runtime was late since the last word.
    Alive {
        late: Micros,
    },
    /// What a worker holds now.
    Sample(Sample),
    /// A panic that nobody planned.
    Panicked {
        message: String,
    },

    /// The conductor's: a fault begins.
    FaultBegan {
        fault: String,
    },
    /// It is over, and everything could go on as before.
    FaultEnded {
        fault: String,
    },
    /// A worker was stopped, or goes on.
    Stopped {
        process: u32,
    },
    Continued {
        process: u32,
    },
    /// A worker is dead, and so is what it was at.
    Died {
        process: u32,
    },
}

/// What came of a compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub(crate) enum Outcome {
    Made {
        nonce: u64,
    },
    Failed,
    Panicked,
    /// Its future was dropped.
    Dropped,
}

/// How something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub(crate) enum How {
    Put,
    Resolve,
    Invalidate,
}

/// A call, once it is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    /// What it was.
    pub(crate) does: Does,
    /// On which key.
    pub(crate) key: u32,
    /// When it began.
    pub(crate) began: Micros,
    /// How long it may wait for anything but its own computes.
    pub(crate) limit: Micros,
    /// When its own computes were at it.
    pub(crate) own: Vec<(Micros, Micros)>,
    /// Its own compute that ended well.
    pub(crate) made: Option<u64>,
    /// How it ended.
    pub(crate) end: End,
}

/// Kinds of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub(crate) enum Does {
    Compute,
    Detached,
    External,
    Get,
    Put,
    Resolve,
    Invalidate,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// With a value.
    Value(Stamp),
    /// With a value that is not whole, or not one of ours: its beginning.
    Garbage(String),
    /// A look that found nothing; a write that was done.
    Nothing,
    /// With an error of this kind.
    Error(String),
    /// It was dropped.
    Left,
    /// It did not end at all.
    Hung,
}

/// What a worker holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Callers at work.
    pub(crate) callers: u64,
    /// `Memolock::in_flight`.
    pub(crate) flights: u64,
    /// The same.
    pub(crate) leases: u64,
    /// Tasks of memolocks, the same.
    pub(crate) tracked: u64,
    /// `BackendStats::subscriptions`.
    pub(crate) subscriptions: u64,
    /// Tasks of the runtime.
    pub(crate) tasks: u64,
    /// Open file descriptors.
    pub(crate) files: u64,
    /// Memory.
    pub(crate) rss_kib: u64,
}

/// What a worker is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub(crate) enum Order {
    /// Callers begin.
    Go { callers: usize },
    /// Callers end their present call, and no more.
    Rest,
    /// Store the value of a key for another program.
    Resolve { key: u32, after: Duration },
    /// Some callers ask for a large value at once.
    Herd { key: u32, size: usize },
    /// Say goodbye.
    Leave,
}

/// What a worker is started with, as one argument.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Enlisted {
    /// Its incarnation.
    pub(crate) process: u32,
    /// The name of its adapter.
    pub(crate) adapter: String,
    /// Where the server is.
    pub(crate) url: String,
    /// For everything that is random in it.
    pub(crate) seed: u64,
    /// What it does wrong on purpose.
    pub(crate) plant: Option<Plant>,
}

/// A misbehaviour, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Plant {
    /// Now and then a compute returns the value of another key.
    WrongValue,
    /// Now and then a compute returns a value that nobody is told of.
    UnknownValue,
    /// Now and then a call ends long after it has its answer.
    LateCall,
    /// A task is left behind now and then.
    Leak,
}

impl Stamp {
    /// Whether it is for `key`.
    #[must_use]
    pub(crate) fn is_for(&self, key: u32) -> bool {
        self.key == key
    }
}

impl Maker {
    /// For reports.
    #[must_use]
    pub(crate) fn name(self) -> String {
        format!("{}.{}", self.process, self.number)
    }
}
