//! What else may hold a key for long: hand-overs, programs outside, outages, blocked threads; and the setting itself.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use memolock::core::{Backend, ErrorKind, Operation};
use memolock::{Error, Lease, Source};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::common::{
    Fault, SECOND, Spy, builder, key, never, nothing_left, process, settle, value,
};
use crate::{Got, LATE, Likes, MAX, calling, computing, hanging, limited, unanswered};

/// Each caller leaves after a while, and the next one takes over under the same lease: it is not kept for ever.
#[tokio::test(start_paused = true)]
async fn r16_max_lease_counts_across_hand_overs() {
    let spy = Spy::new();
    let likes = limited(&spy).build().await.unwrap();
    let began = Instant::now();
    let mut callers = Vec::new();
    let mut holders = Vec::new();
    for tick in 0..45_u32 {
        sleep_until(began + tick * SECOND).await;
        callers.push(hanging(&likes));
        if let Some(left) = tick.checked_sub(3) {
            callers[left as usize].abort();
        }
        sleep(SECOND / 2).await;
        let found = spy.store().inspect(&key(&likes, "a")).await.unwrap();
        holders.push(found.lock.unwrap().holder);
    }
    assert!(likes.stats().handovers > 30);
    holders.dedup();
    assert_eq!(holders.len(), 3, "a lease of its own after each 20 s");
    callers.iter().for_each(JoinHandle::abort);
    nothing_left(&spy, &[&likes]).await;
}

/// The lease of a program outside is kept no longer either, whatever its trigger time-out.
#[tokio::test(start_paused = true)]
async fn r16_an_external_promise_holds_its_key_no_longer() {
    let spy = Spy::new();
    let here = limited(&spy)
        .trigger_timeout(Duration::MAX)
        .build()
        .await
        .unwrap();
    let other = process(&spy).await;
    let dead = unanswered(&here);
    computing(&here).await;
    let began = Instant::now();
    // A gap and a lost lease begin nothing again.
    sleep(7 * SECOND).await;
    spy.cut(true);
    sleep(SECOND).await;
    spy.cut(false);
    let memo = calling(&other, "served").await.unwrap().unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("served", Source::Computed));
    assert!(
        (MAX..MAX + LATE).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(dead.await.unwrap().unwrap().as_str(), "served");
    nothing_left(&spy, &[&here, &other]).await;
}

/// A trigger that itself hangs.
#[tokio::test(start_paused = true)]
async fn r16_a_trigger_that_hangs_holds_its_key_no_longer() {
    let spy = Spy::new();
    let here = limited(&spy).build().await.unwrap();
    let hangs = {
        let here = here.clone();
        tokio::spawn(async move {
            let trigger = pending::<Result<(), String>>;
            here.entry("a").or_external(trigger).await
        })
    };
    computing(&here).await;
    let began = Instant::now();
    assert_eq!(
        calling(&here, "served").await.unwrap().unwrap().as_str(),
        "served"
    );
    assert!(
        (MAX..MAX + LATE).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    hangs.abort();
    nothing_left(&spy, &[&here]).await;
}

/// While the store does not answer renewals, work that begins is watched from its first moment.
#[tokio::test(start_paused = true)]
async fn r16_a_compute_that_begins_while_renewals_hang_holds_its_key_no_longer() {
    let spy = Spy::new();
    let likes = limited(&spy).build().await.unwrap();
    let earlier = hanging(&likes);
    spy.tamper(Operation::Renew, Fault::HangsBefore);
    spy.called(Operation::Renew, 1).await;
    // As long as the lease: it may be no shorter.
    let short = 5 * SECOND;
    let later = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let entry = likes.entry("b").max_lease(short);
            entry.or_compute(|_| pending::<Result<_, String>>()).await
        })
    };
    settle("computing", || likes.stats().computes > 1).await;
    let began = Instant::now();
    let entry = likes.entry("b");
    assert_eq!(
        entry
            .or_compute(|_| value("served"))
            .await
            .unwrap()
            .as_str(),
        "served"
    );
    assert!(
        (short..short + LATE).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    earlier.abort();
    later.abort();
    nothing_left(&spy, &[&likes]).await;
}

/// Who took over an external promise and who went on without its flight do not both compute in an outage
/// (seed 1796087001288282 of the simulation).
#[tokio::test(start_paused = true)]
async fn r1_r16_after_the_time_of_a_program_one_caller_computes_in_an_outage() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Unrecognized] {
        let spy = Spy::new();
        let patient = limited(&spy).trigger_timeout(Duration::MAX);
        let likes = patient.build().await.unwrap();
        let dead = unanswered(&likes);
        computing(&likes).await;
        let began = Instant::now();
        let runs = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..4).map(|_| slow(&likes, &runs)).collect();
        sleep(SECOND).await;
        // One of the others takes over.
        dead.abort();
        sleep_until(began + MAX - SECOND / 2).await;
        assert_eq!((likes.stats().handovers, runs.load(SeqCst)), (1, 0));
        spy.break_with(Some(kind));
        for caller in callers {
            assert_eq!(
                caller.await.unwrap().unwrap().as_str(),
                "served",
                "{kind:?}"
            );
        }
        assert_eq!(runs.load(SeqCst), 1, "{kind:?}");
        spy.break_with(None);
        // A release that failed is sent again for as long as a lease.
        sleep(5 * SECOND).await;
        nothing_left(&spy, &[&likes]).await;
    }
}

/// A caller whose compute takes two seconds.
fn slow(likes: &Likes, runs: &Arc<AtomicUsize>) -> JoinHandle<Got> {
    let (likes, runs) = (likes.clone(), Arc::clone(runs));
    tokio::spawn(async move {
        let entry = likes.entry("a");
        entry
            .or_compute(|_| async move {
                runs.fetch_add(1, SeqCst);
                sleep(2 * SECOND).await;
                Ok::<_, String>("served".to_owned())
            })
            .await
    })
}

/// There is no lease in an outage; but other callers of the process do not wait for a hang longer than else.
#[tokio::test(start_paused = true)]
async fn r16_a_compute_that_hangs_without_a_lease_holds_up_its_process_no_longer() {
    let spy = Spy::new();
    let likes = limited(&spy).build().await.unwrap();
    spy.break_with(Some(ErrorKind::Unavailable));
    let began = Instant::now();
    let hangs = hanging(&likes);
    computing(&likes).await;
    assert_eq!(likes.in_flight().leases, 0);
    sleep(SECOND).await;
    let joined = calling(&likes, "served");
    spy.break_with(None);
    assert_eq!(joined.await.unwrap().unwrap().as_str(), "served");
    assert!(
        (MAX..MAX + LATE).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    hangs.abort();
    nothing_left(&spy, &[&likes]).await;
}

/// Its lease was lost long before, by an invalidation elsewhere: its flight is not kept for ever for that.
#[tokio::test(start_paused = true)]
async fn r16_a_hang_whose_lease_is_lost_holds_up_its_process_no_longer() {
    for fixed in [false, true] {
        let spy = Spy::new();
        let limited = limited(&spy);
        let limited = if fixed {
            limited.fixed_lease()
        } else {
            limited
        };
        let (here, other) = (limited.build().await.unwrap(), process(&spy).await);
        let hangs = hanging(&here);
        computing(&here).await;
        let began = Instant::now();
        other.invalidate("a").await.unwrap();
        let joined = calling(&here, "served");
        assert_eq!(joined.await.unwrap().unwrap().as_str(), "served");
        assert!(
            (MAX..MAX + LATE).contains(&began.elapsed()),
            "{:?}",
            began.elapsed()
        );
        hangs.abort();
        nothing_left(&spy, &[&here, &other]).await;
    }
}

/// Replies to the last renewals are lost: the store ends the lease at the same moment.
#[tokio::test(start_paused = true)]
async fn r16_lost_replies_do_not_lengthen_it() {
    use crate::common::Fault;
    let spy = Spy::new();
    let (here, other) = (limited(&spy).build().await.unwrap(), process(&spy).await);
    let hangs = hanging(&here);
    computing(&here).await;
    let began = Instant::now();
    sleep(15 * SECOND).await;
    for _ in 0..100 {
        spy.tamper(Operation::Renew, Fault::LosesReply(ErrorKind::Timeout));
    }
    assert_eq!(
        calling(&other, "served").await.unwrap().unwrap().as_str(),
        "served"
    );
    assert!(
        (MAX..MAX + LATE).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    hangs.abort();
    nothing_left(&spy, &[&here, &other]).await;
}

/// In real time: a compute that blocks its thread polls nothing, and its own future cannot be ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r16_a_compute_that_blocks_its_thread_holds_its_key_no_longer() {
    let spy = Spy::new();
    let short = builder(&spy)
        .lease(SECOND / 4)
        .max_lease(SECOND)
        .wait_timeout(60 * SECOND);
    let likes = short.build().await.unwrap();
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let hangs = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| async move {
                // What this thread has woken, the heartbeat among it, would wait for it else.
                tokio::task::yield_now().await;
                let _ = blocked.recv();
                value("at last").await
            };
            likes.entry("a").or_compute(compute).await
        })
    };
    while likes.stats().computes == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        calling(&likes, "served").await.unwrap().unwrap().as_str(),
        "served"
    );
    drop(release);
    assert_eq!(hangs.await.unwrap().unwrap().as_str(), "at last");
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_a_lease_is_kept_for_ever() {
    let spy = Spy::new();
    let likes = builder(&spy)
        .max_lease(Duration::MAX)
        .build()
        .await
        .unwrap();
    let compute = |lease: Lease| async move {
        sleep(Duration::from_secs(24 * 3600)).await;
        assert!(lease.is_held());
        value("x").await
    };
    likes.get_or_compute("a", compute).await.unwrap();
    assert!(likes.get("a").await.unwrap().is_some());
    assert_eq!(likes.stats().unstored, 0);
    nothing_left(&spy, &[&likes]).await;
}

/// The default is five minutes; a lease that is longer by itself is not cut by it.
#[tokio::test(start_paused = true)]
async fn the_default_is_five_minutes_and_an_entry_may_choose() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let until_lost = |likes: Likes, max: Option<Duration>| async move {
        let compute = |lease: Lease| async move {
            let began = Instant::now();
            lease.lost().await;
            Err::<String, _>(format!("{:?}", began.elapsed()))
        };
        let entry = likes.entry("a");
        let entry = match max {
            Some(max) => entry.max_lease(max),
            None => entry,
        };
        entry.or_compute(compute).await.unwrap_err().to_string()
    };
    assert_eq!(until_lost(likes.clone(), None).await, "300s");
    assert_eq!(until_lost(likes.clone(), Some(7 * SECOND)).await, "7s");
    let long = builder(&spy).lease(1000 * SECOND).fixed_lease();
    assert_eq!(until_lost(long.build().await.unwrap(), None).await, "1000s");
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_makes_no_sense_is_refused_in_one_line() {
    let spy = Spy::new();
    let line = |error: Error| {
        let line = error.to_string();
        assert!(!line.contains('\n'));
        line
    };
    for short in [Duration::ZERO, SECOND] {
        let refused = builder(&spy).max_lease(short).build().await;
        let line = line(refused.unwrap_err());
        assert_eq!(
            line,
            format!("unusable setting: max_lease is {short:?}: at least the lease, 5s")
        );
    }
    let likes = process(&spy).await;
    let short = likes
        .entry("a")
        .max_lease(SECOND)
        .or_compute(|_| never())
        .await;
    assert!(matches!(short, Err(Error::Config(_))));
    let many = likes.entries(["a", "b"]).max_lease(SECOND);
    let many = many.or_compute(async |_: Vec<String>| Ok::<Vec<(String, String)>, String>(vec![]));
    let many: Vec<_> = many.await.into_iter().collect();
    assert_eq!(many.len(), 2);
    assert!(
        many.iter()
            .all(|(_, answer)| matches!(answer, Err(Error::Config(_))))
    );
    nothing_left(&spy, &[&likes]).await;
}
