//! Routing of changes to whoever keeps copies, for authors of backends.

use std::future::poll_fn;
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};

use super::tracker::{Ear, Tracker};
use crate::sync::{Mutex, MutexGuard};
use crate::{BackendError, Key, Keyspace};

/// Who follows which keyspace, and what the store must be asked for their sake.
///
/// As [`Switchboard`](crate::Switchboard) for notifications, it is the bookkeeping half; the IO half is the
/// backend's:
///
/// 1. [`Backend::track`](crate::Backend::track) returns what [`track`](Self::track) here does, boxed;
/// 2. the task that owns the connection awaits [`wishes`](Self::wishes), asks the store, and says what came of
///    it by [`confirm`](Self::confirm) or [`refuse`](Self::refuse): one wish at a time;
/// 3. what the store tells it passes on: [`deliver`](Self::deliver) for the name of a value that changed,
///    [`all`](Self::all) when everything did, [`gap`](Self::gap) when the connection breaks. What is wished
///    for comes out of `wishes` again then.
///
/// The store is asked for prefixes of names, none of which begins with another: Redis refuses those that
/// overlap. Trackers of overlapping keyspaces, such as of the tags `a` and `a:b`, share the shortest.
///
/// A backend whose store is in this process has no one to ask: it uses [`attach`](Self::attach), and
/// [`changed`](Self::changed).
#[derive(Debug, Default)]
pub struct TrackingBoard {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    ears: Vec<Arc<Ear>>,
    /// The prefixes that the store tells of.
    told: Vec<String>,
    asked: Option<Asked>,
    owner: Option<Waker>,
    closed: bool,
}

/// What the store is being asked for.
#[derive(Debug)]
struct Asked {
    prefixes: Vec<String>,
    anew: bool,
}

/// What the store must be asked, from [`TrackingBoard::wishes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// To tell of these prefixes too. None overlaps another one, or one that it tells of already.
    Also(Vec<String>),
    /// To tell of these prefixes and of no others: what it tells of so far overlaps them.
    Only(Vec<String>),
    /// To tell of nothing any more.
    Nothing,
}

impl TrackingBoard {
    /// A board without trackers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A new tracker, deaf until the store has confirmed.
    #[must_use]
    pub fn track(self: &Arc<Self>, space: &Keyspace) -> Tracker {
        let ear = Arc::new(Ear::new(space));
        let mut inner = self.lock();
        let owner = inner.add(&ear);
        if is_covered(ear.prefix(), &inner.told) {
            ear.resume();
        }
        drop(inner);
        wake(owner);
        Tracker::new(Arc::clone(self), ear)
    }

    /// A new tracker that hears everything from now on, for stores that need not be asked.
    #[must_use]
    pub fn attach(self: &Arc<Self>, space: &Keyspace) -> Tracker {
        let ear = Arc::new(Ear::new(space));
        let mut inner = self.lock();
        inner.add(&ear);
        ear.resume();
        drop(inner);
        Tracker::new(Arc::clone(self), ear)
    }

    /// Waits until there is something to ask of the store. For one task only: the owner of the connection.
    /// Nothing comes until the last wish was confirmed or refused, or the connection broke. Cancel-safe.
    /// After [`close`](Self::close) it never returns.
    pub async fn wishes(&self) -> Wish {
        poll_fn(|cx| {
            let mut inner = self.lock();
            match inner.wish() {
                Some(wish) => Poll::Ready(wish),
                None => {
                    inner.owner = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The store has done what was wished for: trackers hear from now on.
    pub fn confirm(&self) {
        let mut inner = self.lock();
        let Some(asked) = inner.asked.take() else {
            return;
        };
        match asked.anew {
            true => inner.told = asked.prefixes,
            false => inner.told.extend(asked.prefixes),
        }
        let Inner { ears, told, .. } = &*inner;
        let heard = ears.iter().filter(|ear| is_covered(ear.prefix(), told));
        let wakers: Vec<_> = heard.filter_map(|ear| ear.resume()).collect();
        // Somebody may have come or gone while the store was being asked.
        let owner = inner.owner.take();
        drop(inner);
        wakers.into_iter().chain(owner).for_each(Waker::wake);
    }

    /// The store will not do what was wished for: those that it was asked for are told, and are not asked for
    /// again.
    pub fn refuse(&self, error: &BackendError) {
        let mut inner = self.lock();
        let Some(asked) = inner.asked.take() else {
            return;
        };
        if asked.anew {
            inner.told.clear();
        }
        let wanted = inner.ears.iter();
        let refused = wanted.filter(|ear| is_covered(ear.prefix(), &asked.prefixes));
        let wakers: Vec<_> = refused.filter_map(|ear| ear.refuse(error)).collect();
        let owner = inner.owner.take();
        drop(inner);
        wakers.into_iter().chain(owner).for_each(Waker::wake);
    }

    /// The value of this name has changed. A name that is none of ours reaches nobody.
    pub fn deliver(&self, name: &[u8]) {
        let Ok(name) = str::from_utf8(name) else {
            return;
        };
        let inner = self.lock();
        let wakers: Vec<_> = inner.ears.iter().filter_map(|e| e.hear(name)).collect();
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The value of this key has changed.
    pub fn changed(&self, key: &Key) {
        if !self.is_empty() {
            self.deliver(key.value_name().as_bytes());
        }
    }

    /// Any value may have changed.
    pub fn all(&self) {
        let inner = self.lock();
        let wakers: Vec<_> = inner.ears.iter().filter_map(|e| e.all()).collect();
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The connection is gone: every tracker is told, and what they want is wished for again.
    pub fn gap(&self) {
        let mut inner = self.lock();
        inner.told.clear();
        inner.asked = None;
        let wakers: Vec<_> = inner.ears.iter().filter_map(|e| e.gap()).collect();
        let owner = inner.owner.take();
        drop(inner);
        wakers.into_iter().chain(owner).for_each(Waker::wake);
    }

    /// Ends every tracker, now and later.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.asked = None;
        let ears = std::mem::take(&mut inner.ears);
        drop(inner);
        ears.iter().filter_map(|e| e.end()).for_each(Waker::wake);
    }

    /// How many trackers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().ears.len()
    }

    /// Whether nobody tracks anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn remove(&self, ear: &Arc<Ear>) {
        let mut inner = self.lock();
        inner.ears.retain(|e| !Arc::ptr_eq(e, ear));
        let owner = inner.owner.take();
        drop(inner);
        wake(owner);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every critical section leaves the lists whole, so a panic elsewhere poisons nothing.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn add(&mut self, ear: &Arc<Ear>) -> Option<Waker> {
        if self.closed {
            ear.end();
            return None;
        }
        self.ears.push(Arc::clone(ear));
        self.owner.take()
    }

    /// What the store is to be asked next.
    fn wish(&mut self) -> Option<Wish> {
        if self.closed || self.asked.is_some() {
            return None;
        }
        let wanted = self.wanted();
        if wanted.is_empty() {
            if self.told.is_empty() {
                return None;
            }
            self.asked = Some(Asked {
                prefixes: Vec::new(),
                anew: true,
            });
            return Some(Wish::Nothing);
        }
        let missing: Vec<String> = wanted
            .iter()
            .filter(|p| !is_covered(p, &self.told))
            .cloned()
            .collect();
        if missing.is_empty() {
            return None;
        }
        let overlaps = self.told.iter().any(|told| is_covered(told, &missing));
        if !overlaps {
            self.asked = Some(Asked {
                prefixes: missing.clone(),
                anew: false,
            });
            return Some(Wish::Also(missing));
        }
        // The store forgets what it tells of, and learns anew: nothing is heard meanwhile.
        for ear in &self.ears {
            wake(ear.gap());
        }
        self.told.clear();
        self.asked = Some(Asked {
            prefixes: wanted.clone(),
            anew: true,
        });
        Some(Wish::Only(wanted))
    }

    /// The prefixes that cover every tracker who is to be asked for, none of them covered by another.
    fn wanted(&self) -> Vec<String> {
        let asking = self.ears.iter().filter(|ear| ear.wants());
        let mut prefixes: Vec<&str> = asking.map(|ear| ear.prefix()).collect();
        // What begins with a prefix stands right behind it in this order.
        prefixes.sort_unstable();
        let mut wanted: Vec<String> = Vec::new();
        for prefix in prefixes {
            if wanted
                .last()
                .is_none_or(|last| !prefix.starts_with(last.as_str()))
            {
                wanted.push(prefix.to_owned());
            }
        }
        wanted
    }
}

fn is_covered(prefix: &str, by: &[String]) -> bool {
    by.iter()
        .any(|shorter| prefix.starts_with(shorter.as_str()))
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
