//! What is said to a member of the fleet and what it says, a line of JSON each.

use serde::{Deserialize, Serialize};

/// What a member is told to do. `call` is a number that its answers bear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
#[allow(missing_docs)] // Of the fields: `call`, `id` and what it is about.
pub enum Order {
    /// Ask for a value; computing it is up to [`Order::End`].
    Ask { call: u64, id: String },
    /// Ask for a value that another program makes.
    External { call: u64, id: String },
    /// End the compute of a call: with a value, or with the message of a failure.
    End {
        call: u64,
        result: Result<String, String>,
    },
    /// Store a value and leave the lock, as an external program does.
    Resolve {
        call: u64,
        id: String,
        value: String,
    },
    /// Delete the value and fence off computes.
    Invalidate { call: u64, id: String },
    /// Look at what is stored.
    Get { call: u64, id: String },
    /// Close.
    Close { call: u64 },
}

/// What a member says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
#[allow(missing_docs)] // As above.
pub enum Told {
    /// It is connected.
    Ready,
    /// The compute of this call has begun.
    Computing { call: u64 },
    /// The trigger of this call has run.
    Triggered { call: u64 },
    /// The call has ended: with a value and where it came from, with nothing, or with an error.
    Ended {
        call: u64,
        result: Result<Option<(String, String)>, String>,
    },
}
