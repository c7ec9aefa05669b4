//! The keeper: the task that hears changes for a near cache, and reads back what was written here.

use std::pin::Pin;
use std::sync::{Arc, Weak};

use futures_util::StreamExt;
use memolock_codec::Codec;
use memolock_core::{BackendError, Change, Remaining, Timed, Tracking};

use super::State;
use super::cache::Near;
use super::due::Due;
use crate::shared::Shared;
use crate::sieve::Judged;
use crate::store::Store;

/// Copies that are read back together: decoding them holds up the keeper for about a millisecond.
const TOGETHER: usize = 256;

/// What came back.
struct Answer<T> {
    due: Vec<Due<T>>,
    found: Result<Vec<Option<Timed>>, BackendError>,
    /// When it was asked for.
    at: u64,
}

type Reading<T> = Pin<Box<dyn Future<Output = Answer<T>> + Send>>;

/// The keeper of one near cache. It keeps no memolock alive: without its last clone it ends.
struct Keeper<T, C> {
    near: Arc<Near<T>>,
    store: Arc<Store>,
    shared: Weak<Shared<T, C>>,
}

/// Starts the keeper, if there is a near cache.
pub(crate) fn start<T, C>(shared: &Arc<Shared<T, C>>)
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    let Some(near) = &shared.near else {
        return;
    };
    let hub = &shared.hub;
    let keeper = Keeper {
        near: Arc::clone(near),
        store: Arc::clone(&hub.store),
        shared: Arc::downgrade(shared),
    };
    let tracking = hub.store.track(&hub.space);
    if tracking.is_none() {
        tracing::info!(tag = %hub.space.tag(), "this store tells of no changes: near copies are bounded by their age alone");
        near.flush(State::Aged);
    }
    hub.serve(keeper.run(tracking));
}

impl<T, C> Keeper<T, C>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    async fn run(self, mut tracking: Option<Tracking>) {
        // Whatever ends this task, a panic of the backend's too: nobody hears changes any more.
        let _deaf = Deaf(&self.near);
        let mut reading: Option<Reading<T>> = None;
        loop {
            tokio::task::consume_budget().await;
            tokio::select! {
                biased;
                change = next(&mut tracking) => self.heard(&mut tracking, change),
                answer = settle(&mut reading) => {
                    reading = None;
                    self.answered(answer);
                }
                due = self.near.due(TOGETHER), if reading.is_none() => {
                    reading = Some(self.read(due));
                }
            }
        }
    }

    fn heard(&self, tracking: &mut Option<Tracking>, change: Option<Change>) {
        match change {
            Some(Change::Value(id)) => self.near.changed(&id),
            Some(Change::Resumed) => self.near.flush(State::Live),
            Some(Change::All) => self.near.forget(),
            Some(Change::Gap) => self.near.flush(State::Deaf),
            Some(Change::Refused(error)) => {
                tracing::warn!(%error, "the store refuses to tell of changes: near copies are bounded by their age alone");
                *tracking = None;
                self.near.flush(State::Aged);
            }
            // The backend is closed.
            None => {
                *tracking = None;
                self.near.flush(State::Deaf);
            }
        }
    }

    fn read(&self, due: Vec<Due<T>>) -> Reading<T> {
        let store = Arc::clone(&self.store);
        let shared = self.shared.upgrade();
        // All of them, since an id that was a key once is one again; or none, if the memolock is gone.
        let keys = shared.and_then(|shared| {
            let keys = due.iter().map(|due| shared.hub.space.key(&due.id));
            keys.collect::<Result<Vec<_>, _>>().ok()
        });
        let at = self.near.now();
        Box::pin(async move {
            let found = store.read_back(&keys.unwrap_or_default()).await;
            Answer { due, found, at }
        })
    }

    fn answered(&self, Answer { due, found, at }: Answer<T>) {
        let found = found.unwrap_or_else(|error| {
            tracing::debug!(%error, "near copies could not be read back");
            Vec::new()
        });
        let found = found.into_iter().chain(std::iter::repeat(None));
        for (due, found) in due.into_iter().zip(found) {
            let fresh = found.and_then(|found| self.decode(&due.id, &found));
            self.near.read_back(due, fresh, at);
        }
    }

    /// What was read back; nothing if it is passed over. The next call asks the store, and does what is to be done.
    fn decode(&self, id: &str, Timed { value, remaining }: &Timed) -> Option<(Arc<T>, Remaining)> {
        let shared = self.shared.upgrade()?;
        match shared.judge(value) {
            Judged::Value(value) => Some((Arc::new(value), *remaining)),
            Judged::PassedOver(error) | Judged::Error(error) => {
                let key = shared.hub.space.key(id).ok()?;
                shared.note_unread(&key, &error);
                None
            }
        }
    }
}

struct Deaf<'a, T>(&'a Near<T>);

impl<T> Drop for Deaf<'_, T> {
    fn drop(&mut self) {
        self.0.flush(State::Deaf);
    }
}

/// The next change, or never.
async fn next(tracking: &mut Option<Tracking>) -> Option<Change> {
    match tracking {
        Some(tracking) => tracking.next().await,
        None => std::future::pending().await,
    }
}

/// The answer to what is being read, or never.
async fn settle<T>(reading: &mut Option<Reading<T>>) -> Answer<T> {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}
