//! How a shared flight ends for each of those aboard: joiners, successors, and callers at a close.

#![allow(clippy::unwrap_used)]

mod common;
mod slow;

use std::sync::Arc;
use std::time::Duration;

use common::{Fault, SECOND, Spy, key, never, nothing_left, process, settle, value};
use memolock::core::{Backend, Operation, Remaining};
use memolock::memory::MemoryBackend;
use memolock::{Computed, Error, Memolock, Phase, Source};
use slow::Slow;
use tokio::time::{Instant, sleep, timeout};

/// On several threads, for the fault is between the leader's landing and the joiner's next call.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_retry_after_an_error_does_not_get_the_same_error_again() {
    const CALLERS: u64 = 1000;
    for round in 0..20_u32 {
        let likes: Memolock<String> = Memolock::builder("likes", MemoryBackend::new())
            .build()
            .await
            .unwrap();
        let calls: Vec<_> = (0..CALLERS)
            .map(|_| {
                let likes = likes.clone();
                tokio::spawn(async move {
                    let fails = |_| async {
                        while likes.stats().joins < CALLERS - 1 {
                            tokio::task::yield_now().await;
                        }
                        Err::<String, _>(format!("round {round}"))
                    };
                    let first = likes.get_or_compute("a", fails).await;
                    let Err(Error::Compute(first)) = first else {
                        panic!("not the compute's error: {first:?}");
                    };
                    let retry = likes.get_or_compute("a", |_| value("fine")).await;
                    matches!(retry, Err(Error::Compute(again)) if Arc::ptr_eq(&first, &again))
                })
            })
            .collect();
        let mut again = 0;
        for call in calls {
            again += usize::from(call.await.unwrap());
        }
        assert_eq!(again, 0, "retries that got the error they were retrying");
    }
}

#[tokio::test(start_paused = true)]
async fn a_joined_value_was_awaited_and_a_joined_hit_was_a_hit() {
    let spy = Spy::new();
    let mut slow = Slow::new(&spy);
    slow.get = SECOND / 10;
    let likes = slow.process().await;
    let compute = |_| async {
        sleep(SECOND).await;
        value("x").await
    };
    let lead = likes.entry("a").or_compute(compute);
    let join = likes.entry("a").or_compute(|_| never());
    let (lead, join) = tokio::join!(lead, join);
    let sources = (lead.unwrap().source(), join.unwrap().source());
    assert_eq!(sources, (Source::Computed, Source::Awaited));
    let lead = likes.entry("a").or_compute(|_| never());
    let join = likes.entry("a").or_compute(|_| never());
    let (lead, join) = tokio::join!(lead, join);
    let sources = (lead.unwrap().source(), join.unwrap().source());
    assert_eq!(sources, (Source::Hit, Source::Hit));
    assert_eq!(likes.stats().joins, 2);
    nothing_left(&spy, &[&likes]).await;
}

/// A leader's work is not bounded by its patience; a joiner's wait for it is bounded by the joiner's.
#[tokio::test(start_paused = true)]
async fn a_joiner_times_out_by_itself() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let leader = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| async {
                sleep(60 * SECOND).await;
                value("slow").await
            };
            let got = likes.get_or_compute("a", compute).await;
            got.unwrap().to_string()
        })
    };
    settle("computing", || likes.stats().computes == 1).await;
    let began = Instant::now();
    let entry = likes.entry("a").wait_timeout(SECOND);
    let error = entry.or_compute(|_| never()).await.unwrap_err();
    let Error::Timeout { after, phase, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((*after, *phase), (SECOND, Phase::Waiting));
    assert_eq!((began.elapsed(), likes.stats().timeouts), (SECOND, 1));
    assert_eq!(leader.await.unwrap(), "slow");
    nothing_left(&spy, &[&likes]).await;
}

/// The compute's, else the entry's, else the memolock's.
#[tokio::test(start_paused = true)]
async fn the_narrowest_ttl_wins() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let ttl = |id: &'static str| {
        let (spy, likes) = (&spy, &likes);
        async move {
            let found = spy.store().inspect(&key(likes, id)).await.unwrap();
            match found.value.unwrap().remaining {
                Remaining::Expires(left) => left,
                other => panic!("{other:?}"),
            }
        }
    };
    likes.get_or_compute("a", |_| value("x")).await.unwrap();
    assert_eq!(ttl("a").await, 60 * SECOND);
    let entry = || likes.entry("b").ttl(7 * SECOND);
    entry().or_compute(|_| value("x")).await.unwrap();
    assert_eq!(ttl("b").await, 7 * SECOND);
    let computed = |_| async { Ok::<_, String>(Computed::new("x".to_owned()).ttl(3 * SECOND)) };
    let entry = likes.entry("c").ttl(7 * SECOND);
    entry.or_compute_with(computed).await.unwrap();
    assert_eq!(ttl("c").await, 3 * SECOND);
    let entry = likes.entry("d").ttl(5 * SECOND);
    entry.put(&"x".to_owned()).await.unwrap();
    assert_eq!(ttl("d").await, 5 * SECOND);
}

/// The leader's fulfil took effect and its leader was dropped before the reply: the successor finds its
/// token gone, and the value there. Nothing was lost.
#[tokio::test(start_paused = true)]
async fn a_handed_over_fulfil_is_told_as_awaited_and_not_as_a_lost_lease() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Fulfil, Fault::HangsAfter);
    let mut leader = Box::pin(likes.get_or_compute("a", |_| value("x")));
    assert!(futures_util::poll!(&mut leader).is_pending());
    let mut joiner = Box::pin(likes.entry("a").or_compute(|_| never()));
    assert!(futures_util::poll!(&mut joiner).is_pending());
    drop(leader);
    let memo = joiner.await.unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("x", Source::Awaited));
    assert_eq!(*likes.get("a").await.unwrap().unwrap(), "x", "stored");
    let stats = likes.stats();
    assert_eq!((stats.lost_leases, stats.unstored), (0, 0));
    nothing_left(&spy, &[&likes]).await;
}

/// The fulfil that was handed over never arrived: the successor's own stores the value.
#[tokio::test(start_paused = true)]
async fn a_handed_over_fulfil_that_never_arrived_is_made_good() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Fulfil, Fault::HangsBefore);
    let mut leader = Box::pin(likes.get_or_compute("a", |_| value("x")));
    assert!(futures_util::poll!(&mut leader).is_pending());
    let mut joiner = Box::pin(likes.entry("a").or_compute(|_| never()));
    assert!(futures_util::poll!(&mut joiner).is_pending());
    drop(leader);
    let memo = joiner.await.unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("x", Source::Awaited));
    assert_eq!(*likes.get("a").await.unwrap().unwrap(), "x", "stored");
    let stats = likes.stats();
    assert_eq!((stats.lost_leases, stats.unstored), (0, 0));
    nothing_left(&spy, &[&likes]).await;
}

/// R3 before R10: what is computed is not taken away, though the client is closed while it is stored.
#[tokio::test(start_paused = true)]
async fn r3_a_close_does_not_take_a_computed_value_from_its_leader() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Fulfil, Fault::HangsBefore);
    let call = {
        let likes = likes.clone();
        tokio::spawn(async move { likes.get_or_compute("a", |_| value("computed")).await })
    };
    spy.called(Operation::Fulfil, 1).await;
    let closing = timeout(10 * SECOND, likes.close()).await;
    closing.expect("a close is bounded");
    let got = timeout(SECOND, call).await.expect("ended by the close");
    assert_eq!(*got.unwrap().unwrap(), "computed");
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn r10_pending_reads_and_direct_commands_get_closed() {
    let operations = [
        Operation::Get,
        Operation::Put,
        Operation::Invalidate,
        Operation::Inspect,
    ];
    for operation in operations {
        let spy = Spy::new();
        let likes = process(&spy).await;
        (0..2).for_each(|_| spy.tamper(operation, Fault::HangsBefore));
        let call = |likes: Memolock<String>| {
            tokio::spawn(async move {
                match operation {
                    Operation::Get => likes.get("a").await.map(drop),
                    Operation::Put => likes.put("a", &"x".to_owned()).await,
                    Operation::Invalidate => likes.invalidate("a").await,
                    _ => likes.inspect("a").await.map(drop),
                }
            })
        };
        let calls = [call(likes.clone()), call(likes.clone())];
        spy.called(operation, 1).await;
        tokio::task::yield_now().await;
        let closing = timeout(SECOND, likes.close()).await;
        closing.expect("closes at once");
        for call in calls {
            let got = timeout(SECOND, call).await.expect("ended by the close");
            assert!(matches!(got.unwrap(), Err(Error::Closed)), "{operation}");
        }
        nothing_left(&spy, &[&likes]).await;
    }
}

/// The seat is vacant and the joiner not yet awake when the close comes.
#[tokio::test(start_paused = true)]
async fn r10_no_compute_begins_after_a_close() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Get, Fault::HangsBefore);
    let mut leader = Box::pin(likes.get_or_compute("a", |_| never()));
    assert!(futures_util::poll!(&mut leader).is_pending());
    let mut joiner = Box::pin(likes.get_or_compute("a", |_| never()));
    assert!(futures_util::poll!(&mut joiner).is_pending());
    drop(leader);
    let mut close = Box::pin(likes.close());
    let _ = futures_util::poll!(&mut close);
    let got = joiner.await;
    assert!(matches!(got, Err(Error::Closed)), "{got:?}");
    let began = Instant::now();
    close.await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    nothing_left(&spy, &[&likes]).await;
}
