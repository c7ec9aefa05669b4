//! R11, `OutagePolicy::Serve`: while the store is failing, the last value is better than none.
#![allow(clippy::unwrap_used)]

mod common;

use std::num::NonZero;

use common::{Fault, SECOND, Spy, builder, never, nothing_left, value};
use memolock::core::{Backend, ErrorKind, Operation};
use memolock::{Computed, Error, Memolock, OutagePolicy, Source};
use tokio::time::sleep;

async fn serving(spy: &Spy) -> Memolock<String> {
    let builder = builder(spy).on_outage(OutagePolicy::Serve);
    builder.stale_age(SECOND * 600).build().await.unwrap()
}

fn fails(spy: &Spy, fails: bool) {
    spy.break_with(fails.then_some(ErrorKind::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn what_was_computed_found_or_awaited_is_served_in_an_outage() {
    let spy = Spy::new();
    let (here, elsewhere) = (serving(&spy).await, serving(&spy).await);
    here.get_or_compute("computed", |_| value("a"))
        .await
        .unwrap();
    elsewhere
        .get_or_compute("computed", |_| never())
        .await
        .unwrap();
    // Long since expired, and nobody could say so.
    sleep(SECOND * 100).await;
    fails(&spy, true);
    for likes in [&here, &elsewhere] {
        let served = likes
            .entry("computed")
            .or_compute(|_| never())
            .await
            .unwrap();
        assert_eq!((served.as_str(), served.source()), ("a", Source::Stale));
        assert_eq!(*likes.get("computed").await.unwrap().unwrap(), "a");
        let trigger = || async { panic!("no trigger runs without a store") };
        let served = likes.entry("computed").or_external::<_, _, String>(trigger);
        assert_eq!(served.await.unwrap().source(), Source::Stale);
        assert_eq!((likes.stats().served_stale, likes.stats().degraded), (3, 0));
    }
    // What nobody saw is computed as by default, looked for in vain, and remembered from then on.
    let local = here.entry("new").or_compute(|_| value("b")).await.unwrap();
    assert_eq!(local.source(), Source::Computed);
    assert!(matches!(here.get("other").await, Err(Error::Backend(_))));
    let served = here.entry("new").or_compute(|_| never()).await.unwrap();
    assert_eq!(served.source(), Source::Stale);
    // When the store is back, it counts again.
    fails(&spy, false);
    let fresh = here
        .entry("computed")
        .or_compute(|_| value("c"))
        .await
        .unwrap();
    assert_eq!((fresh.as_str(), fresh.source()), ("c", Source::Computed));
    nothing_left(&spy, &[&here, &elsewhere]).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_put_invalidated_or_found_missing_is_not_served() {
    let spy = Spy::new();
    let likes = serving(&spy).await;
    for id in ["put", "invalidated", "missing", "lost", "declined"] {
        likes.get_or_compute(id, |_| value("old")).await.unwrap();
    }
    likes.put("put", &"new".to_owned()).await.unwrap();
    likes.invalidate("invalidated").await.unwrap();
    let missing = common::key(&likes, "missing");
    spy.store().invalidate(&missing).await.unwrap();
    assert_eq!(likes.get("missing").await.unwrap(), None);
    // A compute that loses its lease to an invalidation elsewhere.
    let lost = common::key(&likes, "lost");
    spy.store().invalidate(&lost).await.unwrap();
    let compute = |_| async {
        spy.store().invalidate(&lost).await.unwrap();
        value("older than the invalidation").await
    };
    likes.get_or_compute("lost", compute).await.unwrap();
    // One whose maker does not want it kept.
    likes.invalidate("declined").await.unwrap();
    let unkept = |_| async { Ok::<_, String>(Computed::new("unkept".to_owned()).no_store()) };
    likes
        .entry("declined")
        .or_compute_with(unkept)
        .await
        .unwrap();
    fails(&spy, true);
    for id in ["put", "invalidated", "missing", "lost", "declined"] {
        let local = likes
            .entry(id)
            .or_compute(|_| value("local"))
            .await
            .unwrap();
        assert_eq!(
            (local.as_str(), local.source()),
            ("local", Source::Computed),
            "{id}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn r4_a_flight_that_lands_after_an_invalidation_is_not_remembered() {
    let spy = Spy::new();
    let likes = serving(&spy).await;
    likes
        .get_or_compute("kristoff", |_| value("old"))
        .await
        .unwrap();
    // A look whose answer is on its way when the value is invalidated.
    spy.tamper(Operation::Get, Fault::Late(SECOND));
    let looking = {
        let likes = likes.clone();
        tokio::spawn(async move { likes.get("kristoff").await })
    };
    spy.called(Operation::Get, 2).await;
    likes.invalidate("kristoff").await.unwrap();
    assert_eq!(*looking.await.unwrap().unwrap().unwrap(), "old");
    fails(&spy, true);
    let local = likes.entry("kristoff").or_compute(|_| value("local")).await;
    assert_eq!(local.unwrap().source(), Source::Computed);
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_by_number_and_by_age() {
    let spy = Spy::new();
    let builder = builder(&spy).on_outage(OutagePolicy::Serve);
    let builder = builder.stale_entries(NonZero::new(2).unwrap());
    let likes = builder.stale_age(SECOND * 600).build().await.unwrap();
    for id in ["a", "b", "c"] {
        likes.get_or_compute(id, |_| value(id)).await.unwrap();
    }
    fails(&spy, true);
    let of = async |id: &'static str| {
        let called = likes.entry(id).or_compute(|_| value("local")).await;
        called.unwrap().source()
    };
    assert_eq!(of("c").await, Source::Stale);
    assert_eq!(of("b").await, Source::Stale);
    assert_eq!(of("a").await, Source::Computed);
    sleep(SECOND * 601).await;
    assert_eq!(of("c").await, Source::Computed);
}

#[tokio::test(start_paused = true)]
async fn other_policies_remember_nothing() {
    let spy = Spy::new();
    let likes = common::process(&spy).await;
    likes
        .get_or_compute("kristoff", |_| value("old"))
        .await
        .unwrap();
    fails(&spy, true);
    let local = likes.entry("kristoff").or_compute(|_| value("local")).await;
    assert_eq!(local.unwrap().source(), Source::Computed);
    assert!(likes.get("kristoff").await.is_err());
}
