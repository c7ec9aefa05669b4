//! What parent and worker say to each other: one JSON object a line, over the worker's stdin and stdout.

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::tally::Share;

/// What the parent says. The end of its pipe means that it is gone.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Connect. On stdin and not among the arguments, which anybody can read, for its URL may hold a
    /// password.
    Join { plan: Box<Plan>, process: u32 },
    /// Have your callers wait at the gate.
    Park { round: u32 },
    /// Let them go.
    Go,
    /// Close the connection.
    End,
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// To `Join`.
    Joined,
    /// To `Park`: every caller is at the gate.
    Parked,
    /// After `Go`, and only if the plan wants it: so many more callers are done.
    Progress(u32),
    /// After `Go`: every caller is done.
    Done,
    /// Then: what they got.
    Share(Box<Share>),
    /// To `End`: the commands sent in all.
    Ended { commands: u64 },
    /// Instead of any answer: it cannot.
    Failed { code: u8, line: String },
}

/// A message as a line.
pub(super) fn line(message: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}
