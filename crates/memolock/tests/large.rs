//! Large values: what is not stored for its size, and what takes long to store.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Fault, SECOND, Spy, builder, key, locked, never, nothing_left, process, settle};
use memolock::core::{Backend, ErrorKind, Operation, Token};
use memolock::{Memolock, Source};
use tokio::time::{Instant, sleep};

/// A value whose JSON has more bytes than 1 MiB.
fn large() -> String {
    "x".repeat(2 << 20)
}

async fn call(likes: &Memolock<String>, id: &str) -> Source {
    let compute = |_| async { Ok::<_, String>(large()) };
    let memo = likes.entry(id).or_compute(compute).await.unwrap();
    assert_eq!(memo.len(), 2 << 20, "its caller has it");
    memo.source()
}

#[tokio::test(start_paused = true)]
async fn a_value_above_the_most_is_not_sent_and_waiters_go_on() {
    let spy = Spy::new();
    let small = builder(&spy).max_value_bytes(1 << 20).build().await;
    let (small, other) = (small.unwrap(), process(&spy).await);
    let mut first = Box::pin(small.get_or_compute("a", |_| async {
        sleep(SECOND).await;
        Ok::<_, String>(large())
    }));
    assert!(futures_util::poll!(&mut first).is_pending());
    settle("the lease", || spy.count(Operation::Acquire) == 1).await;
    let waiter = call(&other, "a");
    let (first, second) = tokio::join!(first, waiter);
    assert_eq!(first.unwrap().len(), 2 << 20);
    assert_eq!(second, Source::Computed, "the lease was released");
    assert_eq!(small.stats().unstored, 1);
    assert_eq!((other.stats().unstored, other.stats().lost_leases), (0, 0));
    assert_eq!(spy.count(Operation::Fulfil), 1, "that of the other process");
    // A value of just the most is stored. Its JSON has two quotes more.
    let exact = |_| async { Ok::<_, String>("x".repeat((1 << 20) - 2)) };
    small.get_or_compute("b", exact).await.unwrap();
    assert_eq!(small.stats().unstored, 1);
    assert!(small.get("b").await.unwrap().is_some());
    nothing_left(&spy, &[&small, &other]).await;
}

#[tokio::test(start_paused = true)]
async fn the_most_bounds_computes_and_not_what_is_put() {
    let spy = Spy::new();
    let small = builder(&spy).max_value_bytes(1).build().await.unwrap();
    small.put("a", &large()).await.unwrap();
    small.entry("b").resolve(&large()).await.unwrap();
    assert!(small.get("a").await.unwrap().is_some());
    assert!(small.get("b").await.unwrap().is_some());
    let none = builder(&spy).max_value_bytes(0).build().await;
    let said = none.unwrap_err().to_string();
    assert!(said.contains("max_value_bytes"), "{said}");
}

/// 64 MiB pass a slow line in minutes: its caller does not wait, nobody computes again, and it is sent once.
#[tokio::test(start_paused = true)]
async fn a_value_that_takes_long_to_store_keeps_its_lease_and_not_its_caller() {
    let spy = Spy::new();
    let (likes, other) = (process(&spy).await, process(&spy).await);
    spy.tamper(Operation::Fulfil, Fault::Slow(25 * SECOND));
    let began = Instant::now();
    assert_eq!(call(&likes, "a").await, Source::Computed);
    assert!(began.elapsed() < 2 * SECOND, "{:?}", began.elapsed());
    assert!(locked(&spy, &likes, "a").await, "it is still being stored");
    let memo = other.get_or_compute("a", |_| never()).await.unwrap();
    assert_eq!(memo.len(), 2 << 20);
    assert_eq!(began.elapsed().as_secs(), 25);
    assert_eq!(spy.count(Operation::Fulfil), 1);
    nothing_left(&spy, &[&likes, &other]).await;
    let stats = likes.stats();
    assert_eq!((stats.unstored, stats.lost_leases), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_value_whose_callers_are_gone_is_sent_once() {
    let spy = Spy::new();
    let (likes, other) = (process(&spy).await, process(&spy).await);
    for joined in [false, true] {
        let id = if joined { "joined" } else { "alone" };
        let before = spy.count(Operation::Fulfil);
        spy.tamper(Operation::Fulfil, Fault::Slow(10 * SECOND));
        let mut leader = Box::pin(call(&likes, id));
        let mut joiner = Box::pin(call(&likes, id));
        while spy.count(Operation::Fulfil) == before {
            assert!(futures_util::poll!(&mut leader).is_pending());
            if joined {
                assert!(futures_util::poll!(&mut joiner).is_pending());
            }
            tokio::task::yield_now().await;
        }
        drop(leader);
        if joined {
            assert_eq!(joiner.await, Source::Awaited);
        }
        other.get_or_compute(id, |_| never()).await.unwrap();
        assert_eq!(spy.count(Operation::Fulfil), before + 1, "{id}");
    }
    nothing_left(&spy, &[&likes, &other]).await;
}

/// Once it was sent 21 times in 5 s, and each sending ended the connection of all callers.
#[tokio::test(start_paused = true)]
async fn a_value_that_ends_the_connection_is_sent_twice() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Protocol] {
        let spy = Spy::new();
        let (likes, other) = (process(&spy).await, process(&spy).await);
        for _ in 0..30 {
            spy.tamper(Operation::Fulfil, Fault::Fails(kind));
        }
        assert_eq!(call(&likes, "a").await, Source::Computed);
        // Longer than any clean-up.
        sleep(60 * SECOND).await;
        assert_eq!(spy.count(Operation::Fulfil), 2, "{kind:?}");
        assert!(!locked(&spy, &likes, "a").await, "waiters elsewhere go on");
        assert_eq!(likes.stats().unstored, 1);
        assert!(!likes.stats().circuit_open);
        nothing_left(&spy, &[&likes, &other]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_whose_first_sending_ended_the_connection_is_stored_by_the_second() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Fulfil, Fault::Fails(ErrorKind::Unavailable));
    assert_eq!(call(&likes, "a").await, Source::Computed);
    assert!(likes.get("a").await.unwrap().is_some());
    assert_eq!(likes.stats().unstored, 0);
    nothing_left(&spy, &[&likes]).await;
}

/// A time-out says that the line is too slow for the value: it opens no breaker, and is not tried again.
#[tokio::test(start_paused = true)]
async fn values_that_are_not_stored_in_time_open_no_breaker_and_free_their_keys() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    for n in 0..10 {
        spy.tamper(Operation::Fulfil, Fault::TimesOut { effect: false });
        let id = n.to_string();
        assert_eq!(call(&likes, &id).await, Source::Computed);
        sleep(2 * SECOND).await;
        assert!(!locked(&spy, &likes, &id).await);
    }
    assert_eq!(spy.count(Operation::Fulfil), 10);
    let stats = likes.stats();
    assert_eq!((stats.unstored, stats.circuit_open), (10, false));
    nothing_left(&spy, &[&likes]).await;
}

/// The same of a put. Small ones count as before.
#[tokio::test(start_paused = true)]
async fn puts_of_large_values_that_time_out_open_no_breaker() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    for n in 0..10 {
        spy.tamper(Operation::Put, Fault::TimesOut { effect: false });
        likes.put(&n.to_string(), &large()).await.unwrap_err();
    }
    assert!(!likes.stats().circuit_open);
    for n in 0..3 {
        spy.tamper(Operation::Put, Fault::TimesOut { effect: false });
        let put = likes.put(&n.to_string(), &"small".to_owned()).await;
        put.unwrap_err();
    }
    assert!(likes.stats().circuit_open, "small ones do");
}

/// What was put meanwhile is newer.
#[tokio::test(start_paused = true)]
async fn a_value_that_lost_its_lease_on_the_way_is_given_up() {
    let spy = Spy::new();
    let (likes, other) = (process(&spy).await, process(&spy).await);
    spy.tamper(Operation::Fulfil, Fault::Slow(1000 * SECOND));
    assert_eq!(call(&likes, "a").await, Source::Computed);
    other.put("a", &"new".to_owned()).await.unwrap();
    sleep(10 * SECOND).await;
    nothing_left(&spy, &[&likes, &other]).await;
    let stats = likes.stats();
    assert_eq!((stats.unstored, stats.lost_leases), (1, 1));
    assert_eq!(*other.get("a").await.unwrap().unwrap(), "new");
}

/// The reply of a value that has just been stored may come after the heartbeat found the lock gone.
#[tokio::test(start_paused = true)]
async fn a_value_is_not_given_up_while_its_reply_is_on_its_way() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    // A third of the lease is 1.67 s: the heartbeat asks between the effect and the reply.
    let late = Fault::Late(Duration::from_millis(2000));
    spy.tamper(Operation::Fulfil, late);
    assert_eq!(call(&likes, "a").await, Source::Computed);
    sleep(10 * SECOND).await;
    nothing_left(&spy, &[&likes]).await;
    assert_eq!(likes.stats().unstored, 0);
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_for_a_value_and_ends_it_when_its_time_is_over() {
    for (slow, stored) in [(3 * SECOND, true), (1000 * SECOND, false)] {
        let spy = Spy::new();
        let (likes, other) = (process(&spy).await, process(&spy).await);
        spy.tamper(Operation::Fulfil, Fault::Slow(slow));
        assert_eq!(call(&likes, "a").await, Source::Computed);
        likes.close().await;
        assert_eq!(other.get("a").await.unwrap().is_some(), stored);
        sleep(SECOND).await;
        nothing_left(&spy, &[&likes]).await;
    }
}

/// Nothing was sent, so it is tried again as any other value, however often.
#[tokio::test(start_paused = true)]
async fn a_value_that_meets_an_open_breaker_is_stored_behind_its_caller() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let mut held = Box::pin(likes.get_or_compute("a", |_| async {
        sleep(3 * SECOND).await;
        Ok::<_, String>(large())
    }));
    assert!(futures_util::poll!(&mut held).is_pending());
    settle("the lease", || spy.count(Operation::Acquire) == 1).await;
    for _ in 0..30 {
        spy.tamper(Operation::Get, Fault::TimesOut { effect: false });
    }
    let stop = async {
        while !likes.stats().circuit_open {
            let _ = likes.get("b").await;
        }
    };
    let (memo, ()) = tokio::join!(held, stop);
    assert_eq!(memo.unwrap().len(), 2 << 20);
    sleep(SECOND).await;
    let found = spy.store().get(&key(&likes, "a")).await.unwrap();
    assert!(found.is_some(), "it was stored behind its caller");
    let token = Token::from_bits(1);
    assert!(
        spy.store()
            .acquire(&key(&likes, "b"), token, SECOND)
            .await
            .is_ok()
    );
}

/// They are stored one by one, beside those that travel together.
#[tokio::test(start_paused = true)]
async fn large_values_of_a_call_for_many_do_not_keep_it() {
    let spy = Spy::new();
    let (likes, other) = (process(&spy).await, process(&spy).await);
    for _ in 0..3 {
        spy.tamper(Operation::Fulfil, Fault::Slow(10 * SECOND));
    }
    let ids: Vec<String> = (0..3).map(|n| n.to_string()).collect();
    let compute = |ids: Vec<String>| async move {
        let all = ids.into_iter().map(|id| (id, large()));
        Ok::<Vec<(String, String)>, String>(all.collect())
    };
    let began = Instant::now();
    let all = likes.get_or_compute_many(ids.clone(), compute).await;
    assert_eq!(all.into_result().unwrap().len(), 3);
    assert!(began.elapsed() < 5 * SECOND, "{:?}", began.elapsed());
    for id in &ids {
        other.get_or_compute(id, |_| never()).await.unwrap();
    }
    assert_eq!(spy.count(Operation::Fulfil), 3);
    assert_eq!(likes.stats().unstored, 0);
    nothing_left(&spy, &[&likes, &other]).await;
}
