//! Many ids while the store is failing.
#![allow(clippy::unwrap_used)]

use memolock::core::{ErrorKind, Operation};
use memolock::{CircuitBreaker, Error, OutagePolicy, Source};

use crate::batches::{Batches, each};
use crate::common::{Fault, SECOND, Spy, builder, nothing_left, process, settle};

#[tokio::test(start_paused = true)]
async fn r11_all_are_computed_here_at_once_in_one_place() {
    let spy = Spy::new();
    let likes = builder(&spy).local_computes(1).build().await.unwrap();
    spy.break_with(Some(ErrorKind::Unavailable));
    let batches = Batches::default();
    let ids = ["a", "b", "c"];
    let all = likes.get_or_compute_many(ids, |ids| batches.run(ids)).await;
    assert_eq!(all.into_result().unwrap().len(), 3);
    assert_eq!(
        batches.seen(),
        [ids],
        "once for all, though there is but one place"
    );
    assert_eq!(spy.total(), 2, "a look, and another");
    assert_eq!(likes.stats().degraded, 3);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_place_is_waited_for_and_given_back() {
    let spy = Spy::new();
    let likes = builder(&spy).local_computes(1).build().await.unwrap();
    spy.break_with(Some(ErrorKind::Unavailable));
    let batches = Batches::default();
    let first = likes.get_or_compute_many(["a", "b"], async |ids| {
        settle("the others wait for a place", || {
            likes.in_flight().flights == 4
        })
        .await;
        tokio::time::sleep(SECOND).await;
        batches.run(ids).await
    });
    let second = async {
        settle("the first is at it", || likes.stats().computes == 2).await;
        likes
            .get_or_compute_many(["c", "d"], |ids| batches.run(ids))
            .await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.into_result().is_ok() && second.into_result().is_ok());
    assert_eq!(batches.seen(), [["a", "b"], ["c", "d"]]);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn those_who_must_not_compute_twice_get_the_error() {
    let spy = Spy::new();
    let likes = builder(&spy)
        .on_outage(OutagePolicy::Fail)
        .build()
        .await
        .unwrap();
    spy.break_with(Some(ErrorKind::Unavailable));
    let all = likes.get_or_compute_many(["a", "b"], each).await;
    assert!(
        all.iter()
            .all(|(_, answer)| matches!(answer, Err(Error::Backend(_)))),
        "{all:?}"
    );
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_spares_the_store() {
    let spy = Spy::new();
    let breaker = CircuitBreaker::new().timeouts(2);
    let likes = builder(&spy)
        .circuit_breaker(breaker)
        .build()
        .await
        .unwrap();
    spy.break_with(Some(ErrorKind::Timeout));
    assert!(
        likes
            .get_or_compute_many(["a", "b"], each)
            .await
            .into_result()
            .is_ok()
    );
    assert!(
        likes.stats().circuit_open,
        "two calls of many are two time-outs"
    );
    let before = spy.count(Operation::Acquire);
    assert!(
        likes
            .get_or_compute_many(["c", "d"], each)
            .await
            .into_result()
            .is_ok()
    );
    assert_eq!(spy.count(Operation::Acquire), before);
    assert!(likes.stats().spared > 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_values_are_served() {
    let spy = Spy::new();
    let likes = builder(&spy)
        .on_outage(OutagePolicy::Serve)
        .build()
        .await
        .unwrap();
    likes
        .get_or_compute_many(["a", "b"], each)
        .await
        .into_result()
        .unwrap();
    likes.get_many(["a", "b"]).await.into_result().unwrap();
    spy.break_with(Some(ErrorKind::Unavailable));
    let all = likes
        .get_or_compute_many(["a", "b", "c"], each)
        .await
        .into_result()
        .unwrap();
    let sources: Vec<Source> = all.iter().map(memolock::Memo::source).collect();
    assert_eq!(sources, [Source::Stale, Source::Stale, Source::Computed]);
    let read = likes.get_many(["a", "z"]).await;
    let a = read.get("a").unwrap().as_ref().unwrap().as_ref().unwrap();
    assert_eq!(a.source(), Source::Stale);
    assert!(matches!(read.get("z"), Some(Err(Error::Backend(_)))));
    nothing_left(&spy, &[&likes]).await;
}

/// A look that was under way during an invalidation must not bring back what was forgotten.
#[tokio::test(start_paused = true)]
async fn what_is_invalidated_during_a_look_is_not_remembered() {
    let spy = Spy::new();
    let likes = builder(&spy)
        .on_outage(OutagePolicy::Serve)
        .build()
        .await
        .unwrap();
    likes.put("a", &"old".to_owned()).await.unwrap();
    spy.tamper(Operation::Get, Fault::Late(SECOND));
    let look = likes.get_many(["a"]);
    let invalidate = async {
        settle("the look is under way", || spy.count(Operation::Get) == 1).await;
        likes.invalidate("a").await.unwrap();
    };
    let (found, ()) = tokio::join!(look, invalidate);
    assert!(found.into_result().unwrap()[0].is_some());
    spy.break_with(Some(ErrorKind::Unavailable));
    let read = likes.get_many(["a"]).await;
    assert!(
        matches!(read.get("a"), Some(Err(Error::Backend(_)))),
        "{read:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_the_middle_costs_no_value() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let all = likes.get_or_compute_many(["a", "b"], async |ids| {
        spy.break_with(Some(ErrorKind::Unavailable));
        each(ids).await
    });
    assert_eq!(all.await.into_result().unwrap().len(), 2, "R3");
    spy.break_with(None);
    tokio::time::sleep(20 * SECOND).await;
    nothing_left(&spy, &[&likes]).await;
}
