//! Nested calls of every shape that can be seen: they need no spare place.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use memolock::core::{ErrorKind, Operation};
use memolock::{Error, Memolock};
use tokio::time::{Instant, sleep, timeout};

use crate::common::{Fault, SECOND, Spy, builder, never, process, settle, value};
use crate::{Meter, TICK, all_places_are_free, down};

type Likes = Memolock<String>;

/// A call without calls in it.
async fn leaf(likes: &Likes, meter: &Meter, id: &str) -> Result<Arc<String>, Error> {
    let compute = |_| async {
        meter.work(TICK).await;
        value(id).await
    };
    likes.get_or_compute(id, compute).await
}

/// The input of the report: each compute asks the same memolock for another id.
async fn two_hundred(places: usize) {
    let likes = down(places).await;
    let meter = Meter::default();
    let calls = (0..200).map(|nth| {
        let (likes, meter) = (likes.clone(), meter.clone());
        tokio::spawn(async move {
            let compute = |_| async {
                meter.work(TICK).await;
                let inner = leaf(&likes, &meter, &format!("inner-{nth}")).await.unwrap();
                meter.work(TICK).await;
                Ok::<_, Infallible>(format!("outer of {inner}"))
            };
            let got = likes.get_or_compute(&format!("outer-{nth}"), compute).await;
            assert_eq!(*got.unwrap(), format!("outer of inner-{nth}"));
        })
    });
    for call in join_all(calls).await {
        call.unwrap();
    }
    assert_eq!(meter.most(), places, "only running work has a place");
    assert_eq!(likes.stats().overflows, 0);
    all_places_are_free(&likes, places).await;
}

#[tokio::test(start_paused = true)]
async fn two_hundred_calls_whose_computes_call_again_all_succeed() {
    two_hundred(64).await;
}

#[tokio::test(start_paused = true)]
async fn two_hundred_calls_whose_computes_call_again_all_succeed_in_one_place() {
    two_hundred(1).await;
}

/// A nested call takes over the place of its compute: outer computes do not all begin before the first one ends.
#[tokio::test(start_paused = true)]
async fn a_nested_call_goes_before_new_ones() {
    let likes = down(1).await;
    let meter = Meter::default();
    let outer = |id: &'static str| {
        let (likes, meter) = (&likes, &meter);
        async move {
            let compute = |_| async {
                meter.work(TICK).await;
                leaf(likes, meter, &format!("{id}-inner")).await.unwrap();
                value("done").await
            };
            likes.get_or_compute(id, compute).await.unwrap();
            Instant::now()
        }
    };
    let began = Instant::now();
    let ends = join_all([outer("a"), outer("b"), outer("c")]).await;
    let ends: Vec<_> = ends.iter().map(|end| end.duration_since(began)).collect();
    assert_eq!(ends, [2 * TICK, 4 * TICK, 6 * TICK]);
}

#[tokio::test(start_paused = true)]
async fn four_levels_deep_in_one_place() {
    fn level<'a>(
        likes: &'a Likes,
        meter: &'a Meter,
        left: u32,
    ) -> std::pin::Pin<Box<dyn Future<Output = String> + Send + 'a>> {
        Box::pin(async move {
            let compute = |_| async {
                meter.work(TICK).await;
                let inner = match left {
                    0 => "end".to_owned(),
                    _ => level(likes, meter, left - 1).await,
                };
                meter.work(TICK).await;
                Ok::<_, Infallible>(format!("{left} {inner}"))
            };
            let got = likes.get_or_compute(&left.to_string(), compute).await;
            (*got.unwrap()).clone()
        })
    }
    let likes = down(1).await;
    let meter = Meter::default();
    assert_eq!(level(&likes, &meter, 3).await, "3 2 1 0 end");
    assert_eq!((meter.most(), likes.stats().overflows), (1, 0));
    all_places_are_free(&likes, 1).await;
}

#[tokio::test(start_paused = true)]
async fn several_nested_calls_at_once_in_one_place() {
    let likes = down(1).await;
    let meter = Meter::default();
    let joined = |_| async {
        let (a, b) = tokio::join!(leaf(&likes, &meter, "a"), leaf(&likes, &meter, "b"));
        meter.work(TICK).await;
        Ok::<_, Infallible>(format!("{} {}", a.unwrap(), b.unwrap()))
    };
    assert_eq!(*likes.get_or_compute("join", joined).await.unwrap(), "a b");
    let unordered = |_| async {
        let ids: Vec<_> = (0..50).map(|nth| format!("u{nth}")).collect();
        let mut calls: FuturesUnordered<_> =
            ids.iter().map(|id| leaf(&likes, &meter, id)).collect();
        let mut ended = 0;
        while let Some(got) = calls.next().await {
            got.unwrap();
            ended += 1;
        }
        meter.work(TICK).await;
        value(&ended.to_string()).await
    };
    assert_eq!(*likes.get_or_compute("fu", unordered).await.unwrap(), "50");
    assert_eq!((meter.most(), likes.stats().overflows), (1, 0));
    all_places_are_free(&likes, 1).await;
}

/// What the compute does beside a nested call does not let another outer compute in.
#[tokio::test(start_paused = true)]
async fn work_beside_a_nested_call_leaves_outer_computes_bounded() {
    let likes = down(2).await;
    let (outer, inner) = (Meter::default(), Meter::default());
    let calls = (0..20).map(|nth| {
        let (likes, outer, inner) = (likes.clone(), outer.clone(), inner.clone());
        async move {
            let compute = |_| async {
                let id = format!("inner-{nth}");
                let (nested, ()) = tokio::join!(leaf(&likes, &inner, &id), outer.work(TICK));
                nested.unwrap();
                outer.work(TICK).await;
                value("done").await
            };
            likes.get_or_compute(&nth.to_string(), compute).await
        }
    });
    for call in join_all(calls).await {
        call.unwrap();
    }
    assert!(outer.most() <= 2 && inner.most() <= 2);
    assert_eq!(likes.stats().overflows, 0);
    all_places_are_free(&likes, 2).await;
}

/// The first one that ends wins, and the compute goes on with a place.
#[tokio::test(start_paused = true)]
async fn a_select_of_nested_calls_in_one_place() {
    let likes = down(1).await;
    let meter = Meter::default();
    let other = likes.get_or_compute("other", |_| async {
        meter.work(TICK).await;
        value("other").await
    });
    let compute = |_| async {
        let first = tokio::select! {
            got = leaf(&likes, &meter, "a") => got,
            got = leaf(&likes, &meter, "b") => got,
        };
        meter.work(TICK).await;
        first.map(|v| (*v).clone()).map_err(|e| e.to_string())
    };
    let (got, other) = tokio::join!(likes.get_or_compute("select", compute), other);
    assert!(got.unwrap().len() == 1 && *other.unwrap() == "other");
    assert_eq!((meter.most(), likes.stats().overflows), (1, 0));
    all_places_are_free(&likes, 1).await;
}

/// A nested call that is dropped: the compute has a place again from its next poll on.
#[tokio::test(start_paused = true)]
async fn a_nested_call_that_is_given_up_in_one_place() {
    let likes = down(1).await;
    let meter = Meter::default();
    // Over a store that is well, where the value is computed elsewhere for a minute.
    let spy = Spy::new();
    let (pages, elsewhere) = (process(&spy).await, process(&spy).await);
    let held = elsewhere.get_or_compute("slow", |_| async {
        sleep(60 * SECOND).await;
        value("slow").await
    });
    let compute = |_| async {
        spy.called(Operation::Acquire, 1).await;
        let slow = pages.get_or_compute("slow", |_| never());
        timeout(SECOND, slow).await.unwrap_err();
        tokio::task::yield_now().await;
        meter.work(TICK).await;
        value("went on").await
    };
    let others = async {
        sleep(SECOND / 2).await;
        let ids: Vec<_> = (0..5).map(|nth| format!("o{nth}")).collect();
        let ended = join_all(ids.iter().map(|id| leaf(&likes, &meter, id))).await;
        assert!(ended.into_iter().all(|got| got.is_ok()));
        let late = ["p", "q"].map(|id| async {
            sleep(SECOND / 2 - 5 * TICK).await;
            leaf(&likes, &meter, id).await.unwrap();
        });
        join_all(late).await;
    };
    let outer = likes.get_or_compute("outer", compute);
    let (got, ()) = tokio::select! {
        _ = held => panic!("the others wait for nobody"),
        both = async { tokio::join!(outer, others) } => both,
    };
    assert_eq!(*got.unwrap(), "went on");
    assert_eq!(meter.most(), 1);
    assert_eq!(likes.stats().overflows, 0);
    all_places_are_free(&likes, 1).await;
}

/// A nested call joins a flight whose leader is a new call and queues: the leader gets the place.
#[tokio::test(start_paused = true)]
async fn a_nested_call_may_join() {
    let likes = down(1).await;
    let meter = Meter::default();
    let outer = |id: &'static str| {
        let (likes, meter) = (likes.clone(), meter.clone());
        tokio::spawn(async move {
            let compute = |_| async {
                meter.work(TICK).await;
                leaf(&likes, &meter, "shared").await.unwrap();
                meter.work(TICK).await;
                value("done").await
            };
            likes.get_or_compute(id, compute).await.unwrap();
        })
    };
    let mut calls = vec![outer("a")];
    settle("a computes", || likes.stats().degraded == 1).await;
    calls.push(tokio::spawn({
        let (likes, meter) = (likes.clone(), meter.clone());
        async move { drop(leaf(&likes, &meter, "shared").await.unwrap()) }
    }));
    settle("it queues", || likes.in_flight().flights == 2).await;
    calls.push(outer("b"));
    for call in calls {
        timeout(7 * SECOND, call).await.unwrap().unwrap();
    }
    assert_eq!(likes.stats().joins, 1, "a has joined");
    assert_eq!((meter.most(), likes.stats().overflows), (1, 0));
    all_places_are_free(&likes, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_detached_nested_call_in_one_place() {
    let likes = down(1).await;
    let meter = Meter::default();
    let calls = (0..20).map(|nth| {
        let (likes, meter) = (&likes, &meter);
        async move {
            let compute = |_| async {
                let id = format!("inner-{nth}");
                let (deep, work) = (likes.clone(), meter.clone());
                let detached = likes.entry(&id).detach().or_compute(move |_| async move {
                    work.work(TICK).await;
                    leaf(&deep, &work, &format!("deep-{nth}")).await.unwrap();
                    work.work(TICK).await;
                    value("inner").await
                });
                detached.await.unwrap();
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

/// Each compute of one memolock asks the other one, whose compute asks the first one again.
#[tokio::test(start_paused = true)]
async fn two_memolocks_in_a_circle_with_one_place_each() {
    let (likes, pages) = (down(1).await, down(1).await);
    let meter = Meter::default();
    let around = |one: &Likes, other: &Likes, id: String| {
        let (one, other, meter) = (one.clone(), other.clone(), meter.clone());
        tokio::spawn(async move {
            let compute = |_| async {
                let between = |_| async {
                    leaf(&one, &meter, &format!("end-{id}")).await.unwrap();
                    meter.work(TICK).await;
                    value("between").await
                };
                let middle = format!("middle-{id}");
                other.get_or_compute(&middle, between).await.unwrap();
                meter.work(TICK).await;
                value("around").await
            };
            one.get_or_compute(&format!("start-{id}"), compute)
                .await
                .unwrap()
        })
    };
    let calls = (0..20).flat_map(|nth| {
        [
            around(&likes, &pages, format!("l{nth}")),
            around(&pages, &likes, format!("p{nth}")),
        ]
    });
    for call in join_all(calls).await {
        call.unwrap();
    }
    assert!(meter.most() <= 2, "one place each");
    assert_eq!((likes.stats().overflows, pages.stats().overflows), (0, 0));
    all_places_are_free(&likes, 1).await;
    all_places_are_free(&pages, 1).await;
}

/// A compute under a lease needs no place, and neither does a call in it that has one.
#[tokio::test(start_paused = true)]
async fn a_compute_under_a_lease_calls_when_the_store_has_failed() {
    let spy = Spy::new();
    let likes = builder(&spy).local_computes(1).build().await.unwrap();
    let meter = Meter::default();
    let compute = async |lease: memolock::Lease| {
        assert!(lease.is_held());
        spy.break_with(Some(ErrorKind::Unavailable));
        let (a, b) = tokio::join!(leaf(&likes, &meter, "a"), leaf(&likes, &meter, "b"));
        a.and(b).unwrap();
        spy.break_with(None);
        value("leased").await
    };
    let got = likes.get_or_compute("outer", compute).await.unwrap();
    assert_eq!((got.as_str(), meter.most()), ("leased", 1));
    all_places_are_free(&likes, 1).await;
}

/// The store is back for the nested call, which then computes under a lease: the place is free meanwhile.
#[tokio::test(start_paused = true)]
async fn a_nested_call_may_have_a_lease() {
    let spy = Spy::new();
    let likes = builder(&spy).local_computes(1).build().await.unwrap();
    let meter = Meter::default();
    spy.tamper(Operation::Get, Fault::Fails(ErrorKind::Refused));
    let outer = likes.get_or_compute("outer", |_| async {
        let inner = |lease: memolock::Lease| async move {
            assert!(lease.is_held());
            sleep(SECOND).await;
            value("inner").await
        };
        likes.get_or_compute("inner", inner).await.unwrap();
        meter.work(TICK).await;
        value("outer").await
    });
    let other = async {
        sleep(TICK).await;
        spy.tamper(Operation::Get, Fault::Fails(ErrorKind::Refused));
        let began = Instant::now();
        leaf(&likes, &meter, "other").await.unwrap();
        assert_eq!(began.elapsed(), TICK);
    };
    let (got, ()) = tokio::join!(outer, other);
    assert_eq!((got.unwrap().as_str(), meter.most()), ("outer", 1));
    assert_eq!(likes.stats().degraded, 2);
}
