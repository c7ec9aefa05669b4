//! R11: the circuit breaker. A store that hangs costs the first calls a time-out, and not every call.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Fault, SECOND, Spy, builder, never, nothing_left, process, settle, value};
use memolock::core::{Backend, ErrorKind, Operation};
use memolock::{CircuitBreaker, Error, Memolock, OutagePolicy};
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep};

/// Calls for ids of their own until the breaker is open.
async fn open(spy: &Spy, likes: &Memolock<String>) {
    spy.break_with(Some(ErrorKind::Timeout));
    for id in 0..2 {
        let id = format!("first {id}");
        let local = likes.get_or_compute(&id, |_| value("local")).await;
        assert_eq!(*local.unwrap(), "local");
    }
    assert!(likes.stats().circuit_open);
}

#[tokio::test(start_paused = true)]
async fn r11_a_store_that_does_not_answer_is_not_asked_again() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    open(&spy, &likes).await;
    // Let the first probe fail.
    settle("a probe", || spy.count(Operation::Get) == 4).await;
    let asked = spy.total();
    for id in 0..100 {
        let id = format!("later {id}");
        let local = likes.get_or_compute(&id, |_| value("local")).await;
        assert_eq!(*local.unwrap(), "local");
        assert!(matches!(likes.get(&id).await, Err(Error::Backend(_))));
        assert!(matches!(
            likes.invalidate(&id).await,
            Err(Error::Backend(_))
        ));
    }
    assert_eq!(spy.total(), asked, "somebody asked all the same");
    // Two looks each, since a lost reply is worth a second try, and an invalidation.
    assert_eq!(likes.stats().spared, 1 + 100 * 5);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn r11_it_closes_by_itself_when_a_probe_is_answered_and_no_caller_pays_for_that() {
    let spy = Spy::new();
    let breaker = CircuitBreaker::new().probe_every(SECOND);
    let likes = builder(&spy)
        .circuit_breaker(breaker)
        .build()
        .await
        .unwrap();
    open(&spy, &likes).await;
    settle("the first probe", || spy.count(Operation::Get) == 4).await;
    sleep(SECOND * 10).await;
    let probes = spy.count(Operation::Get) - 4;
    assert!((9..=10).contains(&probes), "{probes} probes in 10 s");
    spy.break_with(None);
    sleep(SECOND).await;
    assert!(!likes.stats().circuit_open);
    likes
        .get_or_compute("kristoff", |_| value("stored"))
        .await
        .unwrap();
    assert_eq!(*likes.get("kristoff").await.unwrap().unwrap(), "stored");
    let asked = spy.total();
    sleep(SECOND * 60).await;
    assert_eq!(spy.total(), asked, "somebody probes a store that is well");
}

#[tokio::test(start_paused = true)]
async fn any_answer_starts_the_count_anew() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    for round in 0..20 {
        let id = round.to_string();
        for _ in 0..2 {
            spy.tamper(Operation::Get, Fault::Fails(ErrorKind::Timeout));
        }
        likes.get_or_compute(&id, |_| value("local")).await.unwrap();
        assert_eq!(likes.get(&id).await.unwrap(), None, "an answer");
    }
    assert_eq!(likes.stats().spared, 0);
}

#[tokio::test(start_paused = true)]
async fn what_fails_at_once_does_not_open_it() {
    for kind in [
        ErrorKind::Unavailable,
        ErrorKind::Refused,
        ErrorKind::Denied,
        ErrorKind::Protocol,
    ] {
        let spy = Spy::new();
        let likes = process(&spy).await;
        spy.break_with(Some(kind));
        for id in 0..50 {
            let _ = likes.get(&id.to_string()).await.unwrap_err();
        }
        assert_eq!(likes.stats().spared, 0, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_what_was_under_way_closes_it_too() {
    let spy = Spy::new();
    // The probe would not come within this test.
    let breaker = CircuitBreaker::new().probe_every(SECOND * 3600);
    let likes = builder(&spy)
        .circuit_breaker(breaker)
        .build()
        .await
        .unwrap();
    let renewed = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let slow = |_| async {
                sleep(SECOND * 20).await;
                value("renewed meanwhile").await
            };
            likes.get_or_compute("slow", slow).await
        })
    };
    settle("a lease", || likes.in_flight().leases == 1).await;
    open(&spy, &likes).await;
    settle("the first probe", || spy.count(Operation::Get) == 5).await;
    spy.break_with(None);
    // The heartbeat is not held back, and is answered.
    sleep(SECOND * 2).await;
    assert!(!likes.stats().circuit_open);
    assert_eq!(*renewed.await.unwrap().unwrap(), "renewed meanwhile");
    assert_eq!(
        likes.stats().unstored,
        2,
        "but for those of the outage, all is stored"
    );
    assert_eq!(
        *likes.get("slow").await.unwrap().unwrap(),
        "renewed meanwhile"
    );
}

#[tokio::test(start_paused = true)]
async fn a_value_whose_store_went_away_reaches_its_caller_at_once_and_is_stored_later() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let all = Arc::new(Barrier::new(3));
    let calls = [0, 1, 2].map(|id| {
        let (likes, spy, all) = (likes.clone(), spy.clone(), Arc::clone(&all));
        tokio::spawn(async move {
            let id = id.to_string();
            let compute = |_| async move {
                all.wait().await;
                spy.break_with(Some(ErrorKind::Timeout));
                value("computed").await
            };
            *likes.get_or_compute(&id, compute).await.unwrap() == "computed"
        })
    });
    let began = Instant::now();
    for call in calls {
        assert!(call.await.unwrap());
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    settle("it opens", || likes.stats().circuit_open).await;
    sleep(SECOND).await;
    spy.break_with(None);
    sleep(SECOND).await;
    for id in ["0", "1", "2"] {
        let stored = likes.get_or_compute(id, |_| never()).await.unwrap();
        assert_eq!(*stored, "computed");
    }
    nothing_left(&spy, &[&likes]).await;
}

/// A try for the lease that waits in a hung store takes it when the store goes on; the release must wait there
/// behind it, or the lease stands for its whole time and nobody is at it.
#[tokio::test(start_paused = true)]
async fn r5_a_lease_in_doubt_is_given_back_though_the_breaker_is_open() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let local = |_| async {
        // It opens while this is at work.
        open(&spy, &likes).await;
        value("local").await
    };
    // Both tries are lost.
    for _ in 0..2 {
        spy.tamper(Operation::Acquire, Fault::LosesReply(ErrorKind::Timeout));
    }
    likes.get_or_compute("kristoff", local).await.unwrap();
    settle("a release", || spy.count(Operation::Release) > 0).await;
}

#[tokio::test(start_paused = true)]
async fn it_can_be_off_and_calls_may_fail_instead() {
    let spy = Spy::new();
    let off = builder(&spy).circuit_breaker(CircuitBreaker::off());
    let off = off.build().await.unwrap();
    let strict = builder(&spy)
        .on_outage(OutagePolicy::Fail)
        .build()
        .await
        .unwrap();
    spy.break_with(Some(ErrorKind::Timeout));
    for id in 0..20 {
        let id = id.to_string();
        off.get_or_compute(&id, |_| value("local")).await.unwrap();
        let refused = strict.get_or_compute(&id, |_| never()).await.unwrap_err();
        assert!(refused.is_retryable(), "{refused}");
    }
    assert_eq!(off.stats().spared, 0);
    assert!(strict.stats().spared > 0);
    let refused = strict.get_or_compute("x", |_| never()).await.unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains("circuit breaker") && text.contains("likes:x"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_the_probing() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    open(&spy, &likes).await;
    likes.close().await;
    let asked = spy.total();
    sleep(SECOND * 10).await;
    assert_eq!(spy.total(), asked);
}

#[tokio::test]
async fn a_rhythm_without_rest_is_refused() {
    let spy = Spy::new();
    let breaker = CircuitBreaker::new().probe_every(Duration::from_millis(9));
    let refused = builder(&spy).circuit_breaker(breaker).build().await;
    assert!(matches!(refused, Err(Error::Config(_))), "{refused:?}");
    spy.close().await;
}

/// Of a cluster's masters one hangs: the others go on being asked, and their callers compute under leases.
#[tokio::test(start_paused = true)]
async fn a_part_that_does_not_answer_is_spared_by_itself() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.part().silence(true);
    // No answer of another part comes between.
    for id in ["far a", "far b"] {
        likes.get_or_compute(id, |_| value("local")).await.unwrap();
    }
    assert!(likes.stats().circuit_open);
    settle("a probe", || spy.count(Operation::Get) == 4).await;
    let (degraded, spared) = (likes.stats().degraded, likes.stats().spared);
    for id in 0..20 {
        let id = format!("near {id}");
        likes
            .get_or_compute(&id, |_| value("stored"))
            .await
            .unwrap();
        assert_eq!(*likes.get(&id).await.unwrap().unwrap(), "stored");
    }
    // Nor do answers of others close it for this one.
    let local = likes.get_or_compute("far c", |_| value("local")).await;
    assert_eq!(*local.unwrap(), "local");
    let stats = likes.stats();
    assert!(stats.circuit_open);
    assert_eq!(stats.degraded, degraded + 1);
    assert_eq!(stats.spared, spared + 2, "two looks");
    spy.part().silence(false);
    sleep(SECOND).await;
    assert!(!likes.stats().circuit_open);
    likes
        .get_or_compute("far d", |_| value("stored"))
        .await
        .unwrap();
    assert_eq!(*likes.get("far d").await.unwrap().unwrap(), "stored");
    nothing_left(&spy, &[&likes]).await;
}

/// A call for many ids is sent without those of the part that does not answer.
#[tokio::test(start_paused = true)]
async fn batches_leave_out_the_part_that_does_not_answer() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    for id in ["near a", "far a", "near b", "far b"] {
        likes.put(id, &id.to_owned()).await.unwrap();
    }
    spy.part().silence(true);
    // Together they are one time-out, however many they are, and no answer of the part's own comes between.
    for _ in 0..2 {
        let found = likes.get_many(["far a", "near a", "far b"]).await;
        assert_eq!(found.iter().filter(|(_, found)| found.is_ok()).count(), 1);
    }
    assert!(likes.stats().circuit_open);
    let spared = likes.stats().spared;
    let found = likes.get_many(["near a", "far a", "near b", "far b"]).await;
    let found = found.into_iter();
    let found: Vec<_> = found
        .map(|(_, found)| found.ok().flatten().map(|memo| memo.to_string()))
        .collect();
    let found: Vec<_> = found.iter().map(Option::as_deref).collect();
    assert_eq!(found, [Some("near a"), None, Some("near b"), None]);
    assert!(likes.stats().spared > spared);
    nothing_left(&spy, &[&likes]).await;
}

/// After a failover the keys are another part's: the old one is forgotten, though it never answers.
#[tokio::test(start_paused = true)]
async fn a_part_that_is_none_any_more_is_forgotten() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.part().silence(true);
    for id in ["far a", "far b"] {
        likes.get_or_compute(id, |_| value("local")).await.unwrap();
    }
    assert!(likes.stats().circuit_open);
    spy.part().replace();
    sleep(SECOND).await;
    assert!(!likes.stats().circuit_open);
    likes
        .get_or_compute("far c", |_| value("stored"))
        .await
        .unwrap();
    assert_eq!(*likes.get("far c").await.unwrap().unwrap(), "stored");
    let asked = spy.total();
    sleep(SECOND * 60).await;
    assert_eq!(
        spy.total(),
        asked,
        "somebody probes for a part that is gone"
    );
}
