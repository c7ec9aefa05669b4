//! Flights retired by a put or an invalidation: nobody joins them, and they harm no newer one.

#![allow(clippy::unwrap_used)]

mod common;
mod slow;

use std::time::Duration;

use common::{Fault, SECOND, Spy, never, nothing_left, process, settle, value};
use memolock::Memolock;
use memolock::core::Operation;
use slow::Slow;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// A compute of kristoff that takes a second, in a task of its own.
fn computing(likes: &Memolock<String>, text: &'static str) -> JoinHandle<String> {
    let likes = likes.clone();
    tokio::spawn(async move {
        let compute = |_| async {
            sleep(SECOND).await;
            value(text).await
        };
        let got = likes.get_or_compute("kristoff", compute).await;
        got.unwrap().to_string()
    })
}

#[tokio::test(start_paused = true)]
async fn an_older_flight_that_lands_does_not_remove_the_newer_one() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let (finish, finished) = oneshot::channel::<()>();
    let old = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| async {
                finished.await.unwrap();
                value("old").await
            };
            let got = likes.get_or_compute("kristoff", compute).await;
            got.unwrap().to_string()
        })
    };
    settle("the old one computes", || likes.stats().computes == 1).await;
    likes.invalidate("kristoff").await.unwrap();
    let new = computing(&likes, "new");
    settle("the new one computes", || likes.stats().computes == 2).await;
    finish.send(()).unwrap();
    assert_eq!(old.await.unwrap(), "old");
    assert_eq!(likes.in_flight().flights, 1, "the newer one is still there");
    let before = spy.total();
    let joined = likes.get_or_compute("kristoff", |_| never()).await;
    assert_eq!(*joined.unwrap(), "new");
    assert_eq!(likes.stats().joins, 1);
    assert_eq!(spy.total() - before, 1, "only the newer flight's fulfil");
    assert_eq!(new.await.unwrap(), "new");
    nothing_left(&spy, &[&likes]).await;
}

/// The same for flights that are only a look.
#[tokio::test(start_paused = true)]
async fn a_get_after_a_local_put_or_invalidation_joins_no_older_get() {
    for put in [true, false] {
        let spy = Spy::new();
        let likes = process(&spy).await;
        likes.put("kristoff", &"before".to_owned()).await.unwrap();
        spy.tamper(Operation::Get, Fault::HangsAfter);
        let old = {
            let likes = likes.clone();
            tokio::spawn(async move { likes.get("kristoff").await })
        };
        spy.called(Operation::Get, 1).await;
        if put {
            likes.put("kristoff", &"after".to_owned()).await.unwrap();
        } else {
            likes.invalidate("kristoff").await.unwrap();
        }
        let fresh = timeout(SECOND, likes.get("kristoff")).await;
        let fresh = fresh.expect("joined the old one").unwrap();
        assert_eq!(fresh.as_deref().map(String::as_str), put.then_some("after"));
        old.abort();
        let _ = old.await;
        nothing_left(&spy, &[&likes]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_after_a_local_put_joins_no_older_compute() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let old = computing(&likes, "old");
    settle("computing", || likes.stats().computes == 1).await;
    likes.put("kristoff", &"put".to_owned()).await.unwrap();
    let began = Instant::now();
    let got = likes.get_or_compute("kristoff", |_| never()).await;
    assert_eq!(*got.unwrap(), "put");
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(old.await.unwrap(), "old");
    assert_eq!(*likes.get("kristoff").await.unwrap().unwrap(), "put");
    nothing_left(&spy, &[&likes]).await;
}

/// It took effect, and its caller gave up before the reply: what is stored is what the next call gets.
#[tokio::test(start_paused = true)]
async fn a_put_that_is_dropped_after_its_effect_retires_all_the_same() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let old = computing(&likes, "old");
    settle("computing", || likes.stats().computes == 1).await;
    spy.tamper(Operation::Put, Fault::HangsAfter);
    let put = timeout(SECOND / 10, likes.put("kristoff", &"new".to_owned())).await;
    assert!(put.is_err(), "the put was to hang");
    let got = likes.get_or_compute("kristoff", |_| never()).await;
    assert_eq!(*got.unwrap(), "new", "what is stored");
    assert_eq!(old.await.unwrap(), "old");
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_that_is_dropped_after_its_effect_retires_all_the_same() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let old = computing(&likes, "old");
    settle("computing", || likes.stats().computes == 1).await;
    spy.tamper(Operation::Invalidate, Fault::HangsAfter);
    let done = timeout(SECOND / 10, likes.invalidate("kristoff")).await;
    assert!(done.is_err(), "the invalidation was to hang");
    let got = likes.get_or_compute("kristoff", |_| value("new")).await;
    assert_eq!(*got.unwrap(), "new");
    assert_eq!(old.await.unwrap(), "old");
    nothing_left(&spy, &[&likes]).await;
}

/// Retiring before the command would not be enough: this flight begins between the two.
#[tokio::test(start_paused = true)]
async fn a_flight_that_begins_during_a_put_or_invalidation_is_not_joined_after_it() {
    for put in [true, false] {
        let spy = Spy::new();
        let mut slow = Slow::new(&spy);
        slow.write = SECOND / 2;
        let likes = slow.process().await;
        let write = async {
            if put {
                likes.put("kristoff", &"fresh".to_owned()).await
            } else {
                likes.invalidate("kristoff").await
            }
        };
        let mut write = Box::pin(write);
        assert!(futures_util::poll!(&mut write).is_pending());
        let old = computing(&likes, "old");
        settle("computing", || likes.stats().computes == 1).await;
        write.await.unwrap();
        let got = likes.get_or_compute("kristoff", |_| value("fresh")).await;
        assert_eq!(*got.unwrap(), "fresh");
        assert_eq!(likes.stats().computes, if put { 1 } else { 2 });
        assert_eq!(old.await.unwrap(), "old");
        nothing_left(&spy, &[&likes]).await;
    }
}
