//! Renewals by hand and by heartbeat: they cross, batch and fail, and a lease is what its handle says.

#![allow(clippy::unwrap_used)]

mod common;
mod slow;

use std::time::Duration;

use common::{Fault, SECOND, Spy, builder, key, nothing_left, process, value};
use memolock::core::{Backend, ErrorKind, Operation, Remaining};
use memolock::{Error, Lease, Memolock};
use slow::Slow;
use tokio::time::sleep;

/// How long the store will keep the lock on `a`.
async fn left(spy: &Spy, likes: &Memolock<String>) -> Duration {
    let found = spy.store().inspect(&key(likes, "a")).await.unwrap();
    match found.lock.unwrap().remaining {
        Remaining::Expires(left) => left,
        other => panic!("{other:?}"),
    }
}

/// The beat is sent after the holder's renewal took effect and before the holder has its reply: the
/// store is left with the shorter of the two.
#[tokio::test(start_paused = true)]
async fn a_beat_that_crosses_a_longer_renewal_does_not_lose_the_lease() {
    let spy = Spy::new();
    let mut slow = Slow::new(&spy);
    slow.renew = Duration::from_millis(100);
    let likes = slow.process().await;
    let compute = |lease: Lease| {
        let (spy, likes) = (&spy, &likes);
        async move {
            sleep(Duration::from_millis(1620)).await; // The beat comes at 1.667 s.
            lease.renew(60 * SECOND).await.unwrap();
            sleep(15 * SECOND).await;
            assert!(lease.is_held());
            assert!(left(spy, likes).await > 30 * SECOND);
            value("x").await
        }
    };
    likes.get_or_compute("a", compute).await.unwrap();
    assert_eq!(likes.stats().lost_leases, 0);
    assert!(likes.get("a").await.unwrap().is_some());
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_its_holder_shortens_is_renewed_in_time() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let compute = |lease: Lease| async move {
        sleep(SECOND / 10).await;
        lease.renew(SECOND).await.unwrap(); // The next beat was due at 1.67 s.
        sleep(10 * SECOND).await;
        assert!(lease.is_held());
        value("x").await
    };
    likes.get_or_compute("a", compute).await.unwrap();
    assert_eq!(likes.stats().lost_leases, 0);
    assert!(likes.get("a").await.unwrap().is_some());
    nothing_left(&spy, &[&likes]).await;
}

/// At once, without waiting for the heartbeat to find out.
#[tokio::test(start_paused = true)]
async fn a_refused_renewal_ends_the_lease_for_every_handle() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let compute = |lease: Lease| {
        let (spy, likes) = (&spy, &likes);
        async move {
            let other = lease.clone();
            spy.store().invalidate(&key(likes, "a")).await.unwrap();
            let refused = lease.renew(SECOND).await;
            assert!(matches!(refused, Err(Error::LeaseLost { .. })));
            assert!(other.is_lost() && !other.is_held());
            other.lost().await;
            value("x").await
        }
    };
    likes.get_or_compute("a", compute).await.unwrap();
    nothing_left(&spy, &[&likes]).await;
}

/// The heartbeat watches it no more: to say that it was renewed would be to hold it for nobody.
#[tokio::test(start_paused = true)]
async fn renewing_a_lease_that_the_heartbeat_gave_up_says_that_it_is_lost() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    // The replies to beats are lost, and not their effects: the store has the lock all the time.
    for _ in 0..100 {
        spy.tamper(Operation::Renew, Fault::LosesReply(ErrorKind::Timeout));
    }
    let compute = |lease: Lease| {
        let (spy, likes) = (&spy, &likes);
        async move {
            lease.lost().await;
            let before = left(spy, likes).await;
            let renewed = lease.renew(60 * SECOND).await;
            assert!(
                matches!(renewed, Err(Error::LeaseLost { .. })),
                "{renewed:?}"
            );
            assert!(lease.is_lost() && !lease.is_held());
            assert_eq!(left(spy, likes).await, before);
            value("x").await
        }
    };
    assert_eq!(*likes.get_or_compute("a", compute).await.unwrap(), "x");
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn renewals_of_leases_begun_apart_travel_together() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let calls: Vec<_> = (0..20_u32)
        .map(|n| {
            let likes = likes.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(20) * n).await;
                let compute = |_| async {
                    sleep(15 * SECOND).await;
                    value("x").await
                };
                let id = n.to_string();
                likes.get_or_compute(&id, compute).await.unwrap();
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(likes.stats().lost_leases, 0);
    let beats = spy.count(Operation::Renew);
    assert!(
        (8..=20).contains(&beats),
        "{beats}: once or twice per third of a lease, not once per lease"
    );
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn no_renewal_is_sent_when_there_is_nothing_to_renew() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    likes.get_or_compute("a", |_| value("x")).await.unwrap();
    let compute = |_| async {
        sleep(SECOND).await; // The beat would come at 1.67 s.
        value("x").await
    };
    likes.get_or_compute("b", compute).await.unwrap();
    sleep(10 * SECOND).await;
    assert_eq!(spy.count(Operation::Renew), 0);
}

#[tokio::test(start_paused = true)]
async fn an_absurdly_long_renewal_is_as_good_as_for_ever() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let compute = |lease: Lease| async move {
        lease.renew(Duration::MAX).await.unwrap();
        sleep(30 * SECOND).await;
        assert!(lease.is_held());
        value("x").await
    };
    assert_eq!(*likes.get_or_compute("a", compute).await.unwrap(), "x");
    assert_eq!(likes.stats().lost_leases, 0);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn absurdly_long_settings_are_as_good_as_for_ever() {
    let spy = Spy::new();
    let likes = builder(&spy)
        .lease(Duration::MAX)
        .wait_timeout(Duration::MAX)
        .ttl(Duration::MAX)
        .build()
        .await
        .unwrap();
    let call = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| async {
                sleep(30 * SECOND).await;
                value("x").await
            };
            let got = likes.get_or_compute("a", compute).await;
            got.unwrap().to_string()
        })
    };
    assert_eq!(call.await.expect("no panic"), "x");
    assert_eq!(*likes.get("a").await.unwrap().unwrap(), "x");
    nothing_left(&spy, &[&likes]).await;
}

/// In real time, for a heartbeat that spins would never let paused time pass.
#[tokio::test]
async fn an_absurdly_short_renewal_does_not_flood_the_store() {
    for lease_for in [Duration::ZERO, Duration::from_millis(6)] {
        let spy = Spy::new();
        let likes = process(&spy).await;
        let began = std::time::Instant::now();
        let compute = |lease: Lease| async move {
            let _ = lease.renew(lease_for).await;
            sleep(Duration::from_millis(200)).await;
            value("x").await
        };
        likes.get_or_compute("a", compute).await.unwrap();
        let (sent, took) = (spy.count(Operation::Renew), began.elapsed());
        // A machine under load may take longer, and send more in that time.
        let most = 10 + took.as_millis() / 8;
        let few = sent as u128 <= most;
        assert!(few, "{sent} renewals of {lease_for:?} in {took:?}");
    }
}
