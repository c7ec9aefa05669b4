//! The near cache in front of the embedded backend: what it costs, what it serves, and when it does not.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod many;
mod trouble;

use std::sync::Arc;

use common::{Fault, SECOND, Spy, builder, key, never, nothing_left, process, settle, value};
use memolock::core::{Backend, Operation, PutMode};
use memolock::{Coherence, Memolock, NearCache, Source};
use tokio::time::sleep;

/// A memolock with a near cache that hears.
pub(crate) async fn near(spy: &Spy) -> Memolock<String> {
    let cache = NearCache::entries(1000).max_age(SECOND * 20);
    let likes = builder(spy).near_cache(cache).build().await.unwrap();
    settle("it is no more deaf", || {
        coherence(&likes) != Coherence::Deaf
    })
    .await;
    likes
}

fn coherence(likes: &Memolock<String>) -> Coherence {
    likes.stats().near.coherence
}

/// What is there, and from where.
async fn now(likes: &Memolock<String>, id: &str) -> (String, Source) {
    let memo = likes.entry(id).or_compute(|_| value("computed")).await;
    let memo = memo.unwrap();
    (memo.to_string(), memo.source())
}

fn is(text: &str, source: Source) -> (String, Source) {
    (text.to_owned(), source)
}

/// Somebody else puts a value, behind every memolock's back.
pub(crate) async fn elsewhere(spy: &Spy, likes: &Memolock<String>, id: &str, text: &str) {
    let bytes = format!("\"{text}\"").into();
    let key = key(likes, id);
    let put = spy.store().put(&key, bytes, SECOND * 60, PutMode::Override);
    put.await.unwrap();
}

/// Whatever is under way has come.
pub(crate) async fn quiet() {
    sleep(SECOND / 1000).await;
}

#[tokio::test(start_paused = true)]
async fn a_hit_costs_no_command_and_shares_the_value() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    elsewhere(&spy, &likes, "k", "a").await;
    quiet().await;
    let first = likes.get("k").await.unwrap().unwrap();
    let commands = spy.total();
    for _ in 0..10 {
        let again = likes.get_or_compute("k", |_| never()).await.unwrap();
        assert!(Arc::ptr_eq(&first, &again));
    }
    assert_eq!(now(&likes, "k").await, is("a", Source::Near));
    let trigger = || async { panic!("no trigger runs for what is there") };
    let memo = likes.entry("k").or_external::<_, _, String>(trigger).await;
    assert_eq!(memo.unwrap().source(), Source::Near);
    let memo = likes.entry("k").detach().or_compute(|_| never()).await;
    assert_eq!(memo.unwrap().source(), Source::Near);
    assert_eq!((spy.total(), likes.stats().near.hits), (commands, 13));
    assert_eq!((likes.stats().hits, likes.stats().near.entries), (1, 1));
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn own_writes_do_not_thrash_it() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    assert_eq!(now(&likes, "c").await, is("computed", Source::Computed));
    likes.put("p", &"put".to_owned()).await.unwrap();
    for _ in 0..100 {
        assert_eq!(now(&likes, "c").await, is("computed", Source::Near));
        assert_eq!(now(&likes, "p").await, is("put", Source::Near));
        quiet().await;
    }
    sleep(SECOND * 15).await;
    assert_eq!(now(&likes, "c").await, is("computed", Source::Near));
    let stats = likes.stats().near;
    assert_eq!((stats.read_backs, stats.invalidations), (2, 0), "{stats:?}");
    // The look before the compute, and two read-backs.
    assert!(spy.count(Operation::Get) <= 3);
}

#[tokio::test(start_paused = true)]
async fn a_change_elsewhere_by_whatever_way_ends_a_copy() {
    let spy = Spy::new();
    let (here, there) = (near(&spy).await, process(&spy).await);
    for way in ["put", "computed", "resolved", "gone"] {
        there.put("k", &"before".to_owned()).await.unwrap();
        quiet().await;
        assert_eq!(now(&here, "k").await, is("before", Source::Hit));
        assert_eq!(now(&here, "k").await, is("before", Source::Near));
        match way {
            "put" => there.put("k", &"put".to_owned()).await.unwrap(),
            "resolved" => there
                .entry("k")
                .resolve(&"resolved".to_owned())
                .await
                .unwrap(),
            _ => there.invalidate("k").await.unwrap(),
        }
        if way == "computed" {
            there
                .get_or_compute("k", |_| value("computed"))
                .await
                .unwrap();
        }
        quiet().await;
        match way {
            "gone" => assert_eq!(here.get("k").await.unwrap(), None),
            text => assert_eq!(now(&here, "k").await, is(text, Source::Hit)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_awaited_is_there_and_bounded_by_its_time() {
    let spy = Spy::new();
    let (here, there) = (near(&spy).await, process(&spy).await);
    let slow = there.entry("k").ttl(SECOND * 7).or_compute(|_| async {
        sleep(SECOND).await;
        value("slow").await
    });
    let waits = async {
        sleep(SECOND / 10).await;
        now(&here, "k").await
    };
    let (_, awaited) = tokio::join!(slow, waits);
    assert_eq!(awaited, is("slow", Source::Awaited));
    assert_eq!(now(&here, "k").await, is("slow", Source::Near));
    sleep(SECOND * 6).await;
    assert_eq!(now(&here, "k").await, is("slow", Source::Near));
    sleep(SECOND).await;
    assert_eq!(now(&here, "k").await, is("computed", Source::Computed));
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_was_invalidated_while_in_flight_is_never_inserted() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    elsewhere(&spy, &likes, "k", "old").await;
    quiet().await;
    spy.tamper(Operation::Get, Fault::Late(SECOND));
    let fill = now(&likes, "k");
    let change = async {
        sleep(SECOND / 2).await;
        elsewhere(&spy, &likes, "k", "new").await;
    };
    // The caller began before the change, and may have the value of then.
    assert_eq!(tokio::join!(fill, change).0, is("old", Source::Hit));
    assert_eq!(now(&likes, "k").await, is("new", Source::Hit));
    assert_eq!(now(&likes, "k").await, is("new", Source::Near));
}

#[tokio::test(start_paused = true)]
async fn r4_after_a_local_write_nothing_older_is_served_however_late_changes_come() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    // What changes is not heard at all from here on.
    spy.wire().hold(true);
    for put in [true, false] {
        elsewhere(&spy, &likes, "k", "old").await;
        spy.tamper(Operation::Get, Fault::Late(SECOND));
        let fill = likes.get("k");
        let write = async {
            sleep(SECOND / 2).await;
            match put {
                true => likes.put("k", &"new".to_owned()).await.unwrap(),
                false => likes.invalidate("k").await.unwrap(),
            }
            let after = likes.get("k").await.unwrap();
            assert_eq!(after.is_some(), put);
        };
        assert_eq!(*tokio::join!(fill, write).0.unwrap().unwrap(), "old");
        let after = likes.get("k").await.unwrap();
        assert_eq!(after.as_deref().map(String::as_str), put.then_some("new"));
        likes.invalidate("k").await.unwrap();
        assert_eq!(likes.get("k").await.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn r4_a_compute_that_a_local_put_overtook_is_not_kept() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    spy.wire().hold(true);
    spy.tamper(Operation::Fulfil, Fault::Late(SECOND));
    let computes = likes.get_or_compute("k", |_| value("computed"));
    let puts = async {
        // Stored already, and the answer is on its way.
        sleep(SECOND / 2).await;
        likes.put("k", &"put".to_owned()).await.unwrap();
    };
    assert_eq!(*tokio::join!(computes, puts).0.unwrap(), "computed");
    assert_eq!(now(&likes, "k").await, is("put", Source::Near));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_write_that_is_told_together_with_ours_is_found() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    spy.wire().hold(true);
    likes.put("k", &"ours".to_owned()).await.unwrap();
    elsewhere(&spy, &likes, "k", "theirs").await;
    assert_eq!(
        now(&likes, "k").await,
        is("ours", Source::Near),
        "not heard yet"
    );
    spy.wire().hold(false);
    quiet().await;
    assert_eq!(now(&likes, "k").await, is("theirs", Source::Near));
}

#[tokio::test(start_paused = true)]
async fn no_copy_outlives_its_value() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    likes
        .entry("k")
        .ttl(SECOND * 3)
        .put(&"a".to_owned())
        .await
        .unwrap();
    for _ in 0..2 {
        quiet().await;
        assert_eq!(now(&likes, "k").await, is("a", Source::Near));
        sleep(SECOND).await;
    }
    sleep(SECOND).await;
    assert_eq!(now(&likes, "k").await, is("computed", Source::Computed));
}
