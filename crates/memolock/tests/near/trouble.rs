//! What breaks, what is refused, and what ends.

use std::sync::Arc;
use std::time::Duration;

use memolock::core::{Backend, Change, ErrorKind, Operation};
use memolock::{Coherence, Computed, Error, NearCache, OutagePolicy, Source};
use tokio::time::{advance, sleep};

use crate::common::{Fault, SECOND, Spy, builder, never, nothing_left, settle, value};
use crate::{coherence, elsewhere, is, near, now, quiet};

#[tokio::test(start_paused = true)]
async fn a_gap_flushes_and_nothing_is_kept_until_it_is_over() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    elsewhere(&spy, &likes, "k", "a").await;
    quiet().await;
    assert_eq!(now(&likes, "k").await.1, Source::Hit);
    spy.wire().cut(true);
    quiet().await;
    for _ in 0..3 {
        assert_eq!(now(&likes, "k").await, is("a", Source::Hit));
    }
    assert_eq!(
        (coherence(&likes), likes.stats().near.entries),
        (Coherence::Deaf, 0)
    );
    elsewhere(&spy, &likes, "k", "b").await;
    // A fill from before the end of the gap is in doubt.
    spy.tamper(Operation::Get, Fault::Late(SECOND));
    let fill = likes.get("k");
    let mends = async {
        sleep(SECOND / 2).await;
        spy.wire().cut(false);
    };
    tokio::join!(fill, mends).0.unwrap();
    assert_eq!(now(&likes, "k").await, is("b", Source::Hit));
    assert_eq!(now(&likes, "k").await, is("b", Source::Near));
}

#[tokio::test(start_paused = true)]
async fn when_everything_changed_everything_is_flushed() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    for id in ["a", "b"] {
        elsewhere(&spy, &likes, id, id).await;
        quiet().await;
        assert_eq!(now(&likes, id).await, is(id, Source::Hit));
    }
    let flushes = likes.stats().near.flushes;
    spy.wire().tell(Change::All);
    quiet().await;
    let stats = likes.stats().near;
    assert_eq!(
        (stats.entries, stats.flushes, stats.coherence),
        (0, flushes + 1, Coherence::Live)
    );
    assert_eq!(now(&likes, "a").await, is("a", Source::Hit));
    assert_eq!(now(&likes, "a").await, is("a", Source::Near));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_tells_no_changes_bounds_copies_by_their_age() {
    for refuses in [true, false] {
        let spy = Spy::new();
        if !refuses {
            spy.wire().cannot();
        }
        let likes = near(&spy).await;
        if refuses {
            let detail = "NOPERM";
            let error =
                memolock::core::BackendError::new(ErrorKind::Denied, Operation::Subscribe, detail);
            spy.wire().tell(Change::Refused(error));
            quiet().await;
        }
        assert_eq!(coherence(&likes), Coherence::Aged);
        likes.put("k", &"ours".to_owned()).await.unwrap();
        elsewhere(&spy, &likes, "k", "theirs").await;
        advance(SECOND * 19).await;
        assert_eq!(now(&likes, "k").await, is("ours", Source::Near));
        advance(SECOND).await;
        assert_eq!(now(&likes, "k").await, is("theirs", Source::Hit));
        advance(SECOND * 19).await;
        assert_eq!(now(&likes, "k").await, is("theirs", Source::Near));
        likes.invalidate("k").await.unwrap();
        assert_eq!(likes.get("k").await.unwrap(), None, "R4 all the same");
        assert_eq!(likes.stats().near.read_backs, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_in_the_store_is_not_kept_here() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    let entry = likes.entry("no_store");
    let computed = entry
        .or_compute_with(|_| async { Ok::<_, String>(Computed::new("x".to_owned()).no_store()) });
    computed.await.unwrap();
    likes
        .entry("zero")
        .ttl(Duration::ZERO)
        .or_compute(|_| value("x"))
        .await
        .unwrap();
    let failed = likes.get_or_compute("fails", |_| async { Err::<String, _>("no") });
    failed.await.unwrap_err();
    spy.tamper(Operation::Fulfil, Fault::Fails(ErrorKind::Refused));
    likes
        .get_or_compute("refused", |_| value("x"))
        .await
        .unwrap();
    assert_eq!(likes.get("absent").await.unwrap(), None);
    quiet().await;
    assert_eq!(likes.stats().near.entries, 0);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_served_stale_is_not_taken_in() {
    let spy = Spy::new();
    let builder = builder(&spy).on_outage(OutagePolicy::Serve);
    let likes = builder
        .near_cache(NearCache::entries(10))
        .build()
        .await
        .unwrap();
    quiet().await;
    likes.put("k", &"a".to_owned()).await.unwrap();
    quiet().await;
    spy.break_with(Some(ErrorKind::Unavailable));
    assert_eq!(
        now(&likes, "k").await,
        is("a", Source::Near),
        "changes are still heard"
    );
    spy.wire().tell(Change::All);
    quiet().await;
    likes.get("k").await.unwrap_err();
    spy.break_with(None);
    assert_eq!(now(&likes, "k").await, is("a", Source::Hit));
    spy.break_with(Some(ErrorKind::Unavailable));
    spy.wire().tell(Change::All);
    quiet().await;
    for _ in 0..3 {
        assert_eq!(now(&likes, "k").await, is("a", Source::Stale));
    }
}

#[tokio::test(start_paused = true)]
async fn r10_a_closed_memolock_answers_closed_whatever_it_had() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    assert_eq!(now(&likes, "k").await.1, Source::Computed);
    assert_eq!(now(&likes, "k").await.1, Source::Near);
    likes.close().await;
    assert!(matches!(likes.get("k").await, Err(Error::Closed)));
    assert!(matches!(
        likes.get_or_compute("k", |_| never()).await,
        Err(Error::Closed)
    ));
    assert_eq!(
        (coherence(&likes), likes.stats().near.entries),
        (Coherence::Off, 0)
    );
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn r9_its_task_ends_with_the_last_clone() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    likes.put("k", &"a".to_owned()).await.unwrap();
    assert_eq!(likes.in_flight().tasks, 0);
    // A read-back that is under way keeps nothing alive.
    spy.tamper(Operation::Get, Fault::HangsBefore);
    spy.called(Operation::Get, 1).await;
    let alive = Arc::downgrade(&likes.get("k").await.unwrap().unwrap());
    drop(likes);
    settle("the value is gone with the task", || {
        alive.strong_count() == 0
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_closes_leaves_nothing_that_is_taken_for_good() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    assert_eq!(now(&likes, "k").await.1, Source::Computed);
    spy.close().await;
    settle("it is deaf", || coherence(&likes) == Coherence::Deaf).await;
    likes.get("k").await.unwrap_err();
    assert_eq!(likes.in_flight().tasks, 0);
}

#[tokio::test(start_paused = true)]
async fn settings_that_keep_nothing_are_refused() {
    let spy = Spy::new();
    for cache in [
        NearCache::entries(0),
        NearCache::entries(1).max_age(Duration::ZERO),
    ] {
        let refused = builder(&spy).near_cache(cache).build().await;
        assert!(matches!(refused, Err(Error::Config(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_back_that_fails_leaves_no_copy() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    likes.put("k", &"a".to_owned()).await.unwrap();
    spy.tamper(Operation::Get, Fault::Fails(ErrorKind::Refused));
    quiet().await;
    assert_eq!(likes.stats().near.entries, 0);
    assert_eq!(now(&likes, "k").await, is("a", Source::Hit));
}
