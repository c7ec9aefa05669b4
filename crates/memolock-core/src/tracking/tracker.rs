//! One tracker: what its mailbox takes, and how it is read.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::{Change, TrackingBoard};
use crate::sync::{Mutex, MutexGuard};
use crate::{BackendError, Keyspace, Layout};

/// Changes that a tracker may leave unread before they are replaced by one of everything.
pub(super) const MAILBOX_CHANGES: usize = 4096;

/// Bytes of ids that a tracker may leave unread before the same: anybody who may write chooses how long
/// they are.
pub(super) const MAILBOX_BYTES: usize = 1 << 20;

/// One tracker of a keyspace: a stream of its [`Change`]s. Dropping it stops tracking.
#[derive(Debug)]
pub struct Tracker {
    board: Arc<TrackingBoard>,
    ear: Arc<Ear>,
}

impl Tracker {
    pub(super) fn new(board: Arc<TrackingBoard>, ear: Arc<Ear>) -> Self {
        Self { board, ear }
    }
}

impl Stream for Tracker {
    type Item = Change;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Change>> {
        let mut mailbox = self.ear.lock();
        if let Some(change) = mailbox.changes.pop_front() {
            mailbox.bytes -= weight(&change);
            return Poll::Ready(Some(change));
        }
        if matches!(mailbox.stage, Stage::Ended) {
            return Poll::Ready(None);
        }
        mailbox.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.board.remove(&self.ear);
    }
}

/// The board's end of a tracker. Whatever it is told, it returns whom to wake.
#[derive(Debug)]
pub(super) struct Ear {
    prefix: String,
    layout: Layout,
    mailbox: Mutex<Mailbox>,
}

#[derive(Debug)]
struct Mailbox {
    stage: Stage,
    changes: VecDeque<Change>,
    /// What the ids among the changes weigh.
    bytes: usize,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Deaf,
    Live,
    Refused,
    Ended,
}

impl Mailbox {
    /// Replaces what is unread by one change that says as much, or more.
    fn sum_up(&mut self) {
        // Whoever has not read yet that it hears must still read it, and doubts all it has by that.
        let resumed = self.changes.contains(&Change::Resumed);
        self.changes.clear();
        self.bytes = 0;
        self.changes.push_back(match resumed {
            true => Change::Resumed,
            false => Change::All,
        });
    }
}

impl Ear {
    pub(super) fn new(space: &Keyspace) -> Self {
        Self {
            prefix: space.value_prefix(),
            layout: space.layout(),
            mailbox: Mutex::new(Mailbox {
                stage: Stage::Deaf,
                changes: VecDeque::new(),
                bytes: 0,
                waker: None,
            }),
        }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether the store is to be asked for its sake.
    pub(super) fn wants(&self) -> bool {
        matches!(self.lock().stage, Stage::Deaf | Stage::Live)
    }

    pub(super) fn resume(&self) -> Option<Waker> {
        let mut mailbox = self.lock();
        if mailbox.stage != Stage::Deaf {
            return None;
        }
        mailbox.stage = Stage::Live;
        mailbox.changes.push_back(Change::Resumed);
        mailbox.waker.take()
    }

    pub(super) fn hear(&self, name: &str) -> Option<Waker> {
        let id = self.id(name)?;
        let mut mailbox = self.lock();
        if mailbox.stage != Stage::Live {
            return None;
        }
        if mailbox.changes.len() >= MAILBOX_CHANGES
            || mailbox.bytes.saturating_add(id.len()) > MAILBOX_BYTES
        {
            mailbox.sum_up();
        } else {
            mailbox.bytes += id.len();
            mailbox.changes.push_back(Change::Value(id.to_owned()));
        }
        mailbox.waker.take()
    }

    pub(super) fn all(&self) -> Option<Waker> {
        let mut mailbox = self.lock();
        if mailbox.stage != Stage::Live {
            return None;
        }
        mailbox.sum_up();
        mailbox.waker.take()
    }

    pub(super) fn gap(&self) -> Option<Waker> {
        let mut mailbox = self.lock();
        if mailbox.stage != Stage::Live {
            return None;
        }
        mailbox.stage = Stage::Deaf;
        // What is unread is in doubt by the gap, whatever it was: so a connection that comes and goes
        // never fills a mailbox that nobody reads.
        mailbox.changes.clear();
        mailbox.bytes = 0;
        mailbox.changes.push_back(Change::Gap);
        mailbox.waker.take()
    }

    pub(super) fn refuse(&self, error: &BackendError) -> Option<Waker> {
        let mut mailbox = self.lock();
        if !matches!(mailbox.stage, Stage::Deaf | Stage::Live) {
            return None;
        }
        mailbox.stage = Stage::Refused;
        mailbox.changes.clear();
        mailbox.bytes = 0;
        mailbox.changes.push_back(Change::Refused(error.clone()));
        mailbox.waker.take()
    }

    pub(super) fn end(&self) -> Option<Waker> {
        let mut mailbox = self.lock();
        mailbox.stage = Stage::Ended;
        mailbox.waker.take()
    }

    /// The id of the value that is named so, if it is one of ours.
    fn id<'n>(&self, name: &'n str) -> Option<&'n str> {
        let rest = name.strip_prefix(self.prefix.as_str())?;
        match self.layout {
            Layout::Classic => Some(rest),
            // The prefix ends with the brace that opens.
            Layout::HashTagged => rest.strip_suffix('}'),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes that a change keeps alive.
fn weight(change: &Change) -> usize {
    match change {
        Change::Value(id) => id.len(),
        _ => 0,
    }
}
