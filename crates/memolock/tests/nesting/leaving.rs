//! R9: callers that leave, fail, panic or are closed in any state: no place is lost.
#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use memolock::{Error, Memolock};
use tokio::time::sleep;

use crate::common::{SECOND, settle, value};
use crate::{Meter, TICK, all_places_are_free, down};

type Likes = Memolock<String>;

/// Polls so often at most, a tick apart; whether it ended.
async fn polled(times: usize, call: impl Future) -> bool {
    let mut call = pin!(call);
    for _ in 0..times {
        if poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await {
            return true;
        }
        sleep(TICK / 2).await;
    }
    false
}

/// A compute with nested calls one after the other, and two at once.
async fn nests(likes: Likes, meter: Meter) -> Result<String, String> {
    let leaf = |id: &'static str| {
        let (likes, meter) = (&likes, &meter);
        async move {
            let compute = |_| async {
                meter.work(TICK).await;
                value(id).await
            };
            likes.get_or_compute(id, compute).await.unwrap()
        }
    };
    leaf("a").await;
    let spawned = tokio::join!(leaf("b"), leaf("c"));
    drop(spawned);
    meter.work(TICK).await;
    value("outer").await
}

/// Dropped at every poll, alone and beside others that want the place.
#[tokio::test(start_paused = true)]
async fn dropped_after_any_number_of_polls_it_keeps_no_place() {
    for beside in [0, 3] {
        for polls in 0.. {
            let likes = down(1).await;
            let meter = Meter::default();
            let others: Vec<_> = (0..beside)
                .map(|nth| {
                    let (likes, meter) = (likes.clone(), meter.clone());
                    tokio::spawn(async move {
                        let compute = |_| async {
                            meter.work(TICK).await;
                            value("other").await
                        };
                        likes
                            .get_or_compute(&format!("o{nth}"), compute)
                            .await
                            .map(drop)
                    })
                })
                .collect();
            let outer = likes.get_or_compute("outer", |_| nests(likes.clone(), meter.clone()));
            let ended = polled(polls, outer).await;
            for other in others {
                other.await.unwrap().unwrap();
            }
            settle("nothing in flight", || likes.in_flight().tasks == 0).await;
            all_places_are_free(&likes, 1).await;
            assert!(meter.most() <= 1 && likes.stats().overflows == 0, "{polls}");
            if ended {
                assert!(polls > 5);
                break;
            }
        }
    }
}

/// The leader of an outer call queues, and is dropped: the caller that takes over queues itself.
#[tokio::test(start_paused = true)]
async fn a_leader_that_queues_hands_over() {
    let likes = down(1).await;
    let meter = Meter::default();
    let slow = likes.get_or_compute("slow", |_| async {
        meter.work(SECOND).await;
        value("slow").await
    });
    let mut slow = pin!(slow);
    assert!(futures_util::poll!(slow.as_mut()).is_pending());
    let mut leader =
        Box::pin(likes.get_or_compute("outer", |_| nests(likes.clone(), meter.clone())));
    assert!(futures_util::poll!(leader.as_mut()).is_pending());
    let joiner = likes.get_or_compute("outer", |_| nests(likes.clone(), meter.clone()));
    let mut joiner = pin!(joiner);
    assert!(futures_util::poll!(joiner.as_mut()).is_pending());
    drop(leader);
    let (slow, joined) = tokio::join!(slow, joiner);
    assert_eq!(
        (slow.unwrap().as_str(), joined.unwrap().as_str()),
        ("slow", "outer")
    );
    assert_eq!((meter.most(), likes.stats().handovers), (1, 1));
    all_places_are_free(&likes, 1).await;
}

/// The leader is dropped while a call nested in its compute computes: who takes over begins again.
#[tokio::test(start_paused = true)]
async fn a_leader_whose_nested_call_computes_hands_over() {
    let likes = down(1).await;
    let meter = Meter::default();
    let outer = || likes.get_or_compute("outer", |_| nests(likes.clone(), meter.clone()));
    let mut leader = Box::pin(outer());
    assert!(!polled(2, leader.as_mut()).await);
    let mut joiner = Box::pin(outer());
    assert!(!polled(1, joiner.as_mut()).await);
    drop(leader);
    assert_eq!(*joiner.await.unwrap(), "outer");
    assert_eq!((meter.most(), likes.stats().handovers), (1, 1));
    assert_eq!(likes.stats().overflows, 0);
    all_places_are_free(&likes, 1).await;
}

/// The same compute that goes on when a nested call has failed or panicked has its place, and gives it back.
#[tokio::test(start_paused = true)]
async fn panics_and_errors_keep_no_place() {
    let likes = down(1).await;
    let meter = Meter::default();
    for outer_panics in [false, true] {
        let compute = |_| async {
            let panics = likes.get_or_compute("inner", |_| async {
                meter.work(TICK).await;
                panic!("inner");
                #[allow(unreachable_code)]
                value("never").await
            });
            let panicked = panics.await.unwrap_err();
            assert!(matches!(panicked, Error::Panicked { .. }));
            let fails = likes.get_or_compute("inner", |_| async {
                meter.work(TICK).await;
                Err::<String, _>("no luck".to_owned())
            });
            fails.await.unwrap_err();
            meter.work(TICK).await;
            assert!(!outer_panics, "outer");
            Err::<String, _>("outer".to_owned())
        };
        let other = likes.get_or_compute("other", |_| async {
            meter.work(TICK).await;
            value("other").await
        });
        let (outer, other) = tokio::join!(likes.get_or_compute("outer", compute), other);
        outer.unwrap_err();
        other.unwrap();
        assert_eq!((meter.most(), likes.stats().overflows), (1, 0));
        all_places_are_free(&likes, 1).await;
    }
}

/// Closed while one computes, one queues, and one waits for a nested call: all end at once.
#[tokio::test(start_paused = true)]
async fn a_close_ends_nested_calls_and_those_that_queue() {
    let likes = down(1).await;
    let call = |id: String, nested: bool| {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| async {
                if nested {
                    let inner = format!("inner of {id}");
                    let hang = |_| std::future::pending::<Result<String, String>>();
                    likes.get_or_compute(&inner, hang).await?;
                }
                Ok::<_, Error>(value("done").await.unwrap())
            };
            likes.get_or_compute(&id, compute).await.map(drop)
        })
    };
    let mut calls: Vec<_> = (0..5).map(|nth| call(nth.to_string(), true)).collect();
    calls.push(call("plain".to_owned(), false));
    settle("they queue", || likes.in_flight().flights >= 7).await;
    let began = tokio::time::Instant::now();
    likes.close().await;
    for call in calls {
        let ended = call.await.unwrap();
        assert!(ended.is_err());
    }
    assert!(began.elapsed() < SECOND);
}

/// What was nested may outlive the compute: then it belongs to no compute any more.
#[tokio::test(start_paused = true)]
async fn a_nested_call_that_outlives_its_compute() {
    let likes = Arc::new(down(1).await);
    let meter = Meter::default();
    let kept = std::sync::Mutex::new(None);
    let compute = |_| async {
        let (likes, meter) = (Arc::clone(&likes), meter.clone());
        let mut inner = Box::pin(async move {
            let compute = |_| async {
                meter.work(TICK).await;
                value("inner").await
            };
            likes.get_or_compute("inner", compute).await
        });
        assert!(!polled(1, inner.as_mut()).await);
        *kept.lock().unwrap() = Some(inner);
        value("outer").await
    };
    assert_eq!(
        *likes.get_or_compute("outer", compute).await.unwrap(),
        "outer"
    );
    let inner = kept.into_inner().unwrap().unwrap();
    assert_eq!(*inner.await.unwrap(), "inner");
    all_places_are_free(&likes, 1).await;
}
