//! Calls for many ids, nested and with nested calls: one place serves all computes of such a call.
#![allow(clippy::unwrap_used)]

use futures_util::future::join_all;
use memolock::Memolock;

use crate::common::value;
use crate::{Meter, TICK, all_places_are_free, down};

type Made = Result<Vec<(String, String)>, String>;

async fn each(meter: &Meter, ids: Vec<String>) -> Made {
    meter.work(TICK).await;
    Ok(ids.into_iter().map(|id| (id.clone(), id)).collect())
}

async fn many(likes: &Memolock<String>, meter: &Meter, ids: [&str; 2]) {
    let got = likes.get_or_compute_many(ids, |ids| each(meter, ids)).await;
    let got = got.into_result().unwrap();
    assert_eq!(got.iter().map(|v| v.as_str()).collect::<Vec<_>>(), ids);
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_compute_asks_for_many_in_one_place() {
    let likes = down(1).await;
    let meter = Meter::default();
    let calls = (0..20).map(|nth| {
        let (likes, meter) = (&likes, &meter);
        async move {
            let ids = [format!("a{nth}"), format!("b{nth}")];
            let got = likes.get_or_compute_many(ids, |ids| async {
                meter.work(TICK).await;
                // One of its own, and two that all share.
                let own = format!("own{nth}");
                many(likes, meter, [&own, "shared"]).await;
                likes
                    .get_or_compute("single", |_| async {
                        meter.work(TICK).await;
                        value("single").await
                    })
                    .await
                    .unwrap();
                each(meter, ids).await
            });
            got.await.into_result().unwrap().len()
        }
    });
    assert_eq!(join_all(calls).await, [2; 20]);
    assert_eq!((meter.most(), likes.stats().overflows), (1, 0));
    all_places_are_free(&likes, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_compute_that_asks_for_many_in_one_place() {
    let likes = down(1).await;
    let meter = Meter::default();
    let calls = (0..20).map(|nth| {
        let (likes, meter) = (&likes, &meter);
        async move {
            let compute = |_| async {
                let ids = [format!("a{nth}"), format!("b{nth}")];
                tokio::join!(
                    many(likes, meter, [&ids[0], "x"]),
                    many(likes, meter, ["x", &ids[1]]),
                );
                meter.work(TICK).await;
                value("outer").await
            };
            likes.get_or_compute(&nth.to_string(), compute).await
        }
    });
    for call in join_all(calls).await {
        call.unwrap();
    }
    assert_eq!((meter.most(), likes.stats().overflows), (1, 0));
    all_places_are_free(&likes, 1).await;
}

/// A batch that is won later begins with the place, although a nested call of the first batch waits.
#[tokio::test(start_paused = true)]
async fn two_batches_of_one_call_in_one_place() {
    let likes = down(1).await;
    let meter = Meter::default();
    // It leads y, and is dropped: the call for both takes y over while its first batch is under way.
    let leader = likes.get_or_compute("y", |_| std::future::pending::<Result<String, String>>());
    let mut leader = Box::pin(leader);
    assert!(futures_util::poll!(leader.as_mut()).is_pending());
    let both = likes.get_or_compute_many(["x", "y"], |ids| async {
        if ids == ["x"] {
            let nested = format!("nested {}", ids[0]);
            many(&likes, &meter, [&nested, "z"]).await;
        }
        each(&meter, ids).await
    });
    let leaves = async {
        tokio::time::sleep(TICK / 2).await;
        drop(leader);
    };
    let (both, ()) = tokio::join!(both, leaves);
    assert_eq!(both.into_result().unwrap().len(), 2);
    assert!(
        meter.most() <= 2,
        "a call for many has one place for its batches"
    );
    assert_eq!(likes.stats().overflows, 0);
    all_places_are_free(&likes, 1).await;
}
