//! R2: nobody sleeps past the moment at which it could go on. Each thing that ends a wait, one test.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Fault, SECOND, Spy, builder, key, never, nothing_left, process, value};
use memolock::core::{Backend, ErrorKind, Notice, Operation, Phase, PutMode, Token};
use memolock::{Error, Memolock, Source};
use tokio::time::Instant;

const RIVAL: Token = Token::from_bits(7);

/// A memolock that waits for a rival's lock of `lease`, and listens.
async fn waiting(
    spy: &Spy,
    lease: Duration,
) -> (
    Memolock<String>,
    tokio::task::JoinHandle<Result<String, Error>>,
) {
    let likes = process(spy).await;
    spy.store()
        .acquire(&key(&likes, "kristoff"), RIVAL, lease)
        .await
        .unwrap();
    let tries = spy.count(Operation::Acquire);
    let waiter = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let memo = likes.entry("kristoff").or_compute(|_| value("own")).await?;
            Ok(format!("{} {:?}", *memo, memo.source()))
        })
    };
    spy.called(Operation::Acquire, tries + 2).await;
    tokio::task::yield_now().await;
    (likes, waiter)
}

#[tokio::test(start_paused = true)]
async fn r2_a_published_value_ends_the_wait() {
    let spy = Spy::new();
    let (likes, waiter) = waiting(&spy, 100 * SECOND).await;
    let (began, before) = (Instant::now(), spy.total());
    let json = Bytes::from("\"theirs\"");
    spy.store()
        .fulfil(&key(&likes, "kristoff"), RIVAL, json, SECOND)
        .await
        .unwrap();
    assert_eq!(
        waiter.await.unwrap().unwrap(),
        format!("theirs {:?}", Source::Awaited)
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(
        spy.total(),
        before,
        "the message carries the value: no command"
    );
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn r2_a_release_and_a_failure_end_the_wait() {
    for notice in [Notice::Released, Notice::failed("no luck")] {
        let spy = Spy::new();
        let (likes, waiter) = waiting(&spy, 100 * SECOND).await;
        let began = Instant::now();
        spy.store()
            .release(&key(&likes, "kristoff"), RIVAL, Some(notice))
            .await
            .unwrap();
        assert_eq!(waiter.await.unwrap().unwrap(), "own Computed");
        assert!(began.elapsed() < SECOND / 10);
    }
}

#[tokio::test(start_paused = true)]
async fn r2_an_invalidation_ends_the_wait() {
    let spy = Spy::new();
    let (likes, waiter) = waiting(&spy, 100 * SECOND).await;
    let began = Instant::now();
    likes.invalidate("kristoff").await.unwrap();
    assert_eq!(waiter.await.unwrap().unwrap(), "own Computed");
    assert!(began.elapsed() < SECOND / 10);
}

#[tokio::test(start_paused = true)]
async fn r2_an_expired_lease_ends_the_wait() {
    let spy = Spy::new();
    let began = Instant::now();
    let (likes, waiter) = waiting(&spy, SECOND).await;
    assert_eq!(waiter.await.unwrap().unwrap(), "own Computed");
    let late = began.elapsed().saturating_sub(SECOND);
    assert!(
        late < Duration::from_millis(50),
        "{late:?} after the expiry, jitter included"
    );
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn r2_a_value_stored_between_acquire_and_subscription_is_found_by_the_recheck() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let kristoff = key(&likes, "kristoff");
    spy.store()
        .acquire(&kristoff, RIVAL, 100 * SECOND)
        .await
        .unwrap();
    // The subscription is under way when the value is published: nobody hears it.
    spy.tamper(
        Operation::Subscribe,
        Fault::LosesReply(ErrorKind::Unsupported),
    );
    let failed = likes.get_or_compute("kristoff", |_| never()).await;
    assert!(
        matches!(failed, Err(Error::Backend(_))),
        "an error that is no outage is told"
    );
    let call = likes.get_or_compute("kristoff", |_| never());
    let publish = async {
        spy.called(Operation::Subscribe, 2).await;
        let json = Bytes::from("\"theirs\"");
        spy.store()
            .fulfil(&kristoff, RIVAL, json, SECOND)
            .await
            .unwrap();
    };
    let (got, ()) = tokio::join!(call, publish);
    assert_eq!(*got.unwrap(), "theirs");
}

/// R8: a lock that never expires, and one with an absurd TTL, are waited out by the caller's deadline.
#[tokio::test(start_paused = true)]
async fn r8_an_absurd_lease_is_waited_out_by_the_deadline() {
    for lease in [Duration::from_secs(1 << 40), Duration::MAX] {
        let spy = Spy::new();
        let likes = builder(&spy).wait_timeout(SECOND).build().await.unwrap();
        spy.store()
            .acquire(&key(&likes, "kristoff"), RIVAL, lease)
            .await
            .unwrap();
        let began = Instant::now();
        let got = likes.get_or_compute("kristoff", |_| value("own")).await;
        assert!(matches!(
            got,
            Err(Error::Timeout {
                phase: Phase::Waiting,
                ..
            })
        ));
        assert_eq!(began.elapsed(), SECOND);
        nothing_left(&spy, &[&likes]).await;
    }
}

/// A wait time-out shorter than any command's own bound still holds.
#[tokio::test(start_paused = true)]
async fn the_wait_time_out_bounds_every_phase_but_the_own_compute() {
    for (operation, phase) in [
        (Operation::Get, Phase::Probing),
        (Operation::Acquire, Phase::Acquiring),
        (Operation::Subscribe, Phase::Subscribing),
    ] {
        let spy = Spy::new();
        let likes = builder(&spy).wait_timeout(SECOND).build().await.unwrap();
        if phase == Phase::Subscribing {
            spy.store()
                .acquire(&key(&likes, "kristoff"), RIVAL, 100 * SECOND)
                .await
                .unwrap();
        }
        spy.tamper(operation, Fault::HangsBefore);
        let got = likes.get_or_compute("kristoff", |_| value("own")).await;
        match got {
            Err(Error::Timeout { phase: named, .. }) => assert_eq!(named, phase),
            other => panic!("{phase}: {other:?}"),
        }
        nothing_left(&spy, &[&likes]).await;
    }
    let spy = Spy::new();
    let likes = builder(&spy).wait_timeout(SECOND).build().await.unwrap();
    let slow = likes.get_or_compute("kristoff", |_| async {
        tokio::time::sleep(10 * SECOND).await;
        value("slow").await
    });
    assert_eq!(*slow.await.unwrap(), "slow");
}

/// The empty string is a value like any other, stored, published or put.
#[tokio::test(start_paused = true)]
async fn the_empty_string_is_a_value() {
    let spy = Spy::new();
    let likes = Memolock::builder("likes", spy.clone())
        .codec(memolock::codec::Text)
        .build()
        .await
        .unwrap();
    let kristoff = likes.keyspace().key("kristoff").unwrap();
    let empty = likes
        .get_or_compute("kristoff", |_| value(""))
        .await
        .unwrap();
    assert_eq!(*empty, "");
    let hit = likes
        .entry("kristoff")
        .or_compute(|_| never())
        .await
        .unwrap();
    assert_eq!((hit.as_str(), hit.source()), ("", Source::Hit));
    likes.invalidate("kristoff").await.unwrap();
    spy.store()
        .acquire(&kristoff, RIVAL, 100 * SECOND)
        .await
        .unwrap();
    let tries = spy.count(Operation::Acquire);
    let publish = async {
        spy.called(Operation::Acquire, tries + 2).await;
        spy.store()
            .put(&kristoff, Bytes::new(), SECOND, PutMode::Resolve)
            .await
            .unwrap();
    };
    let (waited, ()) = tokio::join!(likes.entry("kristoff").or_compute(|_| never()), publish);
    assert_eq!(waited.unwrap().source(), Source::Awaited);
}

/// R8: what cannot be decoded is a typed error that names the key and not the value.
#[tokio::test(start_paused = true)]
async fn r8_garbage_in_the_store_is_a_typed_error_where_that_is_wanted() {
    let spy = Spy::new();
    let fail = builder(&spy).on_undecodable(memolock::UndecodablePolicy::Fail);
    let likes = fail.build().await.unwrap();
    let garbage = Bytes::from_static(b"\xff secret");
    let kristoff = key(&likes, "kristoff");
    spy.store()
        .put(&kristoff, garbage, SECOND, PutMode::Override)
        .await
        .unwrap();
    let error = likes
        .get_or_compute("kristoff", |_| never())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Codec { .. }));
    assert!(
        text.contains("likes:kristoff") && !text.contains("secret"),
        "{text}"
    );
}
