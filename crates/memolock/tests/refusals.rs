//! A store that refuses for now: values and releases are not lost (R2, R3, R5).

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Fault, SECOND, Spy, builder, key, locked, never, nothing_left, process, value};
use memolock::core::{ErrorKind, Operation};
use memolock::{Error, Memolock};
use tokio::time::{Instant, sleep};

/// The store refuses from the compute on, for so long.
async fn refused_for(spy: &Spy, likes: &Memolock<String>, kind: ErrorKind, lasts: Duration) {
    let compute = |_| async {
        spy.break_with(Some(kind));
        value("kept").await
    };
    let began = Instant::now();
    let got = likes.get_or_compute("kristoff", compute).await.unwrap();
    assert_eq!(*got, "kept", "R3");
    assert_eq!(
        began.elapsed(),
        Duration::ZERO,
        "R3: no caller waits for it"
    );
    sleep(lasts).await;
    spy.break_with(None);
}

#[tokio::test(start_paused = true)]
async fn r2_a_value_that_is_refused_for_half_a_second_wakes_the_waiter_elsewhere() {
    for kind in [ErrorKind::Refused, ErrorKind::Unrecognized] {
        let spy = Spy::new();
        let (here, elsewhere) = (process(&spy).await, process(&spy).await);
        let began = Instant::now();
        let compute = |_| async {
            // The waiter listens by then.
            spy.called(Operation::Subscribe, 1).await;
            spy.called(Operation::Acquire, 3).await;
            tokio::task::yield_now().await;
            spy.break_with(Some(kind));
            value("kept").await
        };
        let mends = async {
            spy.called(Operation::Fulfil, 1).await;
            sleep(SECOND / 2).await;
            spy.break_with(None);
        };
        let (held, waited, ()) = tokio::join!(
            here.get_or_compute("kristoff", compute),
            elsewhere.get_or_compute("kristoff", |_| never()),
            mends,
        );
        assert_eq!(
            (held.unwrap().as_str(), waited.unwrap().as_str()),
            ("kept", "kept")
        );
        assert!(
            began.elapsed() < 2 * SECOND,
            "{kind:?}: {:?}",
            began.elapsed()
        );
        assert_eq!(here.stats().computes + elsewhere.stats().computes, 1);
        nothing_left(&spy, &[&here, &elsewhere]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_is_stored_whenever_the_refusal_ends_within_the_lease() {
    for tenths in [1, 5, 10, 20, 30, 40, 45] {
        let spy = Spy::new();
        let likes = process(&spy).await;
        refused_for(&spy, &likes, ErrorKind::Refused, SECOND * tenths / 10).await;
        sleep(2 * SECOND).await;
        assert!(likes.get("kristoff").await.unwrap().is_some(), "{tenths}");
        assert!(!locked(&spy, &likes, "kristoff").await, "{tenths}");
        nothing_left(&spy, &[&likes]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r9_what_is_refused_for_longer_than_the_lease_is_given_up() {
    for kind in [
        ErrorKind::Refused,
        ErrorKind::Denied,
        ErrorKind::OutOfMemory,
    ] {
        let spy = Spy::new();
        let likes = process(&spy).await;
        refused_for(&spy, &likes, kind, 6 * SECOND).await;
        let tries = spy.count(Operation::Fulfil) + spy.count(Operation::Release);
        assert!((6..=16).contains(&tries), "{kind:?}: {tries} in a lease");
        nothing_left(&spy, &[&likes]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r5_without_memory_or_rights_the_lock_is_free_at_once() {
    for kind in [ErrorKind::OutOfMemory, ErrorKind::Denied] {
        let spy = Spy::new();
        let likes = process(&spy).await;
        spy.tamper(Operation::Fulfil, Fault::Fails(kind));
        likes
            .get_or_compute("kristoff", |_| value("x"))
            .await
            .unwrap();
        let began = Instant::now();
        nothing_left(&spy, &[&likes]).await;
        assert!(!locked(&spy, &likes, "kristoff").await, "{kind:?}");
        assert_eq!(began.elapsed(), Duration::ZERO, "{kind:?}");
        assert_eq!(spy.count(Operation::Fulfil), 1, "{kind:?}: not again");
    }
}

#[tokio::test(start_paused = true)]
async fn r5_a_release_that_is_refused_is_sent_again() {
    for kind in [
        ErrorKind::Refused,
        ErrorKind::OutOfMemory,
        ErrorKind::Denied,
        ErrorKind::Unrecognized,
    ] {
        let spy = Spy::new();
        let likes = process(&spy).await;
        spy.tamper(Operation::Release, Fault::Fails(kind));
        let failed = likes
            .get_or_compute("kristoff", |_| async { Err::<String, _>("no luck") })
            .await;
        assert!(matches!(failed, Err(Error::Compute(_))), "{kind:?}");
        assert!(locked(&spy, &likes, "kristoff").await, "{kind:?}");
        sleep(SECOND).await;
        assert!(!locked(&spy, &likes, "kristoff").await, "{kind:?}");
        nothing_left(&spy, &[&likes]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r5_the_release_of_an_external_promise_that_is_refused_is_sent_again() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Release, Fault::Fails(ErrorKind::Refused));
    let failed = likes
        .entry("kristoff")
        .or_external(|| async { Err::<(), _>("cannot start") })
        .await;
    failed.unwrap_err();
    sleep(SECOND).await;
    assert!(!locked(&spy, &likes, "kristoff").await);
    nothing_left(&spy, &[&likes]).await;
}

/// What was put or invalidated meanwhile stays: the token fences.
#[tokio::test(start_paused = true)]
async fn r4_a_value_that_is_stored_late_overwrites_nothing() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    refused_for(&spy, &likes, ErrorKind::Refused, Duration::from_millis(1)).await;
    likes.put("kristoff", &"put".to_owned()).await.unwrap();
    sleep(6 * SECOND).await;
    assert_eq!(*likes.get("kristoff").await.unwrap().unwrap(), "put");
    nothing_left(&spy, &[&likes]).await;
}

/// R10: a close waits for a store that refuses, within its own time, and not for one that is gone.
#[tokio::test(start_paused = true)]
async fn a_close_stores_what_is_refused_for_now_and_is_bounded() {
    for (lasts, stored) in [(SECOND, true), (60 * SECOND, false)] {
        let spy = Spy::new();
        let likes = process(&spy).await;
        refused_for(&spy, &likes, ErrorKind::Refused, Duration::ZERO).await;
        spy.break_with(Some(ErrorKind::Refused));
        let mends = async {
            sleep(lasts).await;
            spy.break_with(None);
        };
        let began = Instant::now();
        tokio::select! {
            () = likes.close() => {}
            () = async { mends.await; std::future::pending().await } => {}
        }
        assert!(began.elapsed() <= 6 * SECOND, "{:?}", began.elapsed());
        spy.break_with(None);
        let other = builder(&spy).build().await.unwrap();
        let found = other.get("kristoff").await.unwrap();
        assert_eq!(found.is_some(), stored, "{lasts:?}");
        let _ = key(&other, "kristoff");
    }
}

/// Writes of a caller's own are its own to repeat.
#[tokio::test(start_paused = true)]
async fn puts_and_invalidations_that_are_refused_tell_their_caller_and_are_not_repeated() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.break_with(Some(ErrorKind::Refused));
    likes.put("kristoff", &"x".to_owned()).await.unwrap_err();
    likes.invalidate("kristoff").await.unwrap_err();
    spy.break_with(None);
    let asked = spy.total();
    sleep(10 * SECOND).await;
    assert_eq!(spy.total(), asked);
}
