//! A subscription that follows its slot.
//!
//! It listens at the node that serves the slot, whatever the kind of notifications: there the peers publish, so that a
//! classic message too is heard without the cluster's bus, on which one may be lost. When the slot moves it moves as
//! well, at once and not lazily, for the same reason.
//!
//! ```text
//! Listening --the node's link is lost: Gap--> Deaf, the node's own board asks again --confirmed: Resumed--> Listening
//!    |  '--the map says another node, or the node has ended the listener: Gap--.            |
//!    |                                                                         v           v the map says another node
//!    '<------------- confirmed at the new owner: Resumed --------------- Homeless, asking the owner again and again
//! ```
//!
//! What could go wrong, and what answers it:
//!
//! | interleaving | answer |
//! |---|---|
//! | the map changes between the look at it and the confirmation | news are marked as seen *before* the look, so the change is found right after |
//! | the slot moves and nobody here knows | classic messages come by the bus; of sharded ones the server ends the subscription, which is a gap; without that word the map is asked for each second |
//! | the old owner resumes while the new one is not known yet | Resumed is told, and whoever looks then is sent to the new owner, which changes the map: a gap again |
//! | a message of the old owner comes after the gap | its listener is dropped in the same step in which the gap is told |
//! | a gap in a gap | told once: Gap and Resumed alternate |
//! | the node is closed because it serves nothing any more | its listener ends, ours does not: a gap |
//! | the backend is closed | the news say so, and it ends |

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use memolock_core::redis::cluster::{Place, key_slot};
use memolock_core::{BackendError, ErrorKind, Event, Key, Listener, Operation};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::atlas::Owner;
use super::node::{Node, Opener};
use super::shared::{News, Shared, State};

/// Pauses between attempts to subscribe double, between these.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// One subscription.
pub(crate) struct Ear<O: Opener> {
    shared: Arc<Shared<O>>,
    key: Key,
    slot: u16,
    news: watch::Receiver<News>,
    /// None: homeless.
    home: Option<(Listener, Place)>,
    /// A gap was told, and its end not yet.
    deaf: bool,
}

impl<O: Opener> Ear<O> {
    /// Listens, once the owner of the slot has confirmed, within the bound of a command.
    pub(crate) async fn open(shared: &Arc<Shared<O>>, key: &Key) -> Result<Self, BackendError> {
        let mut ear = Self {
            shared: Arc::clone(shared),
            key: key.clone(),
            slot: key_slot(key),
            news: shared.news(),
            home: None,
            deaf: false,
        };
        // From here on: it counts for as long as there is an ear.
        shared.listens(key, true);
        ear.settle().await?;
        Ok(ear)
    }

    /// Its events. One caller may begin to wait and another, on another runtime, go on: timers are the home's.
    pub(crate) fn events(self) -> impl Stream<Item = Event> + Send {
        let home = self.shared.home.clone();
        let events = stream::unfold(self, |mut ear| async move {
            let event = ear.next().await?;
            Some((event, ear))
        });
        // Whoever asks again after the end is told so again.
        home.stream(events).fuse()
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            let Some((listener, place)) = &mut self.home else {
                self.resettle().await?;
                self.deaf = false;
                return Some(Event::Resumed);
            };
            tokio::select! {
                biased;
                news = self.news.changed() => {
                    if news.is_err() || self.shared.is_closed() {
                        return None;
                    }
                    let moved = self.shared.atlas().place(self.slot).is_some_and(|p| p != place);
                    if moved {
                        self.home = None;
                        if !std::mem::replace(&mut self.deaf, true) {
                            return Some(Event::Gap);
                        }
                    }
                }
                event = listener.next() => match event {
                    Some(Event::Gap) => {
                        if !std::mem::replace(&mut self.deaf, true) {
                            return Some(Event::Gap);
                        }
                    }
                    Some(Event::Resumed) => {
                        if std::mem::replace(&mut self.deaf, false) {
                            return Some(Event::Resumed);
                        }
                    }
                    Some(message) => return Some(message),
                    None if self.shared.is_closed() => return None,
                    None => {
                        self.home = None;
                        self.shared.doubt.notify_one();
                        if !std::mem::replace(&mut self.deaf, true) {
                            return Some(Event::Gap);
                        }
                    }
                },
            }
        }
    }

    /// Until somebody has confirmed. None: it is over.
    async fn resettle(&mut self) -> Option<()> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.settle().await {
                Ok(()) => return Some(()),
                Err(_) if self.shared.is_closed() => return None,
                // It will be so tomorrow: as when a server refuses after a gap.
                Err(error) if !(error.is_retryable() || error.is_redirected()) => return None,
                Err(_) => self.rest(&mut pause).await,
            }
        }
    }

    /// Subscribes at the owner of the slot, within the bound.
    async fn settle(&mut self) -> Result<(), BackendError> {
        let deadline = Instant::now() + self.shared.bound;
        let mut pause = FIRST_PAUSE;
        loop {
            // Before the look at the map.
            let closed = matches!(self.news.borrow_and_update().state, State::Closed);
            let outcome = match self.shared.owner(self.slot) {
                _ if closed => return Err(self.error(ErrorKind::Closed, "")),
                Owner::Post(post) => match post.node.listen(&self.key).await {
                    Ok(listener) => {
                        self.home = Some((listener, post.place.clone()));
                        return Ok(());
                    }
                    Err(error) => error,
                },
                Owner::Unknown => {
                    let mapped = self.shared.mapped().await;
                    mapped.map_err(|fault| fault.on(Operation::Subscribe, &self.key))?;
                    continue;
                }
                Owner::Nobody => {
                    let detail = format!("no node serves slot {}", self.slot);
                    self.error(ErrorKind::Refused, &detail).redirected(true)
                }
                Owner::Unusable(fault) => return Err(fault.on(Operation::Subscribe, &self.key)),
            };
            self.shared.doubt.notify_one();
            let elsewhere = outcome.is_redirected() || outcome.kind() == ErrorKind::Closed;
            if !elsewhere {
                return Err(outcome);
            }
            if Instant::now() + pause >= deadline {
                let detail = "nodes disagree about who serves the slot";
                return Err(self.error(ErrorKind::Refused, detail));
            }
            self.rest(&mut pause).await;
        }
    }

    /// A pause, unless there are news.
    async fn rest(&mut self, pause: &mut Duration) {
        tokio::select! {
            _ = self.news.changed() => {}
            () = sleep(*pause) => *pause = (*pause * 2).min(LAST_PAUSE),
        }
    }

    fn error(&self, kind: ErrorKind, detail: &str) -> BackendError {
        BackendError::new(kind, Operation::Subscribe, detail).on(&self.key)
    }
}

impl<O: Opener> Drop for Ear<O> {
    fn drop(&mut self) {
        self.shared.listens(&self.key, false);
    }
}
