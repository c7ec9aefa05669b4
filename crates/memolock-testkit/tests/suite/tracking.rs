//! What those who keep copies ask of a broken backend: memory's answers, over a line that can be cut, but for one thing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use futures_util::{FutureExt, StreamExt, stream};
use memolock_core::{
    Backend, BackendError, Change, Key, Keyspace, Layout, Remaining, Tag, Timed, Tracking,
};
use tokio::sync::watch;

use crate::faults::Fault;
use crate::store::{State, Store, now};

struct Tracker {
    store: Arc<Store>,
    closed: Arc<AtomicBool>,
    line: watch::Receiver<State>,
    space: Keyspace,
    heard: Tracking,
    cut: bool,
    values: usize,
}

/// What a client's tracker hears.
pub(crate) fn of(
    store: &Arc<Store>,
    closed: &Arc<AtomicBool>,
    line: watch::Receiver<State>,
    space: &Keyspace,
) -> Option<Tracking> {
    let mut heard = store.memory.track(space)?;
    if store.fault == Fault::TrackersHearTheWholeStore {
        // A tag that the suite makes next to this one.
        let beside = Tag::new(&format!("{}x", space.tag())).unwrap();
        let beside = Keyspace::new(beside, Layout::Classic).unwrap();
        let changes = store.memory.track(&beside)?;
        let values = changes.filter(|change| {
            let value = matches!(change, Change::Value(_));
            std::future::ready(value)
        });
        heard = Box::pin(stream::select(heard, values));
    }
    let tracker = Tracker {
        store: Arc::clone(store),
        closed: Arc::clone(closed),
        line,
        space: space.clone(),
        heard,
        cut: false,
        values: 0,
    };
    let changes = stream::unfold(tracker, |mut tracker| async {
        let change = tracker.next().await?;
        Some((change, tracker))
    });
    Some(Box::pin(changes))
}

/// Values with their times.
pub(crate) fn timed(store: &Store, keys: &[Key]) -> Result<Vec<Option<Timed>>, BackendError> {
    let mut found = now(store.memory.get_timed(keys))?;
    match store.fault {
        Fault::TimesAreForgotten => {
            let values = found.iter_mut().flatten();
            values.for_each(|timed| timed.remaining = Remaining::Forever);
        }
        Fault::TimedAnswersComeBackwards => found.reverse(),
        Fault::WhatIsAbsentIsPassedOver => found.retain(Option::is_some),
        _ => {}
    }
    Ok(found)
}

impl Tracker {
    async fn next(&mut self) -> Option<Change> {
        loop {
            if self.closed.load(SeqCst) && self.store.fault != Fault::CloseLeavesTrackers {
                return None;
            }
            tokio::select! {
                biased;
                changed = self.line.changed() => {
                    changed.ok()?;
                    let cut = *self.line.borrow() == State::Cut;
                    if std::mem::replace(&mut self.cut, cut) == cut {
                        continue;
                    }
                    while self.heard.next().now_or_never().is_some() {}
                    let told = if cut { Change::Gap } else { Change::Resumed };
                    if self.store.fault != Fault::TrackersHearOfNoGap {
                        return Some(told);
                    }
                }
                change = self.heard.next() => match self.tell(change?) {
                    Some(change) if !self.cut => return Some(change),
                    _ => {}
                },
            }
        }
    }

    /// What becomes of a change.
    fn tell(&mut self, change: Change) -> Option<Change> {
        let Change::Value(id) = change else {
            let hears = self.store.fault != Fault::TrackersNeverHear;
            return hears.then_some(change);
        };
        self.values += 1;
        let key = self.space.key(&id).unwrap();
        match self.store.fault {
            Fault::TrackersHearTheFirstChangeOnly if self.values > 1 => None,
            Fault::TrackersHearNames => Some(Change::Value(key.value_name())),
            Fault::TrackersHearNoDeletions => {
                let there = now(self.store.memory.get(&key)).unwrap().is_some();
                there.then_some(Change::Value(id))
            }
            _ => Some(Change::Value(id)),
        }
    }
}
