//! What is left behind: in the client, and in the store.

use memolock::Memolock;
use memolock::core::Backend;

use super::{Spy, key, settle};

/// R9: nothing is left behind in the client or the store's subscriptions.
pub async fn nothing_left(spy: &Spy, memolocks: &[&Memolock<String>]) {
    settle("nothing in flight", || {
        memolocks.iter().all(|m| {
            let left = m.in_flight();
            left.flights == 0 && left.leases == 0 && left.tasks == 0
        }) && spy.stats().subscriptions == 0
    })
    .await;
}

/// Whether the store has a lock for `id`.
pub async fn locked(spy: &Spy, memolock: &Memolock<String>, id: &str) -> bool {
    let found = spy.store().inspect(&key(memolock, id)).await.unwrap();
    found.lock.is_some()
}
