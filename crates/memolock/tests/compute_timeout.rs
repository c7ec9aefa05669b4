//! A compute that takes too long is cancelled: it counts as failed, its lease is released, and callers are told.

mod common;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{SECOND, Spy, builder, locked, never, nothing_left, process, settle, value};
use memolock::core::{ErrorKind, FailurePolicy, Operation};
use memolock::{Builder, Error, Memo, Memolock};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

type Likes = Memolock<String>;
type Got = Result<Memo<String>, Error>;

const LIMIT: Duration = Duration::from_secs(3);

fn limited(spy: &Spy) -> Builder<String> {
    builder(spy).compute_timeout(LIMIT)
}

/// Counts the computes that are dropped before their end.
#[derive(Clone, Default)]
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn hanging(likes: &Likes) -> JoinHandle<Got> {
    let likes = likes.clone();
    tokio::spawn(async move {
        likes
            .entry("a")
            .or_compute(|_| pending::<Result<_, String>>())
            .await
    })
}

fn timed_out<V>(got: &Result<V, Error>) -> bool {
    matches!(got, Err(Error::ComputeTimeout { after, .. }) if *after == LIMIT)
}

#[tokio::test(start_paused = true)]
async fn it_is_cancelled_and_counts_as_failed_for_all_who_had_joined() {
    let spy = Spy::new();
    let likes = limited(&spy).build().await.unwrap();
    let dropped = Dropped::default();
    let count = Arc::clone(&dropped.0);
    let leader = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| async move {
                let _dropped = dropped;
                pending::<Result<_, String>>().await
            };
            likes.entry("a").or_compute(compute).await
        })
    };
    settle("computing", || likes.stats().computes == 1).await;
    let began = Instant::now();
    let joiners = [hanging(&likes), hanging(&likes)];
    for caller in std::iter::once(leader).chain(joiners) {
        let got = caller.await.unwrap();
        assert!(timed_out(&got), "{got:?}");
        let error = got.unwrap_err();
        assert!(error.is_retryable());
        let line = error.to_string();
        assert_eq!(
            line,
            "the compute of likes:a took longer than 3s and was cancelled: give it more time with compute_timeout, or find out why it hangs"
        );
    }
    assert_eq!(began.elapsed(), LIMIT);
    assert_eq!(count.load(SeqCst), 1, "its future is dropped");
    assert_eq!((likes.stats().computes, likes.stats().failures), (1, 1));
    assert!(!locked(&spy, &likes, "a").await, "released at once");
    let next = likes.get_or_compute("a", |_| value("x")).await.unwrap();
    assert_eq!(*next, "x");
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_compute_in_time_is_not_touched() {
    let spy = Spy::new();
    let likes = limited(&spy).build().await.unwrap();
    let compute = |_| async {
        sleep(LIMIT - SECOND / 1000).await;
        value("x").await
    };
    likes.get_or_compute("a", compute).await.unwrap();
    assert_eq!(*likes.get("a").await.unwrap().unwrap(), "x");
    // By default none is.
    let unlimited = process(&spy).await;
    let compute = |_| async {
        sleep(240 * SECOND).await;
        value("x").await
    };
    unlimited.get_or_compute("b", compute).await.unwrap();
    nothing_left(&spy, &[&likes, &unlimited]).await;
}

/// Elsewhere it is a failure as any other: the next one tries, or all are told.
#[tokio::test(start_paused = true)]
async fn waiters_elsewhere_are_told_as_of_any_failure() {
    for shares in [false, true] {
        let spy = Spy::new();
        let policy = match shares {
            true => FailurePolicy::Share,
            false => FailurePolicy::Retry,
        };
        let here = limited(&spy).build().await.unwrap();
        let other = builder(&spy)
            .on_remote_failure(policy)
            .build()
            .await
            .unwrap();
        let hangs = hanging(&here);
        settle("computing", || here.stats().computes == 1).await;
        let began = Instant::now();
        let got = other.get_or_compute("a", |_| value("x")).await;
        match (shares, got) {
            (false, Ok(value)) => assert_eq!(*value, "x"),
            (true, Err(Error::Remote { message, .. })) => {
                assert_eq!(message, "it took longer than 3s");
            }
            (_, got) => panic!("{got:?}"),
        }
        assert!(began.elapsed() < LIMIT + SECOND / 10);
        assert!(timed_out(&hangs.await.unwrap()));
        nothing_left(&spy, &[&here, &other]).await;
    }
}

/// One compute for many ids: one limit for all of them together, and each id has the error.
#[tokio::test(start_paused = true)]
async fn a_compute_of_many_has_one_limit() {
    let spy = Spy::new();
    let likes = limited(&spy).build().await.unwrap();
    let began = Instant::now();
    let compute = |ids: Vec<String>| async move {
        assert_eq!(ids.len(), 3);
        pending::<Result<Vec<(String, String)>, String>>().await
    };
    let many = likes.entries(["a", "b", "c"]).or_compute(compute).await;
    assert_eq!(began.elapsed(), LIMIT);
    assert!(many.iter().all(|(_, got)| timed_out(got)));
    for id in ["a", "b", "c"] {
        assert!(!locked(&spy, &likes, id).await);
    }
    let own = likes.entries(["a", "b"]).compute_timeout(SECOND);
    let own = own.or_compute(|_| pending::<Result<Vec<(String, String)>, String>>());
    let after = |got: &Result<_, Error>| match got {
        Err(Error::ComputeTimeout { after, .. }) => *after,
        other => panic!("{other:?}"),
    };
    assert!(own.await.iter().all(|(_, got)| after(got) == SECOND));
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn detached_work_is_cancelled_too() {
    let spy = Spy::new();
    let likes = limited(&spy).build().await.unwrap();
    let detached = likes.entry("a").detach();
    let got = detached
        .or_compute(|_| pending::<Result<_, String>>())
        .await;
    assert!(timed_out(&got));
    let own = likes.entry("a").compute_timeout(SECOND).detach();
    let left = tokio::spawn(own.or_compute(|_| pending::<Result<_, String>>()));
    settle("computing", || likes.stats().computes == 2).await;
    left.abort();
    assert!(locked(&spy, &likes, "a").await);
    sleep(SECOND + SECOND / 100).await;
    assert!(!locked(&spy, &likes, "a").await);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_trigger_that_hangs_is_cancelled() {
    let spy = Spy::new();
    let likes = limited(&spy).build().await.unwrap();
    let trigger = pending::<Result<(), String>>;
    let got = likes.entry("a").or_external(trigger).await;
    assert!(timed_out(&got), "{got:?}");
    assert!(!locked(&spy, &likes, "a").await);
    nothing_left(&spy, &[&likes]).await;
}

/// In an outage there is no lease, and this is the one bound of a call whose own compute hangs.
#[tokio::test(start_paused = true)]
async fn a_compute_without_a_lease_is_cancelled_and_its_place_is_free() {
    let spy = Spy::new();
    let likes = limited(&spy).local_computes(1).build().await.unwrap();
    spy.break_with(Some(ErrorKind::Unavailable));
    assert!(timed_out(&hanging(&likes).await.unwrap()));
    assert_eq!(
        *likes.get_or_compute("b", |_| value("x")).await.unwrap(),
        "x"
    );
    spy.break_with(None);
    nothing_left(&spy, &[&likes]).await;
}

/// Who takes over begins a compute of its own, and has its time.
#[tokio::test(start_paused = true)]
async fn each_compute_has_its_own_time() {
    let spy = Spy::new();
    let likes = limited(&spy).build().await.unwrap();
    let first = hanging(&likes);
    settle("computing", || likes.stats().computes == 1).await;
    sleep(2 * SECOND).await;
    let second = hanging(&likes);
    tokio::task::yield_now().await;
    first.abort();
    let began = Instant::now();
    assert!(timed_out(&second.await.unwrap()));
    assert_eq!(began.elapsed(), LIMIT);
    assert_eq!(spy.count(Operation::Acquire), 1, "under the same lease");
    nothing_left(&spy, &[&likes]).await;
}

/// What is left of it is dropped, and that is the user's code: its panic is one of the compute.
#[tokio::test(start_paused = true)]
async fn a_compute_that_panics_when_it_is_cancelled_has_panicked() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "it is dropped");
        }
    }
    let spy = Spy::new();
    let likes = limited(&spy).build().await.unwrap();
    let compute = |_| async {
        let _bomb = Bomb;
        pending::<Result<String, String>>().await
    };
    let got = likes.get_or_compute("a", compute).await;
    assert!(
        matches!(&got, Err(Error::Panicked { message, .. }) if message == "it is dropped"),
        "{got:?}"
    );
    assert!(!locked(&spy, &likes, "a").await);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_zero_is_refused_and_an_endless_one_is_none() {
    let spy = Spy::new();
    let refused = builder(&spy).compute_timeout(Duration::ZERO).build().await;
    let line = refused.unwrap_err().to_string();
    assert_eq!(
        line,
        "unusable setting: compute_timeout is 0ns: at least 1ms"
    );
    let likes = builder(&spy)
        .compute_timeout(Duration::MAX)
        .build()
        .await
        .unwrap();
    assert_eq!(
        *likes.get_or_compute("a", |_| value("x")).await.unwrap(),
        "x"
    );
    let zero = likes.entry("b").compute_timeout(Duration::ZERO);
    let zero = zero.or_compute(|_| never()).await;
    assert!(matches!(zero, Err(Error::Config(_))));
    nothing_left(&spy, &[&likes]).await;
}
