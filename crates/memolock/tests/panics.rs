//! Panics in code that is not ours: caught, told as one line, and no more than one caller's loss.

#![allow(clippy::unwrap_used)]

mod common;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use common::{SECOND, Spy, locked, never, nothing_left, process, settle, value};
use memolock::codec::{Codec, CodecError};
use memolock::core::{Backend, PutMode};
use memolock::{Error, Memolock, Source, UndecodablePolicy};
use tokio::time::sleep;

/// An error that cannot be told.
#[derive(Debug)]
struct Rude;

impl std::error::Error for Rude {}

impl fmt::Display for Rude {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("rude\nDisplay")
    }
}

/// A codec that panics at one thing or the other.
#[derive(Debug, Clone, Copy)]
enum Panicky {
    Encode,
    Decode,
}

impl Codec<String> for Panicky {
    fn encode(&self, value: &String) -> Result<Bytes, CodecError> {
        assert!(!matches!(self, Self::Encode), "rude\nencode");
        Ok(Bytes::from(value.clone()))
    }
    fn decode(&self, bytes: &Bytes) -> Result<String, CodecError> {
        assert!(!matches!(self, Self::Decode), "rude\ndecode");
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
    fn name(&self) -> &'static str {
        "panicky"
    }
}

async fn panicky(spy: &Spy, codec: Panicky) -> Memolock<String, Panicky> {
    let builder = Memolock::builder("likes", spy.clone()).ttl(60 * SECOND);
    // By the other policy they are computed again: see `undecodable`.
    let builder = builder.on_undecodable(UndecodablePolicy::Fail);
    builder.codec(codec).build().await.unwrap()
}

/// As `common::nothing_left`, whatever the codec.
async fn all_gone(spy: &Spy, likes: &Memolock<String, Panicky>) {
    settle("nothing in flight", || {
        let left = likes.in_flight();
        (left.flights, left.leases, left.tasks) == (0, 0, 0) && spy.stats().subscriptions == 0
    })
    .await;
    let found = likes.inspect("a").await.unwrap();
    assert!(found.lock.is_none(), "the lease is given back");
}

fn one_line(error: &Error) -> String {
    let text = error.to_string();
    assert!(!text.contains(['\n', '\r']), "{text:?}");
    text
}

#[tokio::test(start_paused = true)]
async fn an_error_whose_display_panics_is_a_caught_panic() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let fails = |_| async { Err::<String, _>(Rude) };
    let Err(Error::Panicked { message, .. }) = likes.get_or_compute("a", fails).await else {
        panic!("not told as a panic");
    };
    assert!(
        message.contains("rude") && !message.contains('\n'),
        "{message:?}"
    );
    assert!(!locked(&spy, &likes, "a").await);
    assert_eq!(likes.stats().failures, 1);
    let trigger = || async { Err::<(), _>(Rude) };
    let got = likes.entry("a").or_external(trigger).await;
    assert!(matches!(got, Err(Error::Panicked { .. })));
    assert!(!locked(&spy, &likes, "a").await);
    nothing_left(&spy, &[&likes]).await;
}

/// And not with `Error::Closed`, though nobody closed anything.
#[tokio::test(start_paused = true)]
async fn a_detached_error_whose_display_panics_is_a_caught_panic() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let fails = |_| async { Err::<String, _>(Rude) };
    let got = likes.entry("a").detach().or_compute(fails).await;
    assert!(matches!(got, Err(Error::Panicked { .. })));
    assert!(!locked(&spy, &likes, "a").await);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_joiner_of_an_error_whose_display_panics_hears_of_the_panic() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let fails = |_| async {
        sleep(SECOND).await;
        Err::<String, _>(Rude)
    };
    let lead = likes.get_or_compute("a", fails);
    let join = likes.get_or_compute("a", |_| never());
    let (lead, join) = tokio::join!(lead, join);
    assert!(matches!(lead, Err(Error::Panicked { .. })));
    let join = join.unwrap_err();
    assert!(matches!(join, Error::Panicked { .. }), "{join}");
    assert!(one_line(&join).contains("rude"), "{join}");
    assert_eq!(likes.stats().joins, 1);
    nothing_left(&spy, &[&likes]).await;
}

/// R3: the value is there. It cannot be stored, and that is nobody's reason to compute it again.
#[tokio::test(start_paused = true)]
async fn r3_a_value_whose_encoding_panics_reaches_everybody_aboard() {
    const CALLERS: usize = 20;
    let spy = Spy::new();
    let likes = panicky(&spy, Panicky::Encode).await;
    let computes = Arc::new(AtomicUsize::new(0));
    let calls: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (likes, computes) = (likes.clone(), Arc::clone(&computes));
            tokio::spawn(async move {
                let compute = |_| async {
                    computes.fetch_add(1, SeqCst);
                    sleep(SECOND).await;
                    value("x").await
                };
                likes.entry("a").or_compute(compute).await
            })
        })
        .collect();
    let mut computed = 0;
    for call in calls {
        let memo = call.await.expect("no caller panics").unwrap();
        assert_eq!(*memo, "x");
        computed += usize::from(memo.source() == Source::Computed);
    }
    assert_eq!((computes.load(SeqCst), computed), (1, 1));
    let stats = likes.stats();
    assert_eq!((stats.unstored, stats.failures), (1, 0));
    assert!(likes.inspect("a").await.unwrap().value.is_none());
    all_gone(&spy, &likes).await;
}

#[tokio::test(start_paused = true)]
async fn a_put_whose_encoding_panics_is_an_error_of_the_codec() {
    let spy = Spy::new();
    let likes = panicky(&spy, Panicky::Encode).await;
    let error = likes.put("a", &"x".to_owned()).await.unwrap_err();
    assert!(matches!(error, Error::Codec { .. }), "{error}");
    assert!(one_line(&error).contains("panicky"), "{error}");
    all_gone(&spy, &likes).await;
}

#[tokio::test(start_paused = true)]
async fn a_stored_value_whose_decoding_panics_is_an_error_of_the_codec() {
    let spy = Spy::new();
    let likes = panicky(&spy, Panicky::Decode).await;
    let a = likes.keyspace().key("a").unwrap();
    let stored = Bytes::from_static(b"x");
    let put = spy.store().put(&a, stored, 60 * SECOND, PutMode::Override);
    put.await.unwrap();
    let error = likes.get("a").await.unwrap_err();
    assert!(matches!(error, Error::Codec { .. }), "{error}");
    assert!(one_line(&error).contains("panicky"), "{error}");
    let error = likes.get_or_compute("a", |_| never()).await.unwrap_err();
    assert!(matches!(error, Error::Codec { .. }), "{error}");
    all_gone(&spy, &likes).await;
}

/// The same for a value that was waited for.
#[tokio::test(start_paused = true)]
async fn an_awaited_value_whose_decoding_panics_is_an_error_of_the_codec() {
    let spy = Spy::new();
    let here = panicky(&spy, Panicky::Decode).await;
    let elsewhere = panicky(&spy, Panicky::Decode).await;
    let holder = elsewhere.get_or_compute("a", |_| async {
        sleep(SECOND).await;
        value("x").await
    });
    let waiter = async {
        settle("held", || elsewhere.stats().computes == 1).await;
        here.get_or_compute("a", |_| never()).await
    };
    let (held, waited) = tokio::join!(holder, waiter);
    assert_eq!(*held.unwrap(), "x");
    let error = waited.unwrap_err();
    assert!(matches!(error, Error::Codec { .. }), "{error}");
    all_gone(&spy, &here).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_panic_says_becomes_one_line() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let panics = |_| async { never_in_lines().await };
    let error = likes.get_or_compute("a", panics).await.unwrap_err();
    assert!(matches!(error, Error::Panicked { .. }), "{error}");
    let text = one_line(&error);
    assert!(text.contains("line 1") && text.contains("line 2"), "{text}");
}

async fn never_in_lines() -> Result<String, String> {
    panic!("line 1\r\nline 2")
}

/// In the closure itself and not in its future.
#[tokio::test(start_paused = true)]
async fn a_panic_before_the_first_await_is_caught_like_any_other() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let at_once = |_| -> std::future::Ready<Result<String, String>> { panic!("in the closure") };
    let error = likes.get_or_compute("a", at_once).await.unwrap_err();
    assert!(matches!(&error, Error::Panicked { .. }), "{error}");
    assert!(!locked(&spy, &likes, "a").await);
    nothing_left(&spy, &[&likes]).await;
}
