//! Waits that cannot be seen: a compute that waits for a call in another task. The spare place ends them.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures_util::future::join_all;
use memolock::core::{ErrorKind, Phase};
use memolock::{Error, Memolock};
use tokio::time::{Instant, sleep};

use crate::common::{SECOND, Spy, builder, settle, value};
use crate::{Meter, TICK, all_places_are_free, down};

type Likes = Memolock<String>;

/// A call that spawns another one, and waits for it: with work before and after that.
async fn spawning(
    likes: &Likes,
    other: &Likes,
    inner: &Meter,
    nth: usize,
    around: [Duration; 2],
) -> Result<(), Error> {
    let compute = |_| async {
        let (other, inner) = (other.clone(), inner.clone());
        sleep(around[0]).await;
        let spawned = tokio::spawn(async move {
            let work = |_| async {
                inner.work(TICK).await;
                value("inner").await
            };
            other.get_or_compute(&format!("inner-{nth}"), work).await
        });
        let got = spawned.await.unwrap();
        sleep(around[1]).await;
        got.map(|v| (*v).clone()).map_err(|e| e.to_string())
    };
    let outer = format!("outer-{nth}");
    likes.get_or_compute(&outer, compute).await.map(drop)
}

const AT_ONCE: [Duration; 2] = [Duration::ZERO; 2];

#[tokio::test(start_paused = true)]
async fn a_spawned_nested_call_in_one_place_runs_after_a_quarter_of_its_time() {
    let likes = down(1).await;
    let began = Instant::now();
    let inner = Meter::default();
    let call = spawning(&likes, &likes, &inner, 0, AT_ONCE);
    call.await.unwrap();
    assert_eq!(began.elapsed(), SECOND * 30 / 4 + TICK);
    assert_eq!(likes.stats().overflows, 1);
    all_places_are_free(&likes, 1).await;
}

/// Many calls at once: the spare place goes to those that were spawned, and not to one more that spawns.
#[tokio::test(start_paused = true)]
async fn spawned_nested_calls_of_many_all_succeed() {
    for (places, calls) in [(1, 2), (1, 3), (1, 20), (2, 20), (64, 65), (64, 200)] {
        for before in [Duration::ZERO, TICK, 30 * TICK] {
            for after in [Duration::ZERO, TICK, 90 * TICK] {
                let likes = down(places).await;
                let inner = Meter::default();
                let around = [before, after];
                let calls = (0..calls).map(|nth| spawning(&likes, &likes, &inner, nth, around));
                for call in join_all(calls).await {
                    let ended = call.map_err(|e| e.to_string());
                    assert_eq!(ended, Ok(()), "{places} places, {around:?}");
                }
                assert!(inner.most() <= places + 1);
                // With many places, some nested calls may come before all places are taken.
                let overflows = likes.stats().overflows;
                assert!(places > 2 || overflows > 0, "{places} places, {around:?}");
                all_places_are_free(&likes, places).await;
            }
        }
    }
}

/// Without any place free, the spare one serves one after another.
#[tokio::test(start_paused = true)]
async fn what_runs_anyway_runs_one_at_a_time() {
    let likes = down(2).await;
    let hang = |id: &'static str| {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| std::future::pending::<Result<String, String>>();
            likes.get_or_compute(id, compute).await
        })
    };
    let hung = [hang("a"), hang("b")];
    settle("they hang", || likes.stats().degraded == 2).await;
    let meter = Meter::default();
    let began = Instant::now();
    let calls = (0..10).map(|nth: u32| {
        let (likes, meter) = (likes.clone(), meter.clone());
        async move {
            let compute = |_| async {
                meter.work(SECOND).await;
                value("anyway").await
            };
            likes.get_or_compute(&nth.to_string(), compute).await
        }
    });
    for call in join_all(calls).await {
        call.unwrap();
    }
    assert_eq!(began.elapsed(), SECOND * 30 / 4 + 10 * SECOND);
    assert_eq!((meter.most(), likes.stats().overflows), (1, 10));
    hung.iter().for_each(tokio::task::JoinHandle::abort);
    for call in hung {
        call.await.unwrap_err();
    }
    all_places_are_free(&likes, 2).await;
}

/// The quarter is that of the call's own wait time-out, and of its queueing.
#[tokio::test(start_paused = true)]
async fn the_quarter_is_that_of_the_call() {
    let likes = down(1).await;
    let compute = |_| async {
        let other = likes.clone();
        let spawned = tokio::spawn(async move {
            let entry = other.entry("inner").wait_timeout(2 * SECOND);
            entry.or_compute(|_| value("inner")).await.map(drop)
        });
        spawned.await.unwrap().unwrap();
        value("outer").await
    };
    let began = Instant::now();
    likes.get_or_compute("outer", compute).await.unwrap();
    assert_eq!(began.elapsed(), SECOND / 2);
}

/// Two memolocks in a circle, each call in a task of its own.
#[tokio::test(start_paused = true)]
async fn two_memolocks_in_a_circle_of_tasks() {
    let (likes, pages) = (down(1).await, down(1).await);
    let inner = Meter::default();
    let calls = (0..10).flat_map(|nth| {
        [
            spawning(&likes, &pages, &inner, nth, AT_ONCE),
            spawning(&pages, &likes, &inner, nth + 100, AT_ONCE),
        ]
    });
    for call in join_all(calls).await {
        call.unwrap();
    }
    assert!(inner.most() <= 4);
    assert!(likes.stats().overflows + pages.stats().overflows > 0);
    all_places_are_free(&likes, 1).await;
    all_places_are_free(&pages, 1).await;
}

/// The place of a compute is taken by one that waits, unseen, for that compute: it goes on in the spare one.
#[tokio::test(start_paused = true)]
async fn a_compute_may_go_on_in_the_spare_place() {
    let likes = down(1).await;
    let (first, second) = (likes.clone(), likes.clone());
    // It waits for a flight that a new call leads, so that its place goes to the queue.
    let first = tokio::spawn(async move {
        let compute = |_| async {
            sleep(TICK).await;
            first
                .get_or_compute("led", |_| value("mine"))
                .await
                .unwrap();
            value("first").await
        };
        first.get_or_compute("first", compute).await.map(drop)
    });
    tokio::task::yield_now().await;
    let led = likes.get_or_compute("led", |_| async {
        sleep(TICK).await;
        value("led").await
    });
    let second = async {
        // In the queue before the first one comes back.
        let compute = |_| async {
            let waits = second.clone();
            let spawned = tokio::spawn(async move {
                let mine = waits.get_or_compute("first", |_| value("not first"));
                mine.await.map(drop)
            });
            spawned.await.unwrap().unwrap();
            value("second").await
        };
        second.get_or_compute("second", compute).await
    };
    let (led, second) = tokio::join!(led, second);
    led.unwrap();
    second.unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(likes.stats().overflows, 1);
    all_places_are_free(&likes, 1).await;
}

/// Without any nested call: those that have queued for a quarter of their time are served beside the others.
#[tokio::test(start_paused = true)]
async fn a_crowd_is_served_one_more_at_a_time() {
    let spy = Spy::new();
    let likes = builder(&spy)
        .local_computes(1)
        .wait_timeout(8 * SECOND)
        .build()
        .await
        .unwrap();
    spy.break_with(Some(ErrorKind::Unavailable));
    let meter = Meter::default();
    let calls = (0..12).map(|nth: u32| {
        let (likes, meter) = (&likes, &meter);
        async move {
            let compute = |_| async {
                meter.work(SECOND).await;
                value("served").await
            };
            likes.get_or_compute(&nth.to_string(), compute).await
        }
    });
    for call in join_all(calls).await {
        call.unwrap();
    }
    assert_eq!(meter.most(), 2);
    assert!(likes.stats().overflows >= 4);
    all_places_are_free(&likes, 1).await;
}

/// A call whose time is over in the queue says so, and leaves.
#[tokio::test(start_paused = true)]
async fn a_call_may_still_time_out_in_the_queue() {
    let spy = Spy::new();
    let likes = builder(&spy).local_computes(1).build().await.unwrap();
    spy.break_with(Some(ErrorKind::Unavailable));
    let call = |id: &'static str| {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| async {
                sleep(60 * SECOND).await;
                value("slow").await
            };
            likes.get_or_compute(id, compute).await
        })
    };
    let slow = [call("a"), call("b")];
    sleep(SECOND * 8).await;
    let error = likes.get_or_compute("c", |_| value("c")).await.unwrap_err();
    let queued = Phase::Queueing;
    assert!(matches!(error, Error::Timeout { phase, .. } if phase == queued));
    for slow in slow {
        slow.await.unwrap().unwrap();
    }
    assert_eq!(likes.stats().overflows, 1);
    all_places_are_free(&likes, 1).await;
}
