//! Lost leases: known to whoever goes on under them, counted once, and told without a deadlock.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use common::{SECOND, Spy, builder, key, never, nothing_left, process, settle, value};
use memolock::core::{Backend, ErrorKind, Token};
use memolock::{Lease, Memolock};
use tokio::time::sleep;

/// It would compute for nothing: the value could not be stored.
#[tokio::test(start_paused = true)]
async fn a_joiner_does_not_begin_a_compute_under_a_lease_known_to_be_lost() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let mut leader = Box::pin(likes.get_or_compute("a", |_| async {
        std::future::pending::<()>().await;
        never().await
    }));
    assert!(futures_util::poll!(&mut leader).is_pending());
    let mut joiner = Box::pin(likes.get_or_compute("a", |lease| async move {
        assert!(lease.is_held(), "under a lease known to be lost");
        value("mine").await
    }));
    assert!(futures_util::poll!(&mut joiner).is_pending());
    spy.store().invalidate(&key(&likes, "a")).await.unwrap();
    sleep(2 * SECOND).await; // The heartbeat finds out.
    assert_eq!(likes.in_flight().leases, 0);
    drop(leader);
    assert_eq!(*joiner.await.unwrap(), "mine");
    assert_eq!(*likes.get("a").await.unwrap().unwrap(), "mine", "stored");
    nothing_left(&spy, &[&likes]).await;
}

/// And if somebody else has taken it meanwhile, the joiner waits for that one.
#[tokio::test(start_paused = true)]
async fn a_joiner_that_inherits_a_lease_lost_to_a_rival_waits_for_the_rival() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let mut leader = Box::pin(likes.get_or_compute("a", |_| async {
        std::future::pending::<()>().await;
        never().await
    }));
    assert!(futures_util::poll!(&mut leader).is_pending());
    let mut joiner = Box::pin(likes.get_or_compute("a", |_| never()));
    assert!(futures_util::poll!(&mut joiner).is_pending());
    let (a, rival) = (key(&likes, "a"), process(&spy).await);
    spy.store().invalidate(&a).await.unwrap();
    let theirs = tokio::spawn(async move {
        let compute = |_| async {
            sleep(5 * SECOND).await;
            value("theirs").await
        };
        rival.get_or_compute("a", compute).await.unwrap();
    });
    sleep(2 * SECOND).await;
    drop(leader);
    assert_eq!(*joiner.await.unwrap(), "theirs");
    theirs.await.unwrap();
    nothing_left(&spy, &[&likes]).await;
}

/// Work that heeds `lost()` returns an error, most likely: the lease was lost all the same.
#[tokio::test(start_paused = true)]
async fn a_lease_lost_under_work_that_then_fails_is_counted() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let compute = |lease: Lease| {
        let (spy, likes) = (&spy, &likes);
        async move {
            spy.store().invalidate(&key(likes, "a")).await.unwrap();
            lease.lost().await;
            Err::<String, _>("stopped early")
        }
    };
    let got = likes.get_or_compute("a", compute).await;
    assert_eq!(got.unwrap_err().to_string(), "stopped early");
    assert_eq!(likes.stats().lost_leases, 1);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_lost_under_work_that_heeds_it_and_succeeds_is_counted_once() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let compute = |lease: Lease| {
        let (spy, likes) = (&spy, &likes);
        async move {
            spy.store().invalidate(&key(likes, "a")).await.unwrap();
            lease.lost().await;
            value("x").await
        }
    };
    assert_eq!(*likes.get_or_compute("a", compute).await.unwrap(), "x");
    let stats = likes.stats();
    assert_eq!((stats.lost_leases, stats.unstored), (1, 1));
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_compute_without_a_lease_that_fails_is_counted_as_degraded() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.break_with(Some(ErrorKind::Unavailable));
    let fails = |_| async { Err::<String, _>("no") };
    let got = likes.get_or_compute("a", fails).await;
    assert_eq!(got.unwrap_err().to_string(), "no");
    let stats = likes.stats();
    assert_eq!((stats.degraded, stats.lost_leases), (1, 0));
    nothing_left(&spy, &[&likes]).await;
}

/// It takes the lease again, and does not wait for ever without one.
#[tokio::test(start_paused = true)]
async fn an_external_wait_hears_of_its_lost_lease() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let call = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let trigger = || async { Ok::<_, String>(()) };
            let made = likes.entry("a").or_external(trigger).await;
            made.unwrap().to_string()
        })
    };
    settle("triggered", || likes.stats().computes == 1).await;
    // The lock vanishes without a word, as in a server that lost its memory.
    let a = key(&likes, "a");
    let holder = spy.store().inspect(&a).await.unwrap().lock.unwrap().holder;
    let token = u128::from_str_radix(std::str::from_utf8(&holder).unwrap(), 16).unwrap();
    let token = Token::from_bits(token);
    assert!(spy.store().release(&a, token, None).await.unwrap());
    sleep(3 * SECOND).await;
    let lock = spy.store().inspect(&a).await.unwrap().lock;
    assert_eq!(lock.expect("taken again").holder, holder);
    sleep(10 * SECOND).await;
    let lock = spy.store().inspect(&a).await.unwrap().lock;
    assert!(lock.is_some(), "and kept");
    let made = "made".to_owned();
    likes.entry("a").resolve(&made).await.unwrap();
    assert_eq!(call.await.unwrap(), made);
    nothing_left(&spy, &[&likes]).await;
}

/// A waker that looks at the memolock, as one of an executor that polls where it is woken does.
struct Looks(Memolock<String>, AtomicUsize);

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        let _ = self.0.in_flight();
        self.1.fetch_add(1, SeqCst);
    }
}

/// In a thread of its own, with a watchdog: what hangs here cannot be dropped.
#[test]
fn whoever_is_told_of_a_lost_lease_may_look_at_the_memolock() {
    let (done, finished) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let spy = Spy::new();
            let short = Duration::from_millis(60);
            let likes = builder(&spy).lease(short).build().await.unwrap();
            let compute = |lease: Lease| {
                let (spy, likes) = (&spy, &likes);
                async move {
                    let looks = Arc::new(Looks(likes.clone(), AtomicUsize::new(0)));
                    let waker = Waker::from(Arc::clone(&looks));
                    let mut lost = Box::pin(lease.lost());
                    let polled = lost.as_mut().poll(&mut Context::from_waker(&waker));
                    assert!(polled.is_pending());
                    spy.store().invalidate(&key(likes, "a")).await.unwrap();
                    while looks.1.load(SeqCst) == 0 {
                        tokio::task::yield_now().await;
                    }
                    assert!(lease.is_lost());
                    value("x").await
                }
            };
            likes.get_or_compute("a", compute).await.unwrap();
        });
        done.send(()).unwrap();
    });
    let watchdog = Duration::from_secs(10);
    finished.recv_timeout(watchdog).expect("a deadlock");
}
