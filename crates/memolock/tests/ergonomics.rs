//! What callers write compiles as they would write it: errors of any kind, inference, tasks, `Debug`.

#![allow(clippy::unwrap_used)]

mod common;

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use common::{SECOND, Spy, builder, nothing_left, process, settle, value};
use memolock::{Computed, Error, Memolock, Source};

type Boxed = Box<dyn std::error::Error + Send + Sync>;

/// Types with a lifetime in them once made the whole future `!Send`.
#[tokio::test]
async fn futures_are_send_within_a_task_whatever_the_type_of_error() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let task = async move {
        let fails = |_| async { Err::<String, &'static str>("no") };
        let a = likes.get_or_compute("a", fails).await;
        assert_eq!(a.unwrap_err().to_string(), "no");
        let works = |_| async { Ok::<String, Boxed>("b".into()) };
        let b = likes.get_or_compute("b", works).await;
        assert_eq!(*b.unwrap(), "b");
        let fails = || async { Err::<(), Boxed>("no".into()) };
        let c = likes.entry("c").or_external(fails).await;
        assert!(matches!(c, Err(Error::Compute(_))));
        let works = |_| async { Ok::<String, Boxed>("d".into()) };
        let d = likes.entry("d").detach().or_compute(works).await;
        assert_eq!(*d.unwrap(), "d");
        let fails = |_| async { Err::<String, _>(Cow::Borrowed("no")) };
        let e = likes.get_or_compute("e", fails).await;
        assert_eq!(e.unwrap_err().to_string(), "no");
        let works = |_| async { Ok::<_, Boxed>(Computed::new("f".to_owned())) };
        let f = likes.entry("f").or_compute_with(works).await;
        assert_eq!(*f.unwrap(), "f");
        let g = likes.entry("g").detach().or_compute_with(works).await;
        assert_eq!(*g.unwrap(), "f");
    };
    tokio::spawn(task).await.unwrap();
}

/// They are held by the thousand while a value is waited for.
#[tokio::test]
async fn futures_are_small() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let sizes = [
        size_of_val(&likes.get("a")),
        size_of_val(&likes.get_or_compute("a", |_| value("x"))),
        size_of_val(&likes.entry("a").or_compute(|_| value("x"))),
        size_of_val(
            &likes
                .entry("a")
                .or_external(|| async { Ok::<_, String>(()) }),
        ),
        size_of_val(&likes.entry("a").detach().or_compute(|_| value("x"))),
    ];
    assert!(sizes.iter().all(|size| *size < 1024), "{sizes:?}");
}

#[tokio::test]
async fn the_type_of_a_value_is_inferred_from_the_memolock() {
    let spy = Spy::new();
    let lists: Memolock<Vec<u32>> = Memolock::builder("lists", spy.clone())
        .build()
        .await
        .unwrap();
    let collects = |_| async { Ok::<_, Infallible>((0..3).collect()) };
    let list = lists.get_or_compute("a", collects).await.unwrap();
    assert_eq!(*list, [0, 1, 2]);
    let parses = |_| async { "1 2".split(' ').map(str::parse).collect() };
    let list: Result<_, Error> = lists.entry("b").or_compute(parses).await;
    assert_eq!(**list.unwrap(), [1, 2]);
    let likes = process(&spy).await;
    let into = |_| async { Ok::<_, Infallible>("text".into()) };
    assert_eq!(*likes.get_or_compute("c", into).await.unwrap(), "text");
}

#[tokio::test]
async fn a_compute_may_say_how_its_value_is_kept() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let kept = |store: bool| async move {
        let computed = Computed::new("x".to_owned());
        Ok::<_, Infallible>(if store { computed } else { computed.no_store() })
    };
    likes
        .entry("a")
        .or_compute_with(|_| kept(true))
        .await
        .unwrap();
    assert!(likes.get("a").await.unwrap().is_some());
    let memo = likes.entry("b").or_compute_with(|_| kept(false)).await;
    assert_eq!(memo.unwrap().source(), Source::Computed);
    assert!(likes.get("b").await.unwrap().is_none());
    let detached = likes.entry("c").detach();
    detached
        .or_compute_with(move |_| kept(false))
        .await
        .unwrap();
    assert!(likes.get("c").await.unwrap().is_none());
}

#[tokio::test]
async fn builders_entries_and_detached_calls_can_be_printed() {
    let spy = Spy::new();
    assert!(format!("{:?}", builder(&spy)).contains("likes"));
    let likes = process(&spy).await;
    assert!(format!("{:?}", likes.entry("kristoff")).contains("kristoff"));
    assert!(format!("{:?}", likes.entry("kristoff").detach()).contains("kristoff"));
}

#[tokio::test(start_paused = true)]
async fn a_detached_external_wait_goes_on_without_its_caller() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let caller = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let trigger = || async { Ok::<_, Boxed>(()) };
            likes.entry("a").detach().or_external(trigger).await
        })
    };
    settle("triggered", || likes.stats().computes == 1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    tokio::time::sleep(10 * SECOND).await;
    // The task is the leader still: who asks now joins it, and triggers nothing.
    let joiner = likes.entry("a").or_external(|| async { Err("twice") });
    let made = "made".to_owned();
    let program = async {
        settle("joined", || likes.stats().joins == 1).await;
        likes.entry("a").resolve(&made).await
    };
    let (joined, resolved) = tokio::join!(joiner, program);
    resolved.unwrap();
    assert_eq!(*joined.unwrap(), made);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test]
async fn a_put_that_would_store_nothing_is_refused() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let x = "x".to_owned();
    let put = likes.entry("a").ttl(Duration::ZERO).put(&x).await;
    assert!(matches!(put, Err(Error::Config(_))), "{put:?}");
    let resolve = likes.entry("a").ttl(Duration::ZERO).resolve(&x).await;
    assert!(matches!(resolve, Err(Error::Config(_))), "{resolve:?}");
    assert_eq!(spy.total(), 0);
}
