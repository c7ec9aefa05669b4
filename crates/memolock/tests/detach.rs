//! Detached work goes on without its callers; builders refuse what cannot work.

mod common;

use std::time::Duration;

use common::{SECOND, Spy, builder, never, nothing_left, process, settle, value};
use memolock::{Error, Layout, Memolock};
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn detached_work_is_finished_and_stored_without_a_caller() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let caller = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| async {
                sleep(SECOND).await;
                value("done").await
            };
            likes.entry("a").detach().or_compute(compute).await
        })
    };
    settle("computing", || likes.stats().computes == 1).await;
    caller.abort();
    sleep(2 * SECOND).await;
    assert_eq!(*likes.get("a").await.unwrap().unwrap(), "done");
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_detached_panic_is_told() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let got = likes.entry("a").detach().or_compute(|_| never()).await;
    assert!(matches!(got, Err(Error::Panicked { .. })));
}

/// Futures are `Send` when the closure's is, and closures may borrow.
#[tokio::test(start_paused = true)]
async fn futures_are_send_and_closures_may_borrow() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let spy = Spy::new();
    let likes = process(&spy).await;
    let borrowed = "borrowed".to_owned();
    let future = send(likes.get_or_compute("a", |_| async { value(&borrowed).await }));
    assert_eq!(*future.await.unwrap(), "borrowed");
    send(
        likes
            .entry("b")
            .or_external(|| async { Err::<(), _>("no") }),
    )
    .await
    .unwrap_err();
    send(likes.get("a")).await.unwrap();
    send(likes.invalidate("a")).await.unwrap();
    // And a closure that is not `Send` is fine where nothing asks for it.
    let counter = std::rc::Rc::new(std::cell::Cell::new(0));
    let compute = |_| {
        let counter = std::rc::Rc::clone(&counter);
        async move {
            counter.set(counter.get() + 1);
            value("local").await
        }
    };
    likes.get_or_compute("c", compute).await.unwrap();
    assert_eq!(counter.get(), 1);
}

#[tokio::test]
async fn builders_refuse_what_cannot_work_in_one_line() {
    let spy = Spy::new();
    let refused = [
        builder(&spy).ttl(Duration::ZERO).build().await,
        builder(&spy).lease(Duration::from_millis(1)).build().await,
        builder(&spy).local_computes(0).build().await,
        Memolock::builder("", spy.clone()).build().await,
        Memolock::builder("likes/lock", spy.clone()).build().await,
        Memolock::builder("a{b}", spy.clone())
            .layout(Layout::HashTagged)
            .build()
            .await,
    ];
    for result in refused {
        let text = result.unwrap_err().to_string();
        assert!(!text.contains('\n') && text.len() > 20, "{text}");
    }
    let likes = process(&spy).await;
    let long = "x".repeat(100_000);
    let error = likes.get_or_compute(&long, |_| never()).await.unwrap_err();
    assert!(matches!(error, Error::Key(_)));
}

/// The hash-tagged layout and the ancestors' braces are the same names.
#[tokio::test(start_paused = true)]
async fn layouts_interoperate_through_braces() {
    let spy = Spy::new();
    let tagged = builder(&spy)
        .layout(Layout::HashTagged)
        .build()
        .await
        .unwrap();
    let name = tagged.keyspace().key("kristoff").unwrap().value_name();
    let classic = process(&spy).await;
    assert_eq!(
        name,
        classic.keyspace().key("{kristoff}").unwrap().value_name()
    );
}
