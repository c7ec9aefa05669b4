//! Routing of notifications to listeners, for authors of backends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::{BackendError, Event, Key, Message};

/// Events that a listener may leave unread before they are replaced by a gap.
const MAILBOX_EVENTS: usize = 32;

/// Who listens to which key, and what the store must be asked for their sake.
///
/// It is the bookkeeping half of a subscription connection; the IO half is the backend's:
///
/// 1. [`subscribe`](Switchboard::listen) calls `listen` and awaits [`Listener::confirmed`];
/// 2. the task that owns the connection awaits [`changes`](Switchboard::changes), asks the store to
///    subscribe and unsubscribe what it says, and reports each confirmation with
///    [`confirm`](Switchboard::confirm), each message with [`deliver`](Switchboard::deliver);
/// 3. when the connection breaks it calls [`gap`](Switchboard::gap). All keys then come out of
///    `changes` again, and each confirmation tells its listeners [`Event::Resumed`].
///
/// Every listener asks the store anew, even for a key that is subscribed already: its confirmation
/// is the fence that keeps out what was published before it listened.
///
/// A backend whose store is in this process has no one to ask: it uses [`attach`](Switchboard::attach).
#[derive(Debug, Default)]
pub struct Switchboard {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    routes: BTreeMap<Key, Route>,
    dirty: BTreeSet<Key>,
    owner: Option<Waker>,
    closed: bool,
}

/// One key's listeners and how far the store has confirmed them.
#[derive(Debug, Default)]
struct Route {
    sent: u64,
    confirmed: u64,
    ears: Vec<Arc<Ear>>,
}

#[derive(Debug)]
struct Ear(Mutex<Mailbox>);

#[derive(Debug)]
struct Mailbox {
    stage: Stage,
    /// A gap was told, and its end not yet.
    deaf: bool,
    events: VecDeque<Event>,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Stage {
    /// Not yet asked for.
    New,
    /// Asked for by the n-th request of its route.
    Asked(u64),
    Live,
    Failed(BackendError),
    Ended,
}

/// What the store must be asked, from [`Switchboard::changes`].
#[derive(Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Keys to subscribe, some of them again.
    pub subscribe: Vec<Key>,
    /// Keys that nobody listens to any more.
    pub unsubscribe: Vec<Key>,
}

impl Switchboard {
    /// A switchboard without listeners.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A new listener, deaf until the store has confirmed: see [`Listener::confirmed`].
    #[must_use]
    pub fn listen(self: &Arc<Self>, key: &Key) -> Listener {
        self.add(key, Stage::New)
    }

    /// A new listener that hears everything from now on, for stores that need not be asked.
    #[must_use]
    pub fn attach(self: &Arc<Self>, key: &Key) -> Listener {
        self.add(key, Stage::Live)
    }

    fn add(self: &Arc<Self>, key: &Key, stage: Stage) -> Listener {
        let mut inner = self.lock();
        let ask = matches!(stage, Stage::New);
        let stage = if inner.closed { Stage::Ended } else { stage };
        let ear = Arc::new(Ear::new(stage));
        let owner = if inner.closed {
            None
        } else {
            inner
                .routes
                .entry(key.clone())
                .or_default()
                .ears
                .push(Arc::clone(&ear));
            if ask { inner.soil(key) } else { None }
        };
        drop(inner);
        wake(owner);
        Listener {
            board: Arc::clone(self),
            key: key.clone(),
            ear,
        }
    }

    /// Waits until there is something to ask of the store, and takes it. For one task only: the
    /// owner of the connection. Cancel-safe. After [`close`](Switchboard::close) it never returns.
    pub async fn changes(&self) -> Changes {
        poll_fn(|cx| {
            let mut inner = self.lock();
            if inner.dirty.is_empty() {
                inner.owner = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(inner.take_changes())
        })
        .await
    }

    /// The store has confirmed one subscription of `key`. Confirmations come in the order of requests.
    pub fn confirm(&self, key: &Key) {
        let mut inner = self.lock();
        let Some(route) = inner.routes.get_mut(key) else {
            return;
        };
        route.confirmed = (route.confirmed + 1).min(route.sent);
        let confirmed = route.confirmed;
        let wakers: Vec<_> = route
            .ears
            .iter()
            .filter_map(|e| e.confirm(confirmed))
            .collect();
        // The last listener may have left while the store was being asked.
        let owner = if route.ears.is_empty() {
            inner.soil(key)
        } else {
            None
        };
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        wake(owner);
    }

    /// The store refused one request to subscribe `key`, in its order among the confirmations: who
    /// waits for one gets the error, and who was cut off by a gap ends.
    pub fn refuse(&self, key: &Key, error: &BackendError) {
        let mut inner = self.lock();
        let Some(route) = inner.routes.get_mut(key) else {
            return;
        };
        // It answers one request, as a confirmation does: those behind it are still under way, and
        // theirs must not be taken for those of later listeners.
        route.confirmed = (route.confirmed + 1).min(route.sent);
        let wakers: Vec<_> = route.ears.iter().filter_map(|e| e.refuse(error)).collect();
        let owner = if route.ears.is_empty() {
            inner.soil(key)
        } else {
            None
        };
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        wake(owner);
    }

    /// Something was published for `key`.
    pub fn deliver(&self, key: &Key, message: &Message) {
        let wakers: Vec<_> = match self.lock().routes.get(key) {
            Some(route) => route.ears.iter().filter_map(|e| e.hear(message)).collect(),
            None => return,
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The connection is gone: every listener is told, and every key must be asked for again.
    pub fn gap(&self) {
        let mut inner = self.lock();
        let Inner { routes, dirty, .. } = &mut *inner;
        let mut wakers = Vec::new();
        for (key, route) in routes {
            (route.sent, route.confirmed) = (0, 0);
            wakers.extend(route.ears.iter().filter_map(|e| e.gap()));
            dirty.insert(key.clone());
        }
        let owner = inner.owner.take();
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        wake(owner);
    }

    /// Ends every listener, now and later.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.dirty.clear();
        let routes = std::mem::take(&mut inner.routes);
        drop(inner);
        let ears = routes.into_values().flat_map(|r| r.ears);
        ears.filter_map(|e| e.end()).for_each(Waker::wake);
    }

    /// How many keys are listened to, or still being unsubscribed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().routes.len()
    }

    /// Whether nobody listens to anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn remove(&self, key: &Key, ear: &Arc<Ear>) {
        let mut inner = self.lock();
        let Some(route) = inner.routes.get_mut(key) else {
            return;
        };
        route.ears.retain(|e| !Arc::ptr_eq(e, ear));
        let owner = if !route.ears.is_empty() {
            None
        } else if route.sent == 0 && !inner.dirty.contains(key) {
            // The store was never asked.
            inner.routes.remove(key);
            None
        } else {
            inner.soil(key)
        };
        drop(inner);
        wake(owner);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every critical section leaves the tables whole, so a panic elsewhere poisons nothing.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Marks `key` for the owner's attention; returns whom to wake.
    fn soil(&mut self, key: &Key) -> Option<Waker> {
        self.dirty.insert(key.clone());
        self.owner.take()
    }

    fn take_changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        for key in std::mem::take(&mut self.dirty) {
            let Some(route) = self.routes.get_mut(&key) else {
                continue;
            };
            if !route.ears.is_empty() {
                route.sent += 1;
                let sent = route.sent;
                route.ears.iter().for_each(|e| e.asked(sent));
                changes.subscribe.push(key);
            } else if route.sent == route.confirmed {
                let was_asked = route.sent > 0;
                self.routes.remove(&key);
                if was_asked {
                    changes.unsubscribe.push(key);
                }
            }
            // Else a confirmation is outstanding, and a later listener would take it for its own:
            // `confirm` brings the key back here.
        }
        changes
    }
}

impl Ear {
    fn new(stage: Stage) -> Self {
        Self(Mutex::new(Mailbox {
            stage,
            deaf: false,
            events: VecDeque::new(),
            waker: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self, sent: u64) {
        let mut mailbox = self.lock();
        if matches!(mailbox.stage, Stage::New) {
            mailbox.stage = Stage::Asked(sent);
        }
    }

    fn confirm(&self, confirmed: u64) -> Option<Waker> {
        let mut mailbox = self.lock();
        match mailbox.stage {
            Stage::Asked(n) if n <= confirmed => mailbox.stage = Stage::Live,
            Stage::Live if mailbox.deaf => {
                mailbox.deaf = false;
                mailbox.events.push_back(Event::Resumed);
            }
            _ => return None,
        }
        mailbox.waker.take()
    }

    fn refuse(&self, error: &BackendError) -> Option<Waker> {
        let mut mailbox = self.lock();
        if mailbox.deaf || matches!(mailbox.stage, Stage::New | Stage::Asked(_)) {
            mailbox.stage = Stage::Failed(error.clone());
        }
        mailbox.waker.take()
    }

    fn hear(&self, message: &Message) -> Option<Waker> {
        let mut mailbox = self.lock();
        if !matches!(mailbox.stage, Stage::Live) || mailbox.deaf {
            return None;
        }
        if mailbox.events.len() >= MAILBOX_EVENTS {
            // Too slow to hear everything: as good as a gap, and bounded.
            mailbox.events.clear();
            mailbox.events.extend([Event::Gap, Event::Resumed]);
        } else {
            mailbox.events.push_back(message.clone().into());
        }
        mailbox.waker.take()
    }

    fn gap(&self) -> Option<Waker> {
        let mut mailbox = self.lock();
        match mailbox.stage {
            Stage::Asked(_) => mailbox.stage = Stage::New,
            Stage::Live if !mailbox.deaf => {
                mailbox.deaf = true;
                // A connection that comes and goes must not fill a mailbox that nobody reads.
                if mailbox.events.len() >= MAILBOX_EVENTS {
                    mailbox.events.clear();
                }
                mailbox.events.push_back(Event::Gap);
                return mailbox.waker.take();
            }
            _ => {}
        }
        None
    }

    fn end(&self) -> Option<Waker> {
        let mut mailbox = self.lock();
        mailbox.stage = Stage::Ended;
        mailbox.waker.take()
    }
}

/// One listener to one key: a stream of its [`Event`]s. Dropping it stops listening.
#[derive(Debug)]
pub struct Listener {
    board: Arc<Switchboard>,
    key: Key,
    ear: Arc<Ear>,
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

fn closed(key: &Key) -> BackendError {
    use crate::{ErrorKind, Operation};
    BackendError::new(ErrorKind::Closed, Operation::Subscribe, "").on(key)
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
