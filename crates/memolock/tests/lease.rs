//! Leases: renewed while the work lives, fixed if so chosen, lost without harm.

mod common;

use common::{Fault, SECOND, Spy, builder, key, nothing_left, process, settle, value};
use memolock::Error;
use memolock::core::{Backend, ErrorKind, Operation, Token};
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn slow_work_keeps_its_lease_and_renewals_travel_together() {
    let spy = Spy::new();
    let (likes, rival) = (process(&spy).await, process(&spy).await);
    let calls: Vec<_> = (0..100)
        .map(|id: u32| {
            let likes = likes.clone();
            tokio::spawn(async move {
                let compute = |lease: memolock::Lease| async move {
                    sleep(25 * SECOND).await;
                    assert!(lease.is_held());
                    value("slow").await
                };
                likes
                    .get_or_compute(&id.to_string(), compute)
                    .await
                    .unwrap()
            })
        })
        .collect();
    settle("all computing", || likes.stats().computes == 100).await;
    assert_eq!(likes.in_flight().leases, 100);
    let waited = rival
        .get_or_compute("7", |_| value("stolen"))
        .await
        .unwrap();
    assert_eq!(*waited, "slow");
    for call in calls {
        call.await.unwrap();
    }
    // 25 s at a third of 5 s is 15 beats, one command each for all hundred leases.
    let renewals = spy.count(Operation::Renew);
    assert!((13..=17).contains(&renewals), "{renewals}");
    nothing_left(&spy, &[&likes, &rival]).await;
}

#[tokio::test(start_paused = true)]
async fn a_fixed_lease_is_renewed_by_the_holder_alone() {
    let spy = Spy::new();
    let fixed = builder(&spy)
        .lease(SECOND)
        .fixed_lease()
        .build()
        .await
        .unwrap();
    let renewing = |lease: memolock::Lease| async move {
        for _ in 0..10 {
            sleep(SECOND / 2).await;
            lease.renew(SECOND).await.unwrap();
        }
        assert!(!lease.is_lost());
        value("renewed").await
    };
    assert_eq!(
        *fixed.get_or_compute("a", renewing).await.unwrap(),
        "renewed"
    );
    assert_eq!(spy.count(Operation::Renew), 10);
    assert!(fixed.get("a").await.unwrap().is_some());
    // Left alone it is over in time, the holder is told, and renewing what is lost is an error.
    let began = Instant::now();
    let idle = |lease: memolock::Lease| async move {
        lease.lost().await;
        assert_eq!(began.elapsed(), SECOND);
        assert!(matches!(
            lease.renew(SECOND).await,
            Err(Error::LeaseLost { .. })
        ));
        value("late").await
    };
    assert_eq!(
        *fixed.get_or_compute("b", idle).await.unwrap(),
        "late",
        "R3"
    );
    assert_eq!(fixed.get("b").await.unwrap(), None, "not stored");
    nothing_left(&spy, &[&fixed]).await;
}

#[tokio::test(start_paused = true)]
async fn a_longer_renewal_is_not_cut_short_by_the_heartbeat() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let compute = |lease: memolock::Lease| {
        let (spy, likes) = (&spy, &likes);
        async move {
            lease.renew(60 * SECOND).await.unwrap();
            sleep(15 * SECOND).await;
            let lock = spy
                .store()
                .inspect(&key(likes, "a"))
                .await
                .unwrap()
                .lock
                .unwrap();
            let memolock::core::Remaining::Expires(left) = lock.remaining else {
                panic!("no expiry");
            };
            assert!(left > 40 * SECOND, "{left:?}");
            value("x").await
        }
    };
    likes.get_or_compute("a", compute).await.unwrap();
    assert_eq!(spy.count(Operation::Renew), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stolen_lease_is_noticed_by_the_heartbeat() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let compute = |lease: memolock::Lease| {
        let (spy, likes) = (&spy, &likes);
        async move {
            spy.store().invalidate(&key(likes, "a")).await.unwrap();
            spy.store()
                .acquire(&key(likes, "a"), Token::from_bits(7), 60 * SECOND)
                .await
                .unwrap();
            lease.lost().await;
            value("mine").await
        }
    };
    let began = Instant::now();
    assert_eq!(*likes.get_or_compute("a", compute).await.unwrap(), "mine");
    assert!(began.elapsed() < 2 * SECOND, "at the next beat");
    let lock = spy
        .store()
        .inspect(&key(&likes, "a"))
        .await
        .unwrap()
        .lock
        .unwrap();
    assert_eq!(
        lock.holder,
        Token::from_bits(7).to_wire(),
        "the thief's lock is untouched"
    );
}

/// A renewal without an answer is tried again; only when the lease must have expired is it given up.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_once_is_no_lost_lease() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Renew, Fault::Fails(ErrorKind::Timeout));
    let compute = |lease: memolock::Lease| async move {
        sleep(10 * SECOND).await;
        assert!(lease.is_held());
        value("x").await
    };
    likes.get_or_compute("a", compute).await.unwrap();
    assert_eq!(likes.stats().lost_leases, 0);
    let silent = |lease: memolock::Lease| {
        let spy = &spy;
        async move {
            spy.break_with(Some(ErrorKind::Unavailable));
            let began = Instant::now();
            lease.lost().await;
            assert!(began.elapsed() >= 5 * SECOND && began.elapsed() < 6 * SECOND);
            spy.break_with(None);
            value("y").await
        }
    };
    assert_eq!(*likes.get_or_compute("b", silent).await.unwrap(), "y");
    nothing_left(&spy, &[&likes]).await;
}

/// Two leases of different lengths are each renewed in time.
#[tokio::test(start_paused = true)]
async fn a_shorter_lease_that_comes_later_is_not_forgotten() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let long = likes.get_or_compute("long", |lease| async move {
        lease.renew(300 * SECOND).await.unwrap();
        sleep(60 * SECOND).await;
        value("long").await
    });
    let short = async {
        sleep(10 * SECOND).await;
        let compute = |lease: memolock::Lease| async move {
            sleep(20 * SECOND).await;
            assert!(lease.is_held());
            value("short").await
        };
        likes.get_or_compute("short", compute).await
    };
    let (long, short) = tokio::join!(long, short);
    assert_eq!(
        (long.unwrap().as_str(), short.unwrap().as_str()),
        ("long", "short")
    );
    assert!(likes.get("short").await.unwrap().is_some());
    nothing_left(&spy, &[&likes]).await;
}
