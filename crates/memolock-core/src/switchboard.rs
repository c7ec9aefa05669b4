//! Routing of notifications to listeners, for authors of backends.

mod listener;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};

use crate::sync::{Mutex, MutexGuard};
use crate::{BackendError, Key, Message};

pub use listener::Listener;
use listener::{Ear, Stage};

/// Who listens to which key, and what the store must be asked for their sake.
///
/// It is the bookkeeping half of a subscription connection; the IO half is the backend's:
///
/// 1. [`subscribe`](Switchboard::listen) calls `listen` and awaits [`Listener::confirmed`];
/// 2. the task that owns the connection awaits [`changes`](Switchboard::changes), asks the store to
///    subscribe and unsubscribe what it says, and reports each confirmation with
///    [`confirm`](Switchboard::confirm), each message with [`deliver`](Switchboard::deliver), each that
///    does not fit with [`missed`](Switchboard::missed);
/// 3. when the connection breaks it calls [`gap`](Switchboard::gap). All keys then come out of
///    `changes` again, and each confirmation tells its listeners [`Event::Resumed`](crate::Event::Resumed).
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
    /// Requests that the store has answered.
    answered: u64,
}

/// One key's listeners and how far the store has confirmed them.
#[derive(Debug, Default)]
struct Route {
    sent: u64,
    confirmed: u64,
    ears: Vec<Arc<Ear>>,
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
        inner.answered += 1;
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
        inner.answered += 1;
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

    /// Something happened to `key` that no message can carry, such as a value that is too large for the
    /// store's messages: its listeners hear a gap that is over at once, and look.
    pub fn missed(&self, key: &Key) {
        let wakers: Vec<_> = match self.lock().routes.get(key) {
            Some(route) => route.ears.iter().filter_map(|e| e.miss()).collect(),
            None => return,
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The store has ended the subscription of `key` by itself: its listeners hear a gap, and it must be asked for
    /// again. Confirmations of it that are outstanding do not count any more, so none may be: only for those who ask
    /// for one thing at a time, while nothing is asked.
    pub fn lost(&self, key: &Key) {
        let mut inner = self.lock();
        let Some(route) = inner.routes.get_mut(key) else {
            return;
        };
        (route.sent, route.confirmed) = (0, 0);
        let wakers: Vec<_> = route.ears.iter().filter_map(|e| e.gap()).collect();
        let owner = inner.soil(key);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        wake(owner);
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

    /// How many requests to subscribe the store has answered so far. While the number grows the store is at
    /// work: a listener who waits for its own confirmation waits behind others, and not for a store that hangs.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.lock().answered
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

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
