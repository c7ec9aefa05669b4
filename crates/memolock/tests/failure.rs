//! A compute that fails or panics: who gets what, and who goes on.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use common::{SECOND, Spy, builder, locked, never, nothing_left, process, settle, value};
use memolock::core::{FailurePolicy, Operation};
use memolock::{Computed, Error};
use tokio::time::{Instant, sleep};

#[derive(Debug, PartialEq)]
struct Broken(u32);

impl std::error::Error for Broken {}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "broken {}", self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn callers_of_the_process_share_the_error_itself() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let fail = |_| async {
        sleep(SECOND).await;
        Err::<String, _>(Broken(7))
    };
    let joined = |likes: memolock::Memolock<String>| async move {
        settle("a leader", || likes.stats().computes == 1).await;
        likes
            .get_or_compute("kristoff", |_| async { Err::<String, _>(Broken(8)) })
            .await
    };
    let (a, b) = tokio::join!(
        likes.get_or_compute("kristoff", fail),
        joined(likes.clone())
    );
    let (Err(Error::Compute(a)), Err(Error::Compute(b))) = (a, b) else {
        panic!("not the compute's error");
    };
    assert_eq!(a.downcast_ref(), Some(&Broken(7)));
    assert!(Arc::ptr_eq(&a, &b));
    assert!(
        !locked(&spy, &likes, "kristoff").await,
        "released before the error is returned"
    );
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_joiner_with_another_type_of_error_gets_the_leaders() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let fail = |_| async {
        sleep(SECOND).await;
        Err::<String, _>(Broken(7))
    };
    let joined = async {
        settle("a leader", || likes.stats().computes == 1).await;
        likes.get_or_compute("kristoff", |_| never()).await
    };
    let (_, b) = tokio::join!(likes.get_or_compute("kristoff", fail), joined);
    assert!(b.is_err_and(|error| error.as_compute() == Some(&Broken(7))));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_of_its_own_and_poisons_nothing() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let panics = |_| async {
        sleep(SECOND).await;
        never().await
    };
    let joined = async {
        settle("a leader", || likes.stats().computes == 1).await;
        likes.get_or_compute("kristoff", |_| value("x")).await
    };
    let (a, b) = tokio::join!(likes.get_or_compute("kristoff", panics), joined);
    for result in [a, b] {
        assert!(
            matches!(result, Err(Error::Panicked { message, .. }) if message.contains("must not run"))
        );
    }
    assert_eq!(
        *likes
            .get_or_compute("kristoff", |_| value("fine"))
            .await
            .unwrap(),
        "fine"
    );
    nothing_left(&spy, &[&likes]).await;
}

/// The next one starts at once, not when a lock expires; and one at a time (R1).
#[tokio::test(start_paused = true)]
async fn after_a_failure_elsewhere_the_next_waiter_starts_at_once_and_alone() {
    let spy = Spy::new();
    let running = Arc::new(AtomicUsize::new(0));
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut calls = Vec::new();
    let began = Instant::now();
    for n in 0..5_u32 {
        let likes = process(&spy).await;
        let (running, order) = (Arc::clone(&running), Arc::clone(&order));
        calls.push(tokio::spawn(async move {
            let compute = |_| async {
                assert_eq!(running.fetch_add(1, SeqCst), 0, "R1: one compute at a time");
                sleep(SECOND / 10).await;
                running.fetch_sub(1, SeqCst);
                let nth = {
                    let mut order = order.lock().unwrap();
                    order.push(n);
                    order.len()
                };
                if nth < 3 {
                    Err(Broken(n))
                } else {
                    Ok(format!("by {n}"))
                }
            };
            likes.get_or_compute("kristoff", compute).await
        }));
    }
    let (mut failed, mut got) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => got += 1,
            Err(Error::Compute(_)) => failed += 1,
            Err(other) => panic!("{other}"),
        }
    }
    // The two whose own compute failed have their error; the third one's value went to all others.
    assert_eq!((failed, got), (2, 3));
    assert!(
        began.elapsed() < SECOND / 2,
        "{:?}: three computes and jitter",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn shared_failures_end_waiters_at_once_with_the_message() {
    let spy = Spy::new();
    let (here, elsewhere) = (process(&spy).await, builder(&spy));
    let elsewhere = elsewhere
        .on_remote_failure(FailurePolicy::Share)
        .build()
        .await
        .unwrap();
    let fail = |_| async {
        spy.called(Operation::Acquire, 3).await; // The waiter is listening.
        Err::<String, _>(Broken(7))
    };
    let waiter = async {
        spy.called(Operation::Acquire, 1).await;
        elsewhere.get_or_compute("kristoff", |_| never()).await
    };
    let (_, waiter) = tokio::join!(here.get_or_compute("kristoff", fail), waiter);
    assert!(matches!(waiter, Err(Error::Remote { message, .. }) if message == "broken 7"));
    nothing_left(&spy, &[&here, &elsewhere]).await;
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_not_to_be_stored_is_returned_and_the_lease_released() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    for computed in [
        Computed::new("mine".to_owned()).no_store(),
        Computed::new("mine".to_owned()).ttl(std::time::Duration::ZERO),
    ] {
        let got = likes
            .entry("kristoff")
            .or_compute_with(|_| async { Ok::<_, Broken>(computed) })
            .await;
        assert_eq!(*got.unwrap(), "mine");
        assert_eq!(likes.get("kristoff").await.unwrap(), None);
        assert!(!locked(&spy, &likes, "kristoff").await);
    }
    nothing_left(&spy, &[&likes]).await;
}
