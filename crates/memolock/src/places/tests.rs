//! The queue for places: its order, and what requests that are dropped leave behind.
#![allow(clippy::unwrap_used)]

use super::*;
use futures_util::FutureExt;

const SECOND: Duration = Duration::from_secs(1);

async fn enter(places: &Arc<Places>, rank: Rank) -> Permit {
    places.enter(rank, Instant::now(), SECOND).await
}

fn at_rest(places: &Places, free: usize) {
    let queue = places.lock();
    assert!(queue.free == free && queue.spare.is_none());
    assert_eq!((queue.waiting.len(), queue.overdue), (0, 0));
}

/// Who queues in this order, a moment apart, and the order in which they have the place that `held` gives up.
async fn order(places: &Arc<Places>, ranks: &[Rank], leaves: impl Future) -> Vec<usize> {
    let order = Mutex::new(Vec::new());
    let all = ranks.iter().enumerate().map(|(nth, rank)| {
        let order = &order;
        async move {
            let permit = enter(places, *rank).await;
            order.lock().unwrap().push(nth);
            tokio::task::yield_now().await;
            drop(permit);
        }
    });
    tokio::join!(futures_util::future::join_all(all), leaves);
    order.into_inner().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_queue_goes_by_rank_and_then_by_turn() {
    use Rank::{Nested, New, Return};
    let places = Places::new(1);
    let held = enter(&places, New).await;
    let ranks = [New, Nested, Return, New, Nested];
    let went = order(&places, &ranks, async { drop(held) }).await;
    assert_eq!(went, [2, 1, 4, 0, 3]);
    assert_eq!(places.overflows(), 0);
    at_rest(&places, 1);
}

/// The spare place goes to one after the other, the newest of the new ones first.
#[tokio::test(start_paused = true)]
async fn a_stuck_queue_goes_by_the_spare_place_and_from_its_end() {
    use Rank::{Nested, New};
    let places = Places::new(1);
    let held = enter(&places, New).await;
    let began = Instant::now();
    let went = order(&places, &[New, Nested, New, New], async {}).await;
    assert_eq!(went, [1, 3, 2, 0]);
    assert_eq!((began.elapsed(), places.overflows()), (SECOND, 4));
    // Nobody is overdue any more: those that come later queue as before.
    let went = order(&places, &[New, New], async { drop(held) }).await;
    assert_eq!(went, [0, 1]);
    assert_eq!(places.overflows(), 4);
    at_rest(&places, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_leaves_no_trace() {
    let places = Places::new(1);
    let held = enter(&places, Rank::New).await;
    assert!(enter(&places, Rank::New).now_or_never().is_none());
    // Granted, and dropped before it has seen that: the next one has the place.
    let mut granted = Box::pin(enter(&places, Rank::Nested));
    let mut next = Box::pin(enter(&places, Rank::New));
    assert!((&mut granted).now_or_never().is_none());
    assert!((&mut next).now_or_never().is_none());
    drop(held);
    drop(granted);
    let held = next.now_or_never().unwrap();
    // Overdue, and gone.
    let late = tokio::time::timeout(2 * SECOND, async {
        let spare = enter(&places, Rank::New).await;
        let _next = enter(&places, Rank::New).await;
        drop(spare);
    });
    late.await.unwrap_err();
    drop(held);
    assert_eq!(places.overflows(), 1);
    at_rest(&places, 1);
}

#[tokio::test(start_paused = true)]
async fn the_spare_place_is_for_one_at_a_time() {
    let places = Places::new(1);
    let held = enter(&places, Rank::New).await;
    let spare = enter(&places, Rank::New).await;
    let mut third = Box::pin(enter(&places, Rank::New));
    let waits = tokio::time::timeout(60 * SECOND, &mut third);
    waits.await.unwrap_err();
    drop((held, spare));
    drop(third.await);
    assert_eq!(places.overflows(), 2);
    at_rest(&places, 1);
}
