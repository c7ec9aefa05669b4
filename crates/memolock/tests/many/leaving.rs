//! Calls for many ids that are dropped, at every point.
#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use memolock::core::{ErrorKind, Operation};
use tokio::time::sleep;

use crate::batches::{Batches, each};
use crate::common::{Fault, SECOND, Spy, locked, never, nothing_left, process, settle, value};

/// Polls so often at most; whether it ended.
async fn polled(times: usize, call: impl Future) -> bool {
    let mut call = pin!(call);
    for _ in 0..times {
        let done = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
        if done {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

/// R5, R9: whatever it was doing, nothing stays, and the next call has it all.
#[tokio::test(start_paused = true)]
async fn dropped_after_any_number_of_polls_it_leaves_nothing() {
    for polls in 0.. {
        let spy = Spy::new();
        let likes = process(&spy).await;
        let slowly = async |ids| {
            tokio::task::yield_now().await;
            each(ids).await
        };
        let ended = polled(polls, likes.get_or_compute_many(["a", "b"], slowly)).await;
        nothing_left(&spy, &[&likes]).await;
        for id in ["a", "b"] {
            assert!(!locked(&spy, &likes, id).await, "{id} after {polls} polls");
        }
        let batches = Batches::default();
        let all = likes
            .get_or_compute_many(["a", "b"], |ids| batches.run(ids))
            .await;
        assert!(all.into_result().is_ok());
        if ended {
            assert!(polls > 2 && batches.seen().is_empty());
            return;
        }
    }
}

/// A command that never answers, before or after its effect: then the caller goes.
#[tokio::test(start_paused = true)]
async fn dropped_during_any_command_it_leaves_nothing() {
    for operation in [Operation::Get, Operation::Acquire, Operation::Fulfil] {
        for fault in [Fault::HangsBefore, Fault::HangsAfter] {
            let spy = Spy::new();
            let likes = process(&spy).await;
            spy.tamper(operation, fault.clone());
            let call = likes.get_or_compute_many(["a", "b"], each);
            tokio::select! {
                _ = call => panic!("it hangs"),
                () = spy.called(operation, 1) => {}
            }
            nothing_left(&spy, &[&likes]).await;
            for id in ["a", "b"] {
                assert!(
                    !locked(&spy, &likes, id).await,
                    "{id}, {operation} {fault:?}"
                );
            }
            let all = likes.get_or_compute_many(["a", "b"], each).await;
            assert!(all.into_result().is_ok(), "{operation} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_in_its_compute_it_hands_over_what_others_wait_for() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let many = likes.get_or_compute_many(["a", "b"], async |ids| {
        std::future::pending::<()>().await;
        each(ids).await
    });
    let joiner = likes.get_or_compute("b", |_| value("mine"));
    let mut joiner = pin!(joiner);
    tokio::select! {
        _ = many => panic!("it hangs"),
        () = async {
            settle("it computes", || likes.stats().computes == 2).await;
            assert!(futures_util::poll!(joiner.as_mut()).is_pending());
        } => {}
    }
    assert_eq!(*joiner.await.unwrap(), "mine");
    assert_eq!(likes.stats().handovers, 1);
    assert_eq!(spy.count(Operation::Acquire), 1, "under the same lease");
    nothing_left(&spy, &[&likes]).await;
    assert!(!locked(&spy, &likes, "a").await);
}

#[tokio::test(start_paused = true)]
async fn it_takes_over_from_a_call_that_was_dropped() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let batches = Batches::default();
    let single = likes.get_or_compute("b", async |_| {
        std::future::pending::<()>().await;
        value("never").await
    });
    let many = likes.get_or_compute_many(["a", "b"], |ids| batches.run(ids));
    let mut many = pin!(many);
    tokio::select! {
        _ = single => panic!("it hangs"),
        () = async {
            settle("it computes", || likes.stats().computes == 1).await;
            for _ in 0..20 {
                assert!(futures_util::poll!(many.as_mut()).is_pending());
                tokio::task::yield_now().await;
            }
        } => {}
    }
    let all = tokio::time::timeout(SECOND, many).await.unwrap();
    assert_eq!(all.into_result().unwrap().len(), 2);
    assert_eq!(batches.seen(), [["a"], ["b"]]);
    nothing_left(&spy, &[&likes]).await;
}

/// R1: the call is dropped at the moment at which the store has told it of a holder elsewhere. The caller that takes
/// over knows of the holder too, and does not compute beside it when its own try for the lease is refused.
#[tokio::test(start_paused = true)]
async fn dropped_when_it_has_heard_of_a_holder_it_hands_that_over() {
    let mut seen = 0;
    for polls in 0..12 {
        let spy = Spy::new();
        let (likes, elsewhere) = (process(&spy).await, process(&spy).await);
        let holder = elsewhere.get_or_compute("a", |_| async {
            sleep(2 * SECOND).await;
            value("once").await
        });
        let mut holder = pin!(holder);
        while spy.count(Operation::Acquire) == 0 {
            assert!(!polled(1, holder.as_mut()).await);
        }
        let mut many = Box::pin(likes.get_or_compute_many(["a"], each));
        assert!(!polled(1, many.as_mut()).await);
        let joiner = likes.get_or_compute("a", |_| never());
        let mut joiner = pin!(joiner);
        assert!(!polled(1, joiner.as_mut()).await);
        assert_eq!(likes.stats().joins, 1, "it has joined the call for many");
        let ended = polled(polls, many.as_mut()).await;
        assert!(!ended, "the holder is at work");
        let told = spy.count(Operation::Acquire) == 2;
        drop(many);
        if told {
            seen += 1;
            spy.tamper(Operation::Acquire, Fault::Fails(ErrorKind::Refused));
        }
        let (held, joined) = tokio::join!(holder, joiner);
        assert_eq!(*held.unwrap(), "once", "after {polls} polls");
        assert_eq!(*joined.unwrap(), "once", "after {polls} polls");
        assert_eq!(likes.stats().degraded, 0, "after {polls} polls");
        nothing_left(&spy, &[&likes, &elsewhere]).await;
    }
    assert!(seen > 0, "no number of polls ends there");
}
