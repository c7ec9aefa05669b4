//! What a subscription connection asks, and what comes of it.

use std::pin::Pin;

use memolock_core::redis::Fault;
use memolock_core::{Key, Wish};

use crate::fence::Outcome;
use crate::tracking::Receiver;

/// What the server is asked, one thing at a time, so that answers are never mistaken. Meanwhile
/// other wishes gather in the switchboard and go together in the next command.
#[derive(Debug)]
pub(crate) enum Request {
    Subscribe(Vec<Key>),
    Unsubscribe(Vec<String>),
    /// Sharded channels; of keys that listen to both, the classic ones are there already.
    Join(Vec<Key>),
    Leave(Vec<String>),
    /// Somebody tracks, so there must be a receiver first.
    Track(Wish),
    /// Of the receiver too, if there is one.
    Ping,
    Name(String),
}

pub(crate) struct Answer {
    pub(crate) request: Request,
    pub(crate) outcome: Result<Outcome, Fault>,
    /// The receiver, if one was opened for it.
    pub(crate) opened: Option<Receiver>,
    /// Of sharded channels, the keys that were refused.
    pub(crate) refused: Vec<(Key, Fault)>,
}

impl Answer {
    pub(crate) fn new(request: Request, outcome: Result<Outcome, Fault>) -> Self {
        Self {
            request,
            outcome,
            opened: None,
            refused: Vec::new(),
        }
    }
}

pub(crate) type Asking = Pin<Box<dyn Future<Output = Answer> + Send>>;
