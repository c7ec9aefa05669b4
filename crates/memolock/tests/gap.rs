//! R2 across a gap in the subscription: what was published meanwhile is lost, and found all the same.

mod common;

use bytes::Bytes;
use common::{SECOND, Spy, key, never, nothing_left, process, value};
use memolock::core::{Backend, Operation, Token};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const RIVAL: Token = Token::from_bits(7);

#[tokio::test(start_paused = true)]
async fn r2_a_value_published_during_a_gap_is_found_when_it_ends() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let kristoff = key(&likes, "kristoff");
    spy.store()
        .acquire(&kristoff, RIVAL, 100 * SECOND)
        .await
        .unwrap();
    let call = likes.get_or_compute("kristoff", |_| never());
    let publish = async {
        spy.called(Operation::Acquire, 2).await;
        spy.cut(true);
        let json = Bytes::from("\"theirs\"");
        spy.store()
            .fulfil(&kristoff, RIVAL, json, SECOND)
            .await
            .unwrap();
        spy.cut(false);
        Instant::now()
    };
    let (got, mended) = tokio::join!(call, publish);
    assert_eq!(
        (got.unwrap().as_str(), mended.elapsed()),
        ("theirs", Duration::ZERO)
    );
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn r2_a_release_during_a_gap_is_found_when_it_ends() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let kristoff = key(&likes, "kristoff");
    spy.store()
        .acquire(&kristoff, RIVAL, 100 * SECOND)
        .await
        .unwrap();
    let call = likes.get_or_compute("kristoff", |_| value("own"));
    let release = async {
        spy.called(Operation::Acquire, 2).await;
        spy.cut(true);
        spy.store().release(&kristoff, RIVAL, None).await.unwrap();
        spy.cut(false);
    };
    let (got, ()) = tokio::join!(call, release);
    assert_eq!(*got.unwrap(), "own");
    nothing_left(&spy, &[&likes]).await;
}

/// A subscription that never comes back costs a lease's time and not the caller's patience.
#[tokio::test(start_paused = true)]
async fn r2_a_gap_that_never_ends_is_bridged_by_the_takeover() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let kristoff = key(&likes, "kristoff");
    spy.store()
        .acquire(&kristoff, RIVAL, 2 * SECOND)
        .await
        .unwrap();
    let call = likes.get_or_compute("kristoff", |_| never());
    let publish = async {
        spy.called(Operation::Acquire, 2).await;
        spy.cut(true);
        let json = Bytes::from("\"theirs\"");
        spy.store()
            .fulfil(&kristoff, RIVAL, json, 100 * SECOND)
            .await
            .unwrap();
    };
    let both = timeout(3 * SECOND, async { tokio::join!(call, publish) });
    let (got, ()) = both.await.expect("found at the rival's expiry");
    assert_eq!(*got.unwrap(), "theirs");
    nothing_left(&spy, &[&likes]).await;
}

/// An external value that was published during a gap is found, and the trigger is not fired twice.
#[tokio::test(start_paused = true)]
async fn r2_an_external_value_published_during_a_gap_is_found() {
    let spy = Spy::new();
    let (here, program) = (process(&spy).await, process(&spy).await);
    let call = here
        .entry("kristoff")
        .or_external(|| async { Ok::<_, String>(()) });
    let resolve = async {
        spy.called(Operation::Subscribe, 1).await;
        tokio::time::sleep(SECOND / 10).await;
        spy.cut(true);
        program
            .entry("kristoff")
            .resolve(&"made".to_owned())
            .await
            .unwrap();
        spy.cut(false);
    };
    let (got, ()) = tokio::join!(call, resolve);
    assert_eq!(*got.unwrap(), "made");
    assert_eq!(here.stats().computes, 1);
    nothing_left(&spy, &[&here]).await;
}

#[tokio::test(start_paused = true)]
async fn an_external_wait_goes_on_after_a_gap_in_which_nothing_came() {
    let spy = Spy::new();
    let (here, program) = (process(&spy).await, process(&spy).await);
    let call = here
        .entry("kristoff")
        .or_external(|| async { Ok::<_, String>(()) });
    let resolve = async {
        spy.called(Operation::Subscribe, 1).await;
        tokio::time::sleep(SECOND / 10).await;
        spy.cut(true);
        spy.cut(false);
        spy.called(Operation::Acquire, 2).await;
        tokio::time::sleep(SECOND).await;
        program
            .entry("kristoff")
            .resolve(&"made".to_owned())
            .await
            .unwrap();
    };
    let (got, ()) = tokio::join!(call, resolve);
    assert_eq!(*got.unwrap(), "made");
    assert_eq!(here.stats().computes, 1, "the trigger ran once");
    nothing_left(&spy, &[&here]).await;
}
