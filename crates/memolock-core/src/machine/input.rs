//! Inputs: everything that can happen to a flight.

use std::time::Duration;

use bytes::Bytes;

use super::Mode;
use crate::{Acquired, BackendError, Event, Fulfilled};

/// One thing that happened. A reply belongs to the command that [`Output`](super::Output) last asked
/// for; an input that does not fit the machine's state is ignored, never a panic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Input {
    /// The reply to [`Output::Probe`](super::Output::Probe).
    Probed(Result<Option<Bytes>, BackendError>),
    /// The reply to [`Output::Acquire`](super::Output::Acquire).
    Acquired(Result<Acquired, BackendError>),
    /// The reply to [`Output::Subscribe`](super::Output::Subscribe).
    Subscribed(Result<(), BackendError>),
    /// The subscription heard something.
    Heard(Event),
    /// The subscription heard a value that the driver passes over: of another version of the type. Its bytes are not this
    /// flight's value, and they do say that something was stored.
    PassedOver {
        /// It is the very value that the lease is tried for over. A notice was repeated, or a new value has equal
        /// bytes; which of the two, only the store knows.
        known: bool,
    },
    /// The subscription ended, which only a closed or broken backend does. It has to be made anew.
    Silenced(BackendError),
    /// The compute ended.
    Computed(Completion),
    /// The trigger ended; the error is its message.
    Triggered(Result<(), String>),
    /// The reply to [`Output::Fulfil`](super::Output::Fulfil).
    Fulfilled(Result<Fulfilled, BackendError>),
    /// The reply to [`Output::Release`](super::Output::Release): whether the lock was ours.
    Released(Result<bool, BackendError>),
    /// The heartbeat found the lease gone.
    LeaseLost,
    /// The moment that [`Machine::deadline`](super::Machine::deadline) named has come.
    Elapsed,
    /// Another caller took over the flight.
    Adopted {
        /// What it wants.
        mode: Mode,
        /// Whether the lease was found gone while the caller before was at work.
        lost: bool,
    },
    /// No caller is left, or the client is closing: what remains is clean-up.
    Abandoned,
}

/// How a compute ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Completion {
    /// With a value to store.
    Value {
        /// The encoded value.
        value: Bytes,
        /// How long to keep it.
        ttl: Duration,
    },
    /// With a value that is not to be stored, or could not be encoded.
    Unstored,
    /// With an error; the message tells the fleet.
    Failed(String),
    /// With a panic.
    Panicked,
}
