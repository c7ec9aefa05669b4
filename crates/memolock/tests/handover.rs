//! A dropped leader with joined callers: flight and lease are handed over.

mod common;

use std::time::Duration;

use common::{SECOND, Spy, key, locked, never, nothing_left, process, settle, value};
use memolock::Source;
use memolock::core::{Backend, Operation};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What wakes everybody after a while, in case that the one who was woken is on a runtime that has stopped, is no help here.
const AT_ONCE: Duration = Duration::from_millis(50);

/// The whole point: the joiner computes under the lease that is held, without a command for a new one.
#[tokio::test(start_paused = true)]
async fn a_dropped_leader_hands_its_lease_to_a_joiner_without_a_command() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let (computing, began) = oneshot::channel();
    let leader = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| async {
                computing.send(()).unwrap();
                std::future::pending::<()>().await;
                never().await
            };
            likes.get_or_compute("kristoff", compute).await
        })
    };
    began.await.unwrap();
    let joiner = {
        let likes = likes.clone();
        tokio::spawn(async move { likes.entry("kristoff").or_compute(|_| value("mine")).await })
    };
    settle("the joiner has joined", || likes.stats().joins == 1).await;
    let token = spy
        .store()
        .inspect(&key(&likes, "kristoff"))
        .await
        .unwrap()
        .lock
        .unwrap()
        .holder;
    let (before, left) = (spy.total(), Instant::now());
    leader.abort();
    let memo = joiner.await.unwrap().unwrap();
    assert!(left.elapsed() < AT_ONCE, "it was not told");
    assert_eq!((memo.as_str(), memo.source()), ("mine", Source::Computed));
    assert_eq!(spy.total() - before, 1, "only the fulfil");
    assert_eq!(
        (spy.count(Operation::Acquire), spy.count(Operation::Release)),
        (1, 0)
    );
    assert_eq!(likes.stats().handovers, 1);
    assert!(!token.is_empty());
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_dropped_leaders_ends_with_the_last_one_standing() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let mut callers = Vec::new();
    for n in 0..50 {
        let likes_n = likes.clone();
        callers.push(tokio::spawn(async move {
            let compute = |_| async move {
                if n < 49 {
                    std::future::pending::<()>().await;
                }
                value("last").await
            };
            likes_n.get_or_compute("kristoff", compute).await.unwrap()
        }));
    }
    settle("everybody is aboard", || likes.stats().joins == 49).await;
    for (n, caller) in callers.iter().enumerate().take(49) {
        settle("the next one leads", || {
            likes.stats().computes as usize >= 1
        })
        .await;
        caller.abort();
        // Some of these are joiners still asleep, some the leader of the moment.
        if n % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(*callers.pop().unwrap().await.unwrap(), "last");
    assert_eq!(spy.count(Operation::Acquire), 1);
    nothing_left(&spy, &[&likes]).await;
}

/// The joiner that is woken for the seat is dropped before it runs: the next one must get it.
#[tokio::test(start_paused = true)]
async fn a_woken_joiner_that_is_dropped_passes_the_seat_on() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let mut leader = Box::pin(likes.get_or_compute("kristoff", |_| async {
        std::future::pending::<()>().await;
        never().await
    }));
    let mut first = Box::pin(likes.get_or_compute("kristoff", |_| never()));
    let mut second = Box::pin(likes.get_or_compute("kristoff", |_| value("second")));
    // Poll each once, in order: one leads, two sleep.
    for _ in 0..5 {
        assert!(futures_util::poll!(&mut leader).is_pending());
    }
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(futures_util::poll!(&mut second).is_pending());
    let left = Instant::now();
    drop(leader); // wakes `first`
    drop(first); // which never runs
    assert_eq!(*second.await.unwrap(), "second");
    assert!(left.elapsed() < AT_ONCE, "it was not told");
    nothing_left(&spy, &[&likes]).await;
}

/// Both the woken joiner and everybody else leave: the lease is released, not forgotten.
#[tokio::test(start_paused = true)]
async fn the_last_one_out_of_a_vacant_flight_releases_the_lease() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let mut leader = Box::pin(likes.get_or_compute("kristoff", |_| async {
        std::future::pending::<()>().await;
        never().await
    }));
    let mut joiner = Box::pin(likes.get_or_compute("kristoff", |_| never()));
    for _ in 0..5 {
        assert!(futures_util::poll!(&mut leader).is_pending());
    }
    assert!(futures_util::poll!(&mut joiner).is_pending());
    assert!(locked(&spy, &likes, "kristoff").await);
    drop(leader);
    drop(joiner);
    nothing_left(&spy, &[&likes]).await;
    assert!(!locked(&spy, &likes, "kristoff").await);
    // And the key is usable at once.
    assert_eq!(
        *likes
            .get_or_compute("kristoff", |_| value("new"))
            .await
            .unwrap(),
        "new"
    );
}

/// A leader whose patience ends leaves; a joiner with more patience goes on waiting.
#[tokio::test(start_paused = true)]
async fn a_leader_that_times_out_hands_over_its_wait() {
    let spy = Spy::new();
    let (here, elsewhere) = (process(&spy).await, process(&spy).await);
    let holder = tokio::spawn(async move {
        let compute = |_| async {
            tokio::time::sleep(3 * SECOND).await;
            value("late").await
        };
        elsewhere.get_or_compute("kristoff", compute).await.unwrap()
    });
    spy.called(Operation::Acquire, 1).await;
    let hasty = here
        .entry("kristoff")
        .wait_timeout(SECOND)
        .or_compute(|_| never());
    let patient = async {
        spy.called(Operation::Acquire, 2).await;
        here.get_or_compute("kristoff", |_| never()).await
    };
    let (hasty, patient) = tokio::join!(hasty, patient);
    assert!(matches!(hasty, Err(memolock::Error::Timeout { after, .. }) if after == SECOND));
    assert_eq!(*patient.unwrap(), "late");
    assert_eq!(*holder.await.unwrap(), "late");
    // The subscription was handed over with the rest.
    assert_eq!(spy.count(Operation::Subscribe), 1);
    nothing_left(&spy, &[&here]).await;
}

/// The heartbeat keeps the lease while the seat is handed over and the new leader works.
#[tokio::test(start_paused = true)]
async fn the_lease_lives_through_a_handover_and_slow_work() {
    let spy = Spy::new();
    let (here, elsewhere) = (process(&spy).await, process(&spy).await);
    let mut leader = Box::pin(here.get_or_compute("kristoff", |_| async {
        std::future::pending::<()>().await;
        never().await
    }));
    for _ in 0..5 {
        assert!(futures_util::poll!(&mut leader).is_pending());
    }
    let mut joiner = Box::pin(here.get_or_compute("kristoff", |_| async {
        tokio::time::sleep(20 * SECOND).await; // four leases long
        value("slow").await
    }));
    assert!(futures_util::poll!(&mut joiner).is_pending());
    drop(leader);
    let waiter = elsewhere.get_or_compute("kristoff", |_| never());
    let (mine, theirs) = tokio::join!(joiner, waiter);
    assert_eq!(
        (mine.unwrap().as_str(), theirs.unwrap().as_str()),
        ("slow", "slow")
    );
    assert!(spy.count(Operation::Renew) >= 10);
    tokio::time::sleep(Duration::from_secs(1)).await;
    nothing_left(&spy, &[&here, &elsewhere]).await;
}
