//! Calls inside computes while the store is down, under a bound of local computes: only running work holds a place.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod leaving;
mod many;
mod shapes;
mod unseen;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{Spy, builder};
use memolock::Memolock;
use memolock::core::ErrorKind;
use tokio::time::sleep;

/// A memolock whose store is down, with so many places.
async fn down(places: usize) -> Memolock<String> {
    let spy = Spy::new();
    let likes = builder(&spy).local_computes(places).build().await.unwrap();
    spy.break_with(Some(ErrorKind::Unavailable));
    likes
}

/// Work that counts how much of it runs at once.
#[derive(Debug, Clone, Default)]
struct Meter(Arc<(AtomicUsize, AtomicUsize)>);

impl Meter {
    async fn work(&self, lasts: Duration) {
        let running = self.0.0.fetch_add(1, SeqCst) + 1;
        self.0.1.fetch_max(running, SeqCst);
        let _ended = Ended(self);
        sleep(lasts).await;
    }

    /// The most that ran at once.
    fn most(&self) -> usize {
        self.0.1.load(SeqCst)
    }
}

struct Ended<'a>(&'a Meter);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, SeqCst);
    }
}

const TICK: Duration = Duration::from_millis(10);

/// R9: all places are free, so that a call computes at once.
async fn all_places_are_free(likes: &Memolock<String>, places: usize) {
    let began = tokio::time::Instant::now();
    let barrier = Arc::new(tokio::sync::Barrier::new(places));
    let calls = (0..places).map(|nth| {
        let (likes, barrier) = (likes.clone(), Arc::clone(&barrier));
        async move {
            let compute = |_| async {
                barrier.wait().await;
                common::value("free").await
            };
            likes
                .get_or_compute(&format!("free-{nth}"), compute)
                .await
                .unwrap()
        }
    });
    futures_util::future::join_all(calls).await;
    assert_eq!(began.elapsed(), Duration::ZERO, "a place is lost");
    let left = likes.in_flight();
    assert_eq!((left.flights, left.tasks), (0, 0));
}
