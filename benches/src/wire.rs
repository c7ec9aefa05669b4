//! What a squad and its workers say to each other: one JSON object a line, over the worker's stdin and stdout.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::strategy::Kind;

/// What the squad says. The end of the pipe means that it is gone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Connect.
    Open {
        kind: Kind,
        url: String,
        takes: Duration,
    },
    /// Have so many callers wait at the gate, dealt to the keys in turn.
    Park { callers: u32, ids: Vec<String> },
    /// Let them go.
    Go,
    /// Take the lease of this id and compute for ever.
    Hold { id: String, lease: Duration },
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// To `Open`.
    Opened,
    /// To `Park`: every caller is at the gate.
    Parked,
    /// To `Go`: every caller is done.
    Done(Box<Share>),
    /// To `Hold`: the lease is taken.
    Holding,
    /// Instead of any answer: it cannot.
    Failed(String),
}

/// What one process saw of a herd.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Share {
    /// Queries of the database.
    pub(crate) queries: u64,
    /// Commands sent.
    pub(crate) commands: u64,
    /// Callers that got an error or a wrong value.
    pub(crate) errors: u64,
    /// One of the errors.
    pub(crate) example: Option<String>,
    /// How long each caller took, from the opening of the gate, in microseconds.
    pub(crate) latencies: Vec<u64>,
}
