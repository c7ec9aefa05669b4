//! Several processes, and callers that wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use memolock::Source;
use memolock::core::{Backend, Operation, PutMode};

use super::{GARBAGE, MINUTE, is_codec, scribble, slow};
use crate::common::{Spy, builder, key, never, nothing_left, process, value};

#[tokio::test(start_paused = true)]
async fn a_fleet_computes_once_over_undecodable_bytes() {
    let spy = Spy::new();
    scribble(&spy, &process(&spy).await, "kristoff", GARBAGE).await;
    let computes = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    let mut fleet = Vec::new();
    for _ in 0..8 {
        let likes = process(&spy).await;
        for _ in 0..10 {
            let (likes, computes) = (likes.clone(), Arc::clone(&computes));
            tasks.push(tokio::spawn(async move {
                let compute = |_| async {
                    computes.fetch_add(1, SeqCst);
                    slow("three").await
                };
                likes.get_or_compute("kristoff", compute).await.unwrap()
            }));
        }
        fleet.push(likes);
    }
    for task in tasks {
        assert_eq!(*task.await.unwrap(), "three");
    }
    assert_eq!(computes.load(SeqCst), 1);
    nothing_left(&spy, &fleet.iter().collect::<Vec<_>>()).await;
}

/// A peer overwrites what is being computed: its bytes wake the waiter, and the lock is gone.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_woken_by_undecodable_bytes_computes_next() {
    let spy = Spy::new();
    let (holder, waiter) = (process(&spy).await, process(&spy).await);
    let computing = tokio::spawn({
        let holder = holder.clone();
        async move { holder.get_or_compute("kristoff", |_| slow("one")).await }
    });
    spy.called(Operation::Acquire, 1).await;
    let waiting = tokio::spawn({
        let waiter = waiter.clone();
        async move { waiter.entry("kristoff").or_compute(|_| value("two")).await }
    });
    spy.called(Operation::Acquire, 3).await;
    let key = key(&holder, "kristoff");
    let put = spy.store().put(&key, GARBAGE, MINUTE, PutMode::Override);
    put.await.unwrap();
    let got = waiting.await.unwrap().unwrap();
    assert_eq!((got.as_str(), got.source()), ("two", Source::Computed));
    // Its lease is lost, and its value is its own.
    assert_eq!(*computing.await.unwrap().unwrap(), "one");
    assert_eq!(*waiter.get("kristoff").await.unwrap().unwrap(), "two");
    assert_eq!(waiter.stats().undecodable, 1);
    nothing_left(&spy, &[&holder, &waiter]).await;
}

/// The lock is still held, so the holder's value is to come: nobody computes beside it.
#[tokio::test(start_paused = true)]
async fn undecodable_bytes_beside_a_holder_do_not_end_the_wait_for_it() {
    let spy = Spy::new();
    let (holder, waiter) = (process(&spy).await, process(&spy).await);
    let computing = tokio::spawn({
        let holder = holder.clone();
        async move { holder.get_or_compute("kristoff", |_| slow("one")).await }
    });
    spy.called(Operation::Acquire, 1).await;
    let waiting = tokio::spawn({
        let waiter = waiter.clone();
        async move { waiter.entry("kristoff").or_compute(|_| never()).await }
    });
    spy.called(Operation::Acquire, 3).await;
    scribble(&spy, &holder, "kristoff", GARBAGE).await;
    let got = waiting.await.unwrap().unwrap();
    assert_eq!((got.as_str(), got.source()), ("one", Source::Awaited));
    assert_eq!(*computing.await.unwrap().unwrap(), "one");
    assert_eq!(waiter.stats().undecodable, 1);
    nothing_left(&spy, &[&holder, &waiter]).await;
}

#[tokio::test(start_paused = true)]
async fn by_the_other_policy_a_waiter_that_is_woken_so_gets_the_error() {
    let spy = Spy::new();
    let holder = process(&spy).await;
    let fail = builder(&spy).on_undecodable(memolock::UndecodablePolicy::Fail);
    let waiter = fail.build().await.unwrap();
    let computing =
        tokio::spawn(async move { holder.get_or_compute("kristoff", |_| slow("one")).await });
    spy.called(Operation::Acquire, 1).await;
    let waiting = tokio::spawn({
        let waiter = waiter.clone();
        async move { waiter.get_or_compute("kristoff", |_| never()).await }
    });
    spy.called(Operation::Acquire, 3).await;
    scribble(&spy, &waiter, "kristoff", GARBAGE).await;
    assert!(is_codec(&waiting.await.unwrap()));
    let stats = waiter.stats();
    assert_eq!((stats.undecodable, stats.hits, stats.awaited), (1, 0, 0));
    computing.await.unwrap().unwrap();
}
