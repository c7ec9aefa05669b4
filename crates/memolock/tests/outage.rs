//! R3, R7 and R11: what callers get while the store fails.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use common::{Fault, SECOND, Spy, builder, locked, never, nothing_left, process, value};
use memolock::core::{Backend, ErrorKind, Operation};
use memolock::{Error, OutagePolicy, Source};
use tokio::time::sleep;

const OUTAGES: [ErrorKind; 4] = [
    ErrorKind::Unavailable,
    ErrorKind::Timeout,
    ErrorKind::Refused,
    ErrorKind::Denied,
];

#[tokio::test(start_paused = true)]
async fn r11_calls_compute_locally_and_coalesced_and_recover_by_themselves() {
    for kind in OUTAGES {
        let spy = Spy::new();
        let likes = process(&spy).await;
        spy.break_with(Some(kind));
        let computes = Arc::new(AtomicUsize::new(0));
        let calls: Vec<_> = (0..100)
            .map(|_| {
                let (likes, computes) = (likes.clone(), Arc::clone(&computes));
                tokio::spawn(async move {
                    let compute = |lease: memolock::Lease| async move {
                        computes.fetch_add(1, SeqCst);
                        assert!(!lease.is_held());
                        lease.renew(SECOND).await.unwrap();
                        sleep(SECOND).await;
                        value("local").await
                    };
                    likes.get_or_compute("kristoff", compute).await.unwrap()
                })
            })
            .collect();
        for call in calls {
            assert_eq!(*call.await.unwrap(), "local");
        }
        assert_eq!(computes.load(SeqCst), 1);
        assert_eq!(likes.stats().degraded, 1);
        spy.break_with(None);
        let back = likes
            .entry("kristoff")
            .or_compute(|_| value("shared"))
            .await
            .unwrap();
        assert_eq!((back.as_str(), back.source()), ("shared", Source::Computed));
        assert_eq!(*likes.get("kristoff").await.unwrap().unwrap(), "shared");
        nothing_left(&spy, &[&likes]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r11_local_computes_are_capped() {
    let spy = Spy::new();
    let likes = builder(&spy)
        .local_computes(3)
        .wait_timeout(SECOND)
        .build()
        .await
        .unwrap();
    spy.break_with(Some(ErrorKind::Unavailable));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let calls: Vec<_> = (0..10)
        .map(|id: u32| {
            let (likes, running, most) = (likes.clone(), Arc::clone(&running), Arc::clone(&most));
            tokio::spawn(async move {
                let compute = |_| async {
                    most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                    sleep(SECOND * 4 / 5).await;
                    running.fetch_sub(1, SeqCst);
                    value("local").await
                };
                likes.get_or_compute(&id.to_string(), compute).await
            })
        })
        .collect();
    let mut timeouts = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => {}
            Err(Error::Timeout { .. }) => timeouts += 1,
            Err(other) => panic!("{other}"),
        }
    }
    // Three places, and after a quarter of a second the spare one. At 0.8 s the three are free again, one of them for
    // the compute in the spare place; so three more begin, the spare place among theirs.
    assert_eq!(most.load(SeqCst), 4);
    assert_eq!(timeouts, 10 - 3 - 1 - 2 - 1);
    assert_eq!(likes.stats().overflows, 3);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn r11_a_memolock_may_choose_to_fail_instead() {
    let spy = Spy::new();
    let likes = builder(&spy)
        .on_outage(OutagePolicy::Fail)
        .build()
        .await
        .unwrap();
    spy.break_with(Some(ErrorKind::Unavailable));
    let error = likes
        .get_or_compute("kristoff", |_| never())
        .await
        .unwrap_err();
    assert!(matches!(&error, Error::Backend(e) if e.kind() == ErrorKind::Unavailable));
    assert!(error.is_retryable());
    assert!(error.to_string().contains("likes:kristoff"));
    // A look and an external promise cannot be computed here.
    assert!(matches!(
        process(&spy).await.get("x").await,
        Err(Error::Backend(_))
    ));
    let external = process(&spy).await;
    let external = external
        .entry("x")
        .or_external(|| async { Ok::<_, String>(()) })
        .await;
    assert!(matches!(external, Err(Error::Backend(_))));
}

/// R8: bad data at one key is no outage: computing around it would hide it for ever.
#[tokio::test(start_paused = true)]
async fn r8_a_wrong_type_is_told() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Get, Fault::Fails(ErrorKind::WrongType));
    let error = likes
        .get_or_compute("kristoff", |_| never())
        .await
        .unwrap_err();
    assert!(matches!(&error, Error::Backend(e) if e.kind() == ErrorKind::WrongType));
    assert!(!error.is_retryable());
}

/// R7: the grant was lost on its way; the second try finds our own token and goes on under the lease.
#[tokio::test(start_paused = true)]
async fn r7_a_lost_grant_is_ours_all_the_same() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Timeout] {
        let spy = Spy::new();
        let likes = process(&spy).await;
        spy.tamper(Operation::Acquire, Fault::LosesReply(kind));
        let compute = |lease: memolock::Lease| async move {
            assert!(lease.is_held());
            value("seven").await
        };
        likes.get_or_compute("kristoff", compute).await.unwrap();
        assert_eq!(
            (
                spy.count(Operation::Acquire),
                spy.count(Operation::Subscribe)
            ),
            (2, 0)
        );
        assert_eq!(*likes.get("kristoff").await.unwrap().unwrap(), "seven");
    }
}

/// R7: both replies are lost. The lease that may be ours is given back behind the caller's back.
#[tokio::test(start_paused = true)]
async fn r7_a_lease_in_doubt_is_released() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    for _ in 0..2 {
        spy.tamper(Operation::Acquire, Fault::LosesReply(ErrorKind::Timeout));
    }
    let got = likes
        .get_or_compute("kristoff", |_| value("local"))
        .await
        .unwrap();
    assert_eq!(*got, "local");
    nothing_left(&spy, &[&likes]).await;
    assert!(!locked(&spy, &likes, "kristoff").await);
}

/// R3: out of memory, a read-only replica, a lost connection: the caller has its value.
#[tokio::test(start_paused = true)]
async fn r3_a_value_that_cannot_be_stored_reaches_its_caller() {
    let fails = [
        ErrorKind::OutOfMemory,
        ErrorKind::Denied,
        ErrorKind::WrongType,
    ];
    for fault in fails.map(Fault::Fails).into_iter().chain([
        Fault::Fails(ErrorKind::Unavailable),
        Fault::LosesReply(ErrorKind::Unavailable),
        Fault::Fails(ErrorKind::Protocol),
        Fault::Fails(ErrorKind::Refused),
        Fault::Fails(ErrorKind::Unrecognized),
        Fault::LosesReply(ErrorKind::Unrecognized),
    ]) {
        let spy = Spy::new();
        let likes = process(&spy).await;
        spy.tamper(Operation::Fulfil, fault.clone());
        let got = likes
            .get_or_compute("kristoff", |_| value("seven"))
            .await
            .unwrap();
        assert_eq!(*got, "seven", "{fault:?}");
        // A connection that is lost and back at once costs nothing at all.
        let blip = matches!(
            fault,
            Fault::Fails(ErrorKind::Unavailable) | Fault::LosesReply(ErrorKind::Unavailable)
        );
        assert_eq!(likes.stats().unstored, u64::from(!blip), "{fault:?}");
        // Longer than the first pause of what is tried again.
        sleep(SECOND).await;
        nothing_left(&spy, &[&likes]).await;
        assert!(
            !locked(&spy, &likes, "kristoff").await,
            "{fault:?}: the lease is given back"
        );
        let stored = likes.get("kristoff").await.unwrap();
        // Where it may go well, storing is tried once more in the background.
        let passes = !matches!(fault, Fault::Fails(k) if fails.contains(&k));
        assert_eq!(stored.is_some(), passes, "{fault:?}");
    }
}

/// A caller's time is not spent on storing: an unanswered fulfil is finished behind its back.
#[tokio::test(start_paused = true)]
async fn r3_a_release_that_fails_does_not_cost_the_error() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Release, Fault::Fails(ErrorKind::Unavailable));
    let got = likes
        .get_or_compute("kristoff", |_| async { Err::<String, _>("no luck") })
        .await;
    assert!(matches!(got, Err(Error::Compute(e)) if e.to_string() == "no luck"));
    nothing_left(&spy, &[&likes]).await;
    assert!(
        !locked(&spy, &likes, "kristoff").await,
        "released at the second try"
    );
}

/// A blip of the store while a holder elsewhere is at it: waiters wait it out, for there is nothing that
/// they could know better by computing (R1), and they are not late by more than the pause (R2).
#[tokio::test(start_paused = true)]
async fn r1_a_blip_while_a_holder_is_at_it_makes_no_waiter_compute() {
    for at in [Operation::Acquire, Operation::Subscribe] {
        let spy = Spy::new();
        let (here, elsewhere) = (process(&spy).await, process(&spy).await);
        let holder = elsewhere.get_or_compute("kristoff", |_| async {
            sleep(3 * SECOND).await;
            value("once").await
        });
        let waiter = async {
            spy.called(Operation::Acquire, 1).await;
            let fault = Fault::Fails(ErrorKind::Unavailable);
            match at {
                Operation::Subscribe => (0..4).for_each(|_| spy.tamper(at, fault.clone())),
                // The first try must tell of the holder; the pause after it is when the blip comes.
                _ => spy.tamper(Operation::Subscribe, Fault::Fails(ErrorKind::Refused)),
            }
            let call = here.get_or_compute("kristoff", |_| never());
            let blip = async {
                spy.called(Operation::Subscribe, 1).await;
                if at == Operation::Acquire {
                    (0..4).for_each(|_| spy.tamper(at, fault.clone()));
                }
            };
            tokio::join!(call, blip).0
        };
        let (held, waited) = tokio::join!(holder, waiter);
        assert_eq!(
            (held.unwrap().as_str(), waited.unwrap().as_str()),
            ("once", "once"),
            "{at}"
        );
        assert_eq!(
            (here.stats().degraded, here.stats().computes),
            (0, 0),
            "{at}"
        );
        nothing_left(&spy, &[&here, &elsewhere]).await;
    }
}

/// When the holder's lease is over and the store still fails, waiting is over too.
#[tokio::test(start_paused = true)]
async fn r11_a_waiter_in_an_outage_computes_when_the_holders_lease_is_over() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let token = memolock::core::Token::from_bits(7);
    let kristoff = common::key(&likes, "kristoff");
    let began = tokio::time::Instant::now();
    spy.store()
        .acquire(&kristoff, token, 2 * SECOND)
        .await
        .unwrap();
    let call = likes.get_or_compute("kristoff", |_| value("local"));
    let outage = async {
        spy.called(Operation::Acquire, 1).await;
        spy.break_with(Some(ErrorKind::Unavailable));
    };
    let (got, ()) = tokio::join!(call, outage);
    assert_eq!(*got.unwrap(), "local");
    let late = began.elapsed() - 2 * SECOND;
    assert!(late < SECOND / 2, "{late:?} after the lease was over");
}

/// The connection breaks while a value is being stored: its caller has it, and it is stored when the
/// store is back, for the lease is still ours.
#[tokio::test(start_paused = true)]
async fn a_value_computed_during_a_blip_is_stored_after_it() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let compute = |_| async {
        spy.break_with(Some(ErrorKind::Unavailable));
        value("kept").await
    };
    assert_eq!(
        *likes.get_or_compute("kristoff", compute).await.unwrap(),
        "kept"
    );
    sleep(2 * SECOND).await;
    spy.break_with(None);
    sleep(SECOND).await;
    assert_eq!(*likes.get("kristoff").await.unwrap().unwrap(), "kept");
    nothing_left(&spy, &[&likes]).await;
}

/// An outage longer than the lease: clean-up gives up, and nothing is left running.
#[tokio::test(start_paused = true)]
async fn r9_clean_up_gives_up_when_the_lease_is_over() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let compute = |_| async {
        spy.break_with(Some(ErrorKind::Unavailable));
        value("lost").await
    };
    assert_eq!(
        *likes.get_or_compute("kristoff", compute).await.unwrap(),
        "lost"
    );
    sleep(6 * SECOND).await;
    nothing_left(&spy, &[&likes]).await;
    let tries = spy.count(Operation::Fulfil);
    assert!((10..=30).contains(&tries), "{tries} in a lease of 5 s");
    // And one that is closed meanwhile does not wait for it.
    spy.break_with(None);
    likes.get_or_compute("elsa", compute).await.unwrap();
    let began = tokio::time::Instant::now();
    likes.close().await;
    assert!(began.elapsed() < SECOND);
}
