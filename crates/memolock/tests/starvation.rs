//! A caller's patience is its own: whatever comes in meanwhile, its wait ends in time and says what for.

#![allow(clippy::unwrap_used)]

mod common;
mod slow;

use std::time::Duration;

use common::{SECOND, Spy, builder, key, never, nothing_left, process, value};
use memolock::core::{Backend, ErrorKind, Token};
use memolock::{Error, Memolock, Phase};
use slow::Slow;
use tokio::time::{Instant, sleep};

/// In real time: while a subscription is always ready, paused time does not pass.
#[tokio::test]
async fn a_subscription_that_is_never_silent_does_not_defeat_the_wait_time_out() {
    let spy = Spy::new();
    let mut slow = Slow::new(&spy);
    slow.flood = Some(10 * SECOND);
    let likes: Memolock<String> = Memolock::builder("likes", slow)
        .wait_timeout(Duration::from_millis(50))
        .build()
        .await
        .unwrap();
    let (id, rival) = (key(&likes, "a"), Token::from_bits(7));
    let lock = spy.store().acquire(&id, rival, 100 * SECOND).await;
    lock.unwrap();
    let call = tokio::spawn(async move { likes.get_or_compute("a", |_| never()).await });
    let got = call.await.expect("nothing but the subscription was polled");
    assert!(matches!(got, Err(Error::Timeout { .. })), "{got:?}");
}

/// The same with a caller that has a flood and no time-out to speak of: others of its thread have a turn.
#[tokio::test]
async fn a_subscription_that_is_never_silent_leaves_turns_to_other_tasks() {
    let spy = Spy::new();
    let mut slow = Slow::new(&spy);
    slow.flood = Some(10 * SECOND);
    let likes = slow.process().await;
    let (id, rival) = (key(&likes, "a"), Token::from_bits(7));
    let lock = spy.store().acquire(&id, rival, 100 * SECOND).await;
    lock.unwrap();
    let flooded = {
        let likes = likes.clone();
        tokio::spawn(async move { likes.get_or_compute("a", |_| never()).await })
    };
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        *likes.get_or_compute("b", |_| value("x")).await.unwrap(),
        "x"
    );
    assert!(!flooded.is_finished(), "{:?}", flooded.await);
    flooded.abort();
    assert!(flooded.await.unwrap_err().is_cancelled());
    nothing_left(&spy, &[&likes]).await;
}

/// And with many ids in one call, whose flights are polled without a budget.
#[tokio::test]
async fn many_subscriptions_that_are_never_silent_leave_turns_to_other_tasks() {
    let spy = Spy::new();
    let mut slow = Slow::new(&spy);
    slow.flood = Some(10 * SECOND);
    let likes = slow.process().await;
    for id in ["a", "b"] {
        let (id, rival) = (key(&likes, id), Token::from_bits(7));
        let lock = spy.store().acquire(&id, rival, 100 * SECOND).await;
        lock.unwrap();
    }
    let flooded = {
        let likes = likes.clone();
        let entries = async move {
            let entries = likes.entries(["a", "b"]).wait_timeout(SECOND);
            entries
                .or_compute(async |_| Err::<Vec<(String, String)>, _>("x"))
                .await
        };
        tokio::spawn(entries)
    };
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let other = likes.get_or_compute("c", |_| value("x")).await;
    assert_eq!(*other.unwrap(), "x");
    let all = flooded
        .await
        .expect("nothing but the subscriptions was polled");
    let late = |answer: &Result<_, _>| matches!(answer, Err(Error::Timeout { .. }));
    assert!(all.iter().all(|(_, answer)| late(answer)), "{all:?}");
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_got_to_compute_does_not_time_out_as_computing() {
    let spy = Spy::new();
    let likes = builder(&spy)
        .local_computes(1)
        .wait_timeout(SECOND)
        .build()
        .await
        .unwrap();
    spy.break_with(Some(ErrorKind::Unavailable));
    // One has the only place, and one the spare place.
    let long = ["a", "c"].map(|id| {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| async {
                sleep(5 * SECOND).await;
                value("x").await
            };
            likes.get_or_compute(id, compute).await.unwrap();
        })
    });
    sleep(SECOND / 2).await;
    assert_eq!((likes.stats().computes, likes.stats().overflows), (2, 1));
    let began = Instant::now();
    let error = likes.get_or_compute("b", |_| never()).await.unwrap_err();
    assert_eq!(began.elapsed(), SECOND);
    let Error::Timeout { phase, after, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((*phase, *after), (Phase::Queueing, SECOND));
    for long in long {
        long.await.unwrap();
    }
    nothing_left(&spy, &[&likes]).await;
}

/// No patience at all bounds the wait, and not the caller's own work.
#[tokio::test(start_paused = true)]
async fn a_call_without_patience_still_computes() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let compute = |_| async {
        sleep(SECOND).await;
        value("x").await
    };
    let entry = likes.entry("a").wait_timeout(Duration::ZERO);
    assert_eq!(*entry.or_compute(compute).await.unwrap(), "x");
    nothing_left(&spy, &[&likes]).await;
}
