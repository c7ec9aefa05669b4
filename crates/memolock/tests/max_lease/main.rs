//! R16: a compute that never ends holds its key for at most `max_lease`: in the store, and in its own process.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod others;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use common::{SECOND, Spy, builder, key, locked, nothing_left, process, settle, value};
use memolock::core::{Backend, Operation, Remaining};
use memolock::{Builder, Error, Lease, Memo, Memolock, Source};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

type Likes = Memolock<String>;
type Got = Result<Memo<String>, Error>;

const MAX: Duration = Duration::from_secs(20);
/// By how much a take-over may be late: its jitter.
const LATE: Duration = Duration::from_millis(30);

/// Memolocks whose leases are kept for 20 s, and whose callers are patient.
fn limited(spy: &Spy) -> Builder<String> {
    builder(spy).max_lease(MAX).wait_timeout(60 * SECOND)
}

/// A caller whose compute never ends.
fn hanging(likes: &Likes) -> JoinHandle<Got> {
    let likes = likes.clone();
    tokio::spawn(async move {
        likes
            .entry("a")
            .or_compute(|_| pending::<Result<_, String>>())
            .await
    })
}

/// A caller whose program never answers.
fn unanswered(likes: &Likes) -> JoinHandle<Got> {
    let likes = likes.clone();
    tokio::spawn(async move {
        let trigger = || async { Ok::<_, String>(()) };
        likes.entry("a").or_external(trigger).await
    })
}

fn calling(likes: &Likes, text: &'static str) -> JoinHandle<Got> {
    let likes = likes.clone();
    tokio::spawn(async move { likes.entry("a").or_compute(|_| value(text)).await })
}

async fn computing(likes: &Likes) {
    settle("computing", || likes.stats().computes > 0).await;
}

/// How long the lock on `a` stands; none if there is none.
async fn left(spy: &Spy, likes: &Likes) -> Option<Duration> {
    let found = spy.store().inspect(&key(likes, "a")).await.unwrap();
    found.lock.map(|lock| match lock.remaining {
        Remaining::Expires(left) => left,
        Remaining::Forever => Duration::MAX,
    })
}

#[tokio::test(start_paused = true)]
async fn r16_another_process_computes_once_max_lease_is_over() {
    let spy = Spy::new();
    let (here, other) = (limited(&spy).build().await.unwrap(), process(&spy).await);
    let began = Instant::now();
    let hangs = hanging(&here);
    computing(&here).await;
    // It is patient, or one after the other it is.
    sleep(SECOND).await;
    let memo = calling(&other, "served").await.unwrap().unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("served", Source::Computed));
    assert!(
        (MAX..MAX + LATE).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(here.stats().lost_leases, 0, "counted when the compute ends");
    hangs.abort();
    nothing_left(&spy, &[&here, &other]).await;
}

/// The last renewal is shortened, so that the store ends the lease even if the process is gone by then.
#[tokio::test(start_paused = true)]
async fn r16_the_lock_never_stands_for_longer_than_what_is_left() {
    let spy = Spy::new();
    let likes = limited(&spy).build().await.unwrap();
    let hangs = hanging(&likes);
    computing(&likes).await;
    let began = Instant::now();
    for tick in 1..400_u32 {
        sleep_until(began + tick * SECOND / 20).await;
        let (rest, left) = (
            MAX.saturating_sub(began.elapsed()),
            left(&spy, &likes).await,
        );
        let left = left.expect("it is renewed until then");
        assert!(left <= rest, "{left:?} of {rest:?}");
        assert!(
            left > Duration::from_secs(3) || rest < 4 * SECOND,
            "{left:?}"
        );
    }
    let renewed = spy.count(Operation::Renew);
    sleep(60 * SECOND).await;
    assert_eq!(spy.count(Operation::Renew), renewed, "and no more");
    assert!(!locked(&spy, &likes, "a").await);
    hangs.abort();
    nothing_left(&spy, &[&likes]).await;
}

/// Whoever had joined goes on, and whoever comes later: a hang of one caller is not everybody's.
#[tokio::test(start_paused = true)]
async fn r16_callers_of_the_same_process_go_on_without_it() {
    let spy = Spy::new();
    let likes = limited(&spy).build().await.unwrap();
    let began = Instant::now();
    let hangs = hanging(&likes);
    computing(&likes).await;
    sleep(SECOND).await;
    let joined: Vec<_> = (0..5).map(|_| calling(&likes, "served")).collect();
    let mut computed = 0;
    for caller in joined {
        let memo = caller.await.unwrap().unwrap();
        assert_eq!(memo.as_str(), "served");
        computed += usize::from(memo.source() == Source::Computed);
    }
    assert_eq!(computed, 1, "together");
    assert!(
        (MAX..MAX + LATE).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    likes.invalidate("a").await.unwrap();
    let later = calling(&likes, "later").await.unwrap().unwrap();
    assert_eq!(later.as_str(), "later");
    // A close ends it, although nobody could join it any more.
    assert_eq!(likes.in_flight().leases, 0);
    likes.close().await;
    assert!(matches!(hangs.await.unwrap(), Err(Error::Closed)));
    nothing_left(&spy, &[&likes]).await;
}

/// R3: it did not hang after all. Its caller has its value, which is not stored over a newer one.
#[tokio::test(start_paused = true)]
async fn r3_r16_a_compute_that_ends_too_late_reaches_its_caller_and_is_not_stored() {
    let spy = Spy::new();
    let likes = limited(&spy).build().await.unwrap();
    let told = Arc::new(AtomicBool::new(false));
    let slow = {
        let (likes, told) = (likes.clone(), Arc::clone(&told));
        tokio::spawn(async move {
            let compute = |lease: Lease| async move {
                let began = Instant::now();
                lease.lost().await;
                assert_eq!(began.elapsed(), MAX);
                told.store(!lease.is_held(), SeqCst);
                sleep(30 * SECOND).await;
                let refused = lease.renew(SECOND).await;
                assert!(matches!(refused, Err(Error::LeaseLost { .. })));
                value("slow").await
            };
            likes.entry("a").or_compute(compute).await
        })
    };
    computing(&likes).await;
    sleep(SECOND).await;
    assert_eq!(
        calling(&likes, "served").await.unwrap().unwrap().as_str(),
        "served"
    );
    assert!(told.load(SeqCst), "the holder is told");
    let memo = slow.await.unwrap().unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("slow", Source::Computed));
    assert_eq!((likes.stats().unstored, likes.stats().lost_leases), (1, 1));
    assert_eq!(*likes.get("a").await.unwrap().unwrap(), "served");
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_renewal_by_the_compute_begins_again() {
    let spy = Spy::new();
    let likes = limited(&spy).build().await.unwrap();
    let compute = |lease: Lease| async move {
        for _ in 0..5 {
            sleep(MAX - SECOND).await;
            lease.renew(5 * SECOND).await.unwrap();
        }
        assert!(lease.is_held());
        sleep(MAX - SECOND).await;
        assert!(lease.is_held());
        value("long").await
    };
    likes.get_or_compute("a", compute).await.unwrap();
    assert_eq!(*likes.get("a").await.unwrap().unwrap(), "long");
    // For as long as it is asked for, even if that is longer, and no longer.
    likes.invalidate("a").await.unwrap();
    let compute = |lease: Lease| async move {
        lease.renew(3 * MAX).await.unwrap();
        let began = Instant::now();
        lease.lost().await;
        assert_eq!(began.elapsed(), 3 * MAX);
        value("longer").await
    };
    likes.get_or_compute("a", compute).await.unwrap();
    assert_eq!((likes.stats().lost_leases, likes.stats().unstored), (1, 1));
    nothing_left(&spy, &[&likes]).await;
}

/// A flight was overdue, and then its leader took the lease again: callers could not join that flight any more
/// (seed 1796200002493156 of the simulation).
#[tokio::test(start_paused = true)]
async fn r1_who_takes_the_lease_once_more_can_be_joined_again() {
    let spy = Spy::new();
    let patient = limited(&spy).trigger_timeout(Duration::MAX);
    let likes = patient.build().await.unwrap();
    let dead = unanswered(&likes);
    computing(&likes).await;
    let began = Instant::now();
    let slow = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = async |_| {
                sleep(2 * SECOND).await;
                Ok::<_, String>("served".to_owned())
            };
            likes.entry("a").or_compute(compute).await
        })
    };
    sleep(SECOND).await;
    dead.abort();
    // It takes over, waits for the program until the lease is over, and computes under one of its own.
    sleep_until(began + MAX + SECOND).await;
    assert_eq!(likes.stats().computes, 2);
    let (joins, tries) = (likes.stats().joins, spy.count(Operation::Acquire));
    let joined = calling(&likes, "not this one").await.unwrap().unwrap();
    assert_eq!(joined.as_str(), "served");
    assert_eq!(likes.stats().joins, joins + 1);
    assert_eq!(spy.count(Operation::Acquire), tries);
    assert_eq!(slow.await.unwrap().unwrap().as_str(), "served");
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn r16_many_and_detached_computes_hold_their_keys_no_longer() {
    for many in [false, true] {
        let spy = Spy::new();
        let (here, other) = (limited(&spy).build().await.unwrap(), process(&spy).await);
        let hangs = {
            let here = here.clone();
            tokio::spawn(async move {
                if many {
                    let compute =
                        |_: Vec<String>| pending::<Result<Vec<(String, String)>, String>>();
                    drop(here.get_or_compute_many(["a", "b"], compute).await);
                } else {
                    drop(
                        here.entry("a")
                            .detach()
                            .or_compute(|_| pending::<Result<_, String>>())
                            .await,
                    );
                }
            })
        };
        computing(&here).await;
        let began = Instant::now();
        // One joins by itself, one with many, and one waits elsewhere.
        let joined = calling(&here, "served");
        let with_many = {
            let here = here.clone();
            tokio::spawn(async move {
                let compute = async |ids: Vec<String>| {
                    Ok::<_, String>(
                        ids.into_iter()
                            .map(|id| (id, "served".to_owned()))
                            .collect::<Vec<_>>(),
                    )
                };
                here.get_or_compute_many(["c", "a"], compute)
                    .await
                    .into_result()
                    .unwrap()
            })
        };
        let elsewhere = calling(&other, "served");
        for caller in [joined, elsewhere] {
            assert_eq!(caller.await.unwrap().unwrap().as_str(), "served", "{many}");
        }
        assert_eq!(with_many.await.unwrap().len(), 2);
        assert!(
            (MAX..MAX + LATE).contains(&began.elapsed()),
            "{:?}",
            began.elapsed()
        );
        here.close().await;
        hangs.await.unwrap();
        nothing_left(&spy, &[&here, &other]).await;
    }
}
