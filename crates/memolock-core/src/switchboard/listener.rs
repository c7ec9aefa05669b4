//! One listener: what its mailbox takes, and how it is read.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::Switchboard;
use crate::sync::{Mutex, MutexGuard};
use crate::{BackendError, Event, Key, Message};

/// Events that a listener may leave unread before they are replaced by a gap.
pub(super) const MAILBOX_EVENTS: usize = 32;

/// Bytes of values that a listener may leave unread before they are replaced by a gap: anybody who may
/// publish chooses how large they are. One value is kept whatever its size, for listeners live on those.
pub(super) const MAILBOX_BYTES: usize = 1 << 20;

/// One listener to one key: a stream of its [`Event`]s. Dropping it stops listening.
#[derive(Debug)]
pub struct Listener {
    pub(super) board: Arc<Switchboard>,
    pub(super) key: Key,
    pub(super) ear: Arc<Ear>,
}

impl Listener {
    /// Waits until the store has confirmed. Cancel-safe; bounding it in time is the caller's part.
    ///
    /// # Errors
    /// What [`Switchboard::refuse`] was given, or a closed error.
    pub async fn confirmed(&mut self) -> Result<(), BackendError> {
        poll_fn(|cx| {
            let mut mailbox = self.ear.lock();
            match &mailbox.stage {
                Stage::Live => Poll::Ready(Ok(())),
                Stage::Failed(error) => Poll::Ready(Err(error.clone())),
                Stage::Ended => Poll::Ready(Err(closed(&self.key))),
                Stage::New | Stage::Asked(_) => {
                    mailbox.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Stream for Listener {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut mailbox = self.ear.lock();
        if let Some(event) = mailbox.events.pop_front() {
            mailbox.bytes -= weight(&event);
            return Poll::Ready(Some(event));
        }
        if matches!(mailbox.stage, Stage::Ended | Stage::Failed(_)) {
            return Poll::Ready(None);
        }
        mailbox.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.board.remove(&self.key, &self.ear);
    }
}

/// The switchboard's end of a listener. Whatever it is told, it returns whom to wake.
#[derive(Debug)]
pub(super) struct Ear(Mutex<Mailbox>);

#[derive(Debug)]
struct Mailbox {
    stage: Stage,
    /// A gap was told, and its end not yet.
    deaf: bool,
    events: VecDeque<Event>,
    /// What the values among the events weigh.
    bytes: usize,
    waker: Option<Waker>,
}

impl Mailbox {
    fn push(&mut self, event: Event) {
        self.bytes += weight(&event);
        self.events.push_back(event);
    }

    fn clear(&mut self) {
        self.events.clear();
        self.bytes = 0;
    }

    /// Whether there is room for one more message of `more` bytes.
    fn has_room(&self, more: usize) -> bool {
        let fits = self.bytes == 0 || self.bytes.saturating_add(more) <= MAILBOX_BYTES;
        fits && self.events.len() < MAILBOX_EVENTS
    }
}

/// The bytes that an event keeps alive. Notices are short by themselves.
fn weight(event: &Event) -> usize {
    match event {
        Event::Message(Message::Value(value)) => value.len(),
        _ => 0,
    }
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Not yet asked for.
    New,
    /// Asked for by the n-th request of its route.
    Asked(u64),
    Live,
    Failed(BackendError),
    Ended,
}

impl Ear {
    pub(super) fn new(stage: Stage) -> Self {
        Self(Mutex::new(Mailbox {
            stage,
            deaf: false,
            events: VecDeque::new(),
            bytes: 0,
            waker: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn asked(&self, sent: u64) {
        let mut mailbox = self.lock();
        if matches!(mailbox.stage, Stage::New) {
            mailbox.stage = Stage::Asked(sent);
        }
    }

    pub(super) fn confirm(&self, confirmed: u64) -> Option<Waker> {
        let mut mailbox = self.lock();
        match mailbox.stage {
            Stage::Asked(n) if n <= confirmed => mailbox.stage = Stage::Live,
            Stage::Live if mailbox.deaf => {
                mailbox.deaf = false;
                mailbox.push(Event::Resumed);
            }
            _ => return None,
        }
        mailbox.waker.take()
    }

    pub(super) fn refuse(&self, error: &BackendError) -> Option<Waker> {
        let mut mailbox = self.lock();
        if mailbox.deaf || matches!(mailbox.stage, Stage::New | Stage::Asked(_)) {
            mailbox.stage = Stage::Failed(error.clone());
        }
        mailbox.waker.take()
    }

    pub(super) fn hear(&self, message: &Message) -> Option<Waker> {
        let mut mailbox = self.lock();
        if !matches!(mailbox.stage, Stage::Live) || mailbox.deaf {
            return None;
        }
        let event = Event::from(message.clone());
        if mailbox.has_room(weight(&event)) {
            mailbox.push(event);
        } else {
            // Too slow to hear everything: as good as a gap, and bounded.
            mailbox.clear();
            mailbox.events.extend([Event::Gap, Event::Resumed]);
        }
        mailbox.waker.take()
    }

    /// A message that cannot be carried: a gap that is over at once.
    pub(super) fn miss(&self) -> Option<Waker> {
        let mut mailbox = self.lock();
        if !matches!(mailbox.stage, Stage::Live) || mailbox.deaf {
            return None;
        }
        if mailbox.events.len() >= MAILBOX_EVENTS {
            mailbox.clear();
        }
        mailbox.events.extend([Event::Gap, Event::Resumed]);
        mailbox.waker.take()
    }

    pub(super) fn gap(&self) -> Option<Waker> {
        let mut mailbox = self.lock();
        match mailbox.stage {
            Stage::Asked(_) => mailbox.stage = Stage::New,
            Stage::Live if !mailbox.deaf => {
                mailbox.deaf = true;
                // A connection that comes and goes must not fill a mailbox that nobody reads.
                if mailbox.events.len() >= MAILBOX_EVENTS {
                    mailbox.clear();
                }
                mailbox.push(Event::Gap);
                return mailbox.waker.take();
            }
            _ => {}
        }
        None
    }

    pub(super) fn end(&self) -> Option<Waker> {
        let mut mailbox = self.lock();
        mailbox.stage = Stage::Ended;
        mailbox.waker.take()
    }
}

fn closed(key: &Key) -> BackendError {
    use crate::{ErrorKind, Operation};
    BackendError::new(ErrorKind::Closed, Operation::Subscribe, "").on(key)
}
