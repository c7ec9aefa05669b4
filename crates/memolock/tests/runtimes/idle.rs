//! Callers on runtimes that run only while they call.

use std::time::{Duration, Instant};

use memolock::core::Operation;
use memolock::{Error, Memolock, Phase, Source};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::common::{SECOND, Spy, builder, never, value};
use crate::{HANG, at_home, nothing_left, on_its_own, one_at_a_time, stuck, threaded, wait};

const MILLI: Duration = Duration::from_millis(1);

/// What takes a fraction of a second took 5 s and more when it waited for a runtime that no thread drives.
const HELD_UP: Duration = Duration::from_secs(4);

/// The lease of a caller that gave up is released, not left to expire: the next caller computes at once.
#[test]
fn a_caller_that_times_out_gives_the_key_back_although_its_runtime_stops() {
    let (home, spy) = (threaded(), Spy::new());
    let likes = at_home(&home, &spy);
    let here = one_at_a_time();
    let left =
        here.block_on(async { timeout(50 * MILLI, likes.get_or_compute("a", |_| stuck())).await });
    assert!(left.is_err());
    // The first runtime is still there, and no thread drives it.
    let next = on_its_own(|here| {
        here.block_on(async { timeout(HANG, likes.get_or_compute("a", |_| value("next"))).await })
    });
    assert_eq!(*next.expect("a hang").unwrap(), "next");
    nothing_left(&home, &spy, &likes);
    drop(here);
}

/// What was computed is stored, although the reply was lost and the caller's runtime stops with its answer.
#[test]
fn a_lost_fulfil_is_sent_again_although_the_callers_runtime_stops() {
    let (home, spy) = (threaded(), Spy::new());
    let likes = at_home(&home, &spy);
    let lost = crate::common::Fault::Fails(memolock::core::ErrorKind::Timeout);
    spy.tamper(Operation::Fulfil, lost);
    on_its_own(|here| {
        let made = here.block_on(likes.get_or_compute("a", |_| value("made")));
        assert_eq!(*made.unwrap(), "made");
    });
    wait(&home, || spy.count(Operation::Fulfil) == 2);
    nothing_left(&home, &spy, &likes);
    assert_eq!(*home.block_on(likes.get("a")).unwrap().unwrap(), "made");
}

#[test]
fn detached_work_goes_on_although_the_runtime_of_its_caller_stops() {
    let (home, spy) = (threaded(), Spy::new());
    let likes = at_home(&home, &spy);
    let here = one_at_a_time();
    let left = here.block_on(async {
        let compute = |_| async {
            sleep(200 * MILLI).await;
            value("detached").await
        };
        timeout(50 * MILLI, likes.entry("a").detach().or_compute(compute)).await
    });
    assert!(left.is_err(), "it was to be left in the middle");
    let memo = on_its_own(|here| {
        let call = likes.entry("a").or_compute(|_| never());
        here.block_on(async { timeout(HANG, call).await })
    });
    let memo = memo.expect("a hang").unwrap();
    assert_eq!(
        (memo.as_str(), memo.source()),
        ("detached", Source::Awaited)
    );
    nothing_left(&home, &spy, &likes);
    drop(here);
}

/// Work that blocks its thread must not block a home with one thread.
#[test]
fn detached_work_stays_with_a_caller_whose_runtime_has_threads() {
    let (home, theirs, spy) = (one_at_a_time(), threaded(), Spy::new());
    let likes = at_home(&home, &spy);
    let ran_on = |_| async { Ok::<_, String>(tokio::runtime::Handle::current().id().to_string()) };
    let id = theirs
        .block_on(likes.entry("a").detach().or_compute(ran_on))
        .unwrap();
    assert_eq!(*id, theirs.handle().id().to_string());
    // And one whose runtime has none goes home.
    let (homes, rest) = (threaded(), one_at_a_time());
    let likes = at_home(&homes, &Spy::new());
    let id = rest
        .block_on(likes.entry("a").detach().or_compute(ran_on))
        .unwrap();
    assert_eq!(*id, homes.handle().id().to_string());
}

/// The timer of a crowd was a task on the runtime of whoever called it. Here each caller has a runtime of its own, and
/// the one that used to call it leaves before the timer is over, and keeps its runtime.
#[test]
fn everybody_in_a_crowd_times_out_although_the_others_runtimes_stop() {
    for home in [threaded(), one_at_a_time()] {
        let spy = Spy::new();
        // A home that no thread drives is no reason to hang either.
        let likes = at_home(&home, &spy);
        let (end, ended) = oneshot::channel::<()>();
        std::thread::scope(|scope| {
            let leads = scope.spawn(|| {
                let lead = likes.get_or_compute("a", |_| async move {
                    ended.await.map_err(|e| e.to_string())?;
                    value("led").await
                });
                one_at_a_time().block_on(lead)
            });
            until(|| likes.stats().computes == 1);
            let mut stopped = Vec::new();
            let mut waits = Vec::new();
            for nth in 1..=10 {
                if nth == 3 {
                    let here = one_at_a_time();
                    let left = here.block_on(async {
                        timeout(10 * MILLI, likes.get_or_compute("a", |_| never())).await
                    });
                    assert!(left.is_err());
                    stopped.push(here);
                } else {
                    waits.push(scope.spawn(|| times_out(&likes)));
                }
                until(|| likes.stats().joins == nth);
            }
            for call in waits {
                call.join().unwrap();
            }
            end.send(()).unwrap();
            assert_eq!(*leads.join().unwrap().unwrap(), "led");
        });
    }
}

/// Joins and waits in vain, on a runtime of its own.
fn times_out(likes: &Memolock<String>) {
    const PATIENCE: Duration = Duration::from_millis(300);
    let began = Instant::now();
    let call = likes
        .entry("a")
        .wait_timeout(PATIENCE)
        .or_compute(|_| never());
    // Its own time-out must not depend on that of the test.
    let got = one_at_a_time().block_on(async { timeout(HANG, call).await.expect("a hang") });
    let Err(Error::Timeout { phase, .. }) = got else {
        panic!("{got:?}");
    };
    assert_eq!(phase, Phase::Waiting);
    let took = began.elapsed();
    assert!(took >= PATIENCE && took < HELD_UP, "{took:?}");
}

/// A joiner that is neither polled nor dropped may be the one that is woken when the leader leaves.
#[test]
fn a_joiner_whose_runtime_stopped_does_not_keep_others_from_leading() {
    let (home, spy) = (threaded(), Spy::new());
    let likes = at_home(&home, &spy);
    let (theirs, stops) = (threaded(), one_at_a_time());
    let call = likes.clone();
    let leads = theirs.spawn(async move { call.get_or_compute("a", |_| stuck()).await });
    until(|| likes.stats().computes == 1);
    // The first to join is the first to be woken.
    let call = likes.clone();
    drop(stops.spawn(async move { call.get_or_compute("a", |_| value("stopped")).await }));
    stops.block_on(async {
        while likes.stats().joins == 0 {
            tokio::task::yield_now().await;
        }
    });
    std::thread::scope(|scope| {
        let next = scope.spawn(|| {
            let call = likes.entry("a").wait_timeout(1000 * SECOND);
            let call = call.or_compute(|_| value("next"));
            one_at_a_time().block_on(async { timeout(HANG, call).await })
        });
        until(|| likes.stats().joins == 2);
        leads.abort();
        let next = next.join().unwrap().expect("a hang").unwrap();
        assert_eq!((next.as_str(), next.source()), ("next", Source::Computed));
    });
    drop(stops);
    nothing_left(&home, &spy, &likes);
}

/// Nobody can take the seat that the leader left: after about a lease another process has the key, not after `max_lease`.
#[test]
fn a_seat_that_only_stopped_runtimes_could_take_gives_the_key_back() {
    let (home, spy) = (threaded(), Spy::new());
    let likes = home.block_on(builder(&spy).lease(SECOND).build()).unwrap();
    let (theirs, stops) = (threaded(), one_at_a_time());
    let call = likes.clone();
    let leads = theirs.spawn(async move { call.get_or_compute("a", |_| stuck()).await });
    until(|| likes.stats().computes == 1);
    let call = likes.clone();
    let joined = stops.spawn(async move { call.get_or_compute("a", |_| never()).await });
    stops.block_on(async {
        while likes.stats().joins == 0 {
            tokio::task::yield_now().await;
        }
    });
    leads.abort();
    let other = at_home(&home, &spy);
    let next = home
        .block_on(async { timeout(HANG, other.get_or_compute("a", |_| value("other's"))).await });
    assert_eq!(*next.expect("a hang").unwrap(), "other's");
    // Driven again, it begins anew.
    let memo = stops.block_on(async { timeout(HANG, joined).await });
    assert_eq!(*memo.expect("a hang").unwrap().unwrap(), "other's");
    nothing_left(&home, &spy, &likes);
}

fn until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::sleep(MILLI);
    }
}

/// It waits for what is at home, and for nothing that was left elsewhere.
#[test]
fn a_close_after_calls_on_runtimes_that_stopped_leaves_nothing() {
    let (home, spy) = (threaded(), Spy::new());
    let likes = at_home(&home, &spy);
    let stopped: Vec<_> = (0..4).map(|_| one_at_a_time()).collect();
    for (nth, here) in stopped.iter().enumerate() {
        let id = format!("a{nth}");
        let left = here
            .block_on(async { timeout(20 * MILLI, likes.get_or_compute(&id, |_| stuck())).await });
        assert!(left.is_err());
    }
    let began = Instant::now();
    one_at_a_time().block_on(likes.close());
    assert!(began.elapsed() < HELD_UP, "{:?}", began.elapsed());
    assert_eq!(likes.in_flight().tasks, 0);
    assert_eq!(spy.count(Operation::Release), 4);
}

/// A caller that joined and is neither polled nor dropped keeps nobody: not one that gives up, and not a close.
#[test]
fn a_close_does_not_wait_for_a_joiner_whose_runtime_stopped() {
    let (home, spy) = (threaded(), Spy::new());
    let likes = at_home(&home, &spy);
    let (leader, stops) = (one_at_a_time(), one_at_a_time());
    let call = likes.clone();
    let lead = leader.spawn(async move { call.get_or_compute("a", |_| stuck()).await });
    leader.block_on(async {
        while likes.stats().computes == 0 {
            tokio::task::yield_now().await;
        }
    });
    let call = likes.clone();
    drop(stops.spawn(async move { call.get_or_compute("a", |_| never()).await }));
    stops.block_on(async {
        while likes.stats().joins == 0 {
            tokio::task::yield_now().await;
        }
    });
    on_its_own(|_| times_out(&likes));
    // It was the last one but the one that is never polled.
    lead.abort();
    assert!(leader.block_on(lead).is_err());
    let began = Instant::now();
    on_its_own(|here| here.block_on(likes.close()));
    assert!(began.elapsed() < HELD_UP, "{:?}", began.elapsed());
    assert_eq!(likes.in_flight().leases, 0);
    assert_eq!(spy.count(Operation::Release), 1);
}

/// Callers keep their runtimes; the memolock is at home where it was told.
#[test]
fn a_home_may_be_given_to_the_builder() {
    let (home, spy) = (threaded(), Spy::new());
    let built_in = one_at_a_time();
    let builder = builder(&spy).lease(SECOND).runtime(home.handle().clone());
    let likes = built_in.block_on(builder.build()).unwrap();
    // Longer than the lease: without a heartbeat that runs it is lost.
    let made = on_its_own(|here| {
        here.block_on(likes.get_or_compute("a", |lease| async move {
            sleep(2 * SECOND).await;
            assert!(!lease.is_lost());
            value("kept").await
        }))
    });
    assert_eq!(*made.unwrap(), "kept");
    assert_eq!(likes.stats().lost_leases, 0);
    assert!(spy.count(Operation::Renew) >= 2);
    drop(built_in);
    on_its_own(|here| here.block_on(likes.close()));
}
