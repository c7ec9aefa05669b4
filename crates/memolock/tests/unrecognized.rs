//! Errors that memolock does not know: an outage, and a store that is asked little (R11).

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Fault, SECOND, Spy, builder, never, nothing_left, process, value};
use memolock::core::{ErrorKind, Operation};
use memolock::{CircuitBreaker, NearCache, OutagePolicy, Source};
use tokio::time::{Instant, sleep};

const UNKNOWN: ErrorKind = ErrorKind::Unrecognized;

#[tokio::test(start_paused = true)]
async fn r11_the_policy_for_outages_applies() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let fails = builder(&spy).on_outage(OutagePolicy::Fail).build();
    let fails = fails.await.unwrap();
    let serves = builder(&spy).on_outage(OutagePolicy::Serve).build();
    let serves = serves.await.unwrap();
    serves.get_or_compute("a", |_| value("old")).await.unwrap();
    spy.break_with(Some(UNKNOWN));
    let local = likes.get_or_compute("a", |_| value("local")).await.unwrap();
    assert_eq!(*local, "local");
    let error = fails.get_or_compute("a", |_| never()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains("likes:a"), "{error}");
    let served = serves.entry("a").or_compute(|_| never()).await.unwrap();
    assert_eq!((served.as_str(), served.source()), ("old", Source::Stale));
    let many = likes.get_or_compute_many(["b", "c"], |ids: Vec<String>| async move {
        let all = ids.into_iter().map(|id| (id, "local".to_owned()));
        Ok::<_, String>(all.collect::<Vec<_>>())
    });
    assert_eq!(many.await.into_result().unwrap().len(), 2);
    spy.break_with(None);
    sleep(SECOND * 6).await;
    nothing_left(&spy, &[&likes, &fails, &serves]).await;
}

/// Each call sent about 20 commands to a server that was over its quota.
#[tokio::test(start_paused = true)]
async fn a_server_over_its_quota_is_asked_once_a_call_and_then_by_the_probe_alone() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.break_with(Some(UNKNOWN));
    for (n, id) in ["a", "b", "c"].iter().enumerate() {
        likes.get_or_compute(id, |_| value("local")).await.unwrap();
        assert_eq!(spy.total(), n + 1, "one command for each call");
    }
    assert!(likes.stats().circuit_open);
    let (asked, began) = (spy.total(), Instant::now());
    for n in 0..1000 {
        let id = n.to_string();
        likes.get_or_compute(&id, |_| value("local")).await.unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    let probes = usize::try_from(began.elapsed().as_millis() / 500).unwrap();
    assert!(spy.total() - asked <= probes + 1, "{}", spy.total() - asked);
    spy.break_with(None);
    sleep(SECOND).await;
    assert!(!likes.stats().circuit_open, "closed by the probe");
    nothing_left(&spy, &[&likes]).await;
}

/// The burst came from the release of a token in doubt.
#[tokio::test(start_paused = true)]
async fn what_is_in_doubt_is_given_back_slowly() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Acquire, Fault::LosesReply(UNKNOWN));
    let local = |_| async {
        spy.break_with(Some(UNKNOWN));
        value("local").await
    };
    likes.get_or_compute("a", local).await.unwrap();
    sleep(SECOND * 6).await;
    let (acquires, releases) = (spy.count(Operation::Acquire), spy.count(Operation::Release));
    assert_eq!(acquires, 1, "not sent again");
    assert!((2..=5).contains(&releases), "{releases}");
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn r5_a_proxy_that_failed_after_the_store_took_the_lease_leaves_no_lock() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Acquire, Fault::LosesReply(UNKNOWN));
    likes.get_or_compute("a", |_| value("local")).await.unwrap();
    nothing_left(&spy, &[&likes]).await;
    assert!(!common::locked(&spy, &likes, "a").await);
}

/// A key whose every command fails, such as one that a proxy cannot route, costs the others nothing.
#[tokio::test(start_paused = true)]
async fn if_every_command_of_one_key_fails_all_others_are_served() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.poison().set(Some(UNKNOWN));
    for n in 0..50 {
        // The bad one many times over, and no answer to another between.
        for _ in 0..5 {
            let bad = likes
                .get_or_compute("bad", |_| value("local"))
                .await
                .unwrap();
            assert_eq!(*bad, "local");
        }
        assert!(!likes.stats().circuit_open, "after {n}");
        let id = format!("good {n}");
        likes
            .get_or_compute(&id, |_| value("stored"))
            .await
            .unwrap();
        assert_eq!(*likes.get(&id).await.unwrap().unwrap(), "stored");
    }
    assert_eq!(likes.stats().spared, 0);
    spy.poison().set(None);
    sleep(SECOND * 6).await;
    nothing_left(&spy, &[&likes]).await;
}

/// The probe looks at a neutral key: the one that failed last may fail for ever.
#[tokio::test(start_paused = true)]
async fn a_key_that_fails_for_ever_does_not_keep_the_breaker_open() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.poison().set(Some(UNKNOWN));
    for id in ["bad a", "bad b", "bad c"] {
        likes.get_or_compute(id, |_| value("local")).await.unwrap();
    }
    // Two different keys met it, which looks like an outage; the probe finds out that it is none.
    sleep(SECOND).await;
    assert!(!likes.stats().circuit_open);
    spy.poison().set(Some(ErrorKind::Timeout));
    for id in ["bad a", "bad b", "bad c"] {
        likes.get_or_compute(id, |_| value("local")).await.unwrap();
    }
    sleep(SECOND).await;
    assert!(!likes.stats().circuit_open, "the same after time-outs");
}

/// Which sequences open it: a lower-case key meets an error that is not known, an upper-case one is answered. It opens
/// at the last of them, or at none.
#[tokio::test(start_paused = true)]
async fn it_opens_once_no_single_key_explains_the_errors() {
    // As long as one key may be the cause of all, its errors are one.
    let rows = [
        (3, "a", false),
        (3, "aaaaaaaa", false),
        (3, "ab", false),
        (3, "aba", true),
        (3, "abb", true),
        (3, "abc", true),
        (3, "aab", false),
        (3, "aaba", true),
        (3, "aaaaab", false),
        (3, "aaaaabb", true),
        // Any answer begins it anew.
        (3, "aBaBaBaBa", false),
        (3, "aBab", false),
        (3, "abAab", false),
        (3, "abBaba", true),
        (3, "abCab", false),
        (2, "aaaa", false),
        (2, "aBb", false),
        (2, "ab", true),
        (2, "aaaab", true),
        (1, "aaaa", false),
        (1, "aBaBa", false),
        (1, "ab", true),
        (0, "abcdabcd", false),
    ];
    for (most, sequence, opens) in rows {
        let spy = Spy::new();
        let breaker = CircuitBreaker::new().timeouts(most);
        let likes = builder(&spy).circuit_breaker(breaker);
        let likes = likes.build().await.unwrap();
        for (nth, key) in sequence.char_indices() {
            spy.break_with(key.is_lowercase().then_some(UNKNOWN));
            let got = likes.get(&key.to_lowercase().to_string()).await;
            assert_eq!(got.is_err(), key.is_lowercase());
            let last = nth + 1 == sequence.len();
            let open = likes.stats().circuit_open;
            assert_eq!(open, last && opens, "{most} {sequence} at {nth}");
        }
    }
}

/// A command for many fails as a whole; which of the keys is the cause is found out.
#[tokio::test(start_paused = true)]
async fn a_key_among_many_costs_the_others_nothing() {
    for near in [false, true] {
        let spy = Spy::new();
        let mut builder = builder(&spy);
        if near {
            builder = builder.near_cache(NearCache::entries(1000));
        }
        let likes = builder.build().await.unwrap();
        let ids: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        for id in &ids {
            likes.put(id, id).await.unwrap();
        }
        let other = process(&spy).await;
        let all: Vec<String> = ids.iter().cloned().chain(["bad".to_owned()]).collect();
        spy.poison().set(Some(UNKNOWN));
        for _ in 0..5 {
            let asked = spy.total();
            let found = other.get_many(&all).await;
            assert_eq!(found.iter().filter(|(_, found)| found.is_err()).count(), 1);
            assert!(spy.total() - asked < 30, "{}", spy.total() - asked);
            let made = likes.get_or_compute_many(&all, |ids: Vec<String>| async move {
                assert_eq!(ids, ["bad"]);
                Ok::<_, String>(vec![("bad".to_owned(), "local".to_owned())])
            });
            assert_eq!(made.await.into_result().unwrap().len(), 101);
        }
        assert!(!other.stats().circuit_open && !likes.stats().circuit_open);
        sleep(SECOND * 6).await;
        nothing_left(&spy, &[&likes, &other]).await;
    }
}

/// And an outage is asked little, however many are asked for.
#[tokio::test(start_paused = true)]
async fn a_call_for_many_costs_three_commands() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.break_with(Some(UNKNOWN));
    let ids: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let found = likes.get_many(&ids).await;
    assert_eq!(
        found.iter().filter(|(_, found)| found.is_err()).count(),
        1000
    );
    assert_eq!(spy.total(), 3);
    likes.get("one more").await.unwrap_err();
    assert!(likes.stats().circuit_open, "no single key explains it");
}

/// Renewals travel together: one key must not cost the others their leases.
#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_renewed_costs_no_other_its_lease() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let calls = (0..50).map(|n| {
        let likes = likes.clone();
        let id = if n == 17 {
            "bad".to_owned()
        } else {
            n.to_string()
        };
        tokio::spawn(async move {
            let slow = |_| async {
                sleep(SECOND * 30).await;
                value("stored").await
            };
            likes.get_or_compute(&id, slow).await.unwrap();
        })
    });
    let calls: Vec<_> = calls.collect();
    common::settle("all leases", || likes.in_flight().leases == 50).await;
    spy.poison().set(Some(UNKNOWN));
    sleep(SECOND * 20).await;
    assert_eq!(likes.in_flight().leases, 49, "its own alone is lost");
    let renewals = spy.count(Operation::Renew);
    assert!(renewals < 80, "{renewals}");
    spy.poison().set(None);
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(likes.stats().lost_leases, 1);
    nothing_left(&spy, &[&likes]).await;
}

/// Nothing at all is sent while it is open, but for the probe: not the heartbeat's renewals either.
#[tokio::test(start_paused = true)]
async fn while_it_is_open_background_work_is_not_sent() {
    let spy = Spy::new();
    let breaker = CircuitBreaker::new().probe_every(SECOND * 2);
    let likes = builder(&spy)
        .circuit_breaker(breaker)
        .build()
        .await
        .unwrap();
    let slow = tokio::spawn({
        let likes = likes.clone();
        async move {
            let slow = |_| async {
                sleep(SECOND * 3).await;
                value("kept").await
            };
            likes.get_or_compute("slow", slow).await.unwrap();
        }
    });
    common::settle("a lease", || likes.in_flight().leases == 1).await;
    spy.break_with(Some(UNKNOWN));
    for id in ["a", "b", "c"] {
        likes.get_or_compute(id, |_| value("local")).await.unwrap();
    }
    assert!(likes.stats().circuit_open);
    common::settle("the first probe", || spy.count(Operation::Get) == 5).await;
    let asked = spy.total();
    sleep(Duration::from_millis(1900)).await;
    assert_eq!(spy.total(), asked, "a renewal was due by then");
    // And once it is closed, they go on.
    spy.break_with(None);
    slow.await.unwrap();
    sleep(SECOND).await;
    assert_eq!(*likes.get("slow").await.unwrap().unwrap(), "kept");
    nothing_left(&spy, &[&likes]).await;
}

/// A large value is not sent either, though it has a task of its own.
#[tokio::test(start_paused = true)]
async fn while_it_is_open_a_large_value_is_not_sent() {
    let spy = Spy::new();
    let breaker = CircuitBreaker::new().probe_every(SECOND * 2);
    let likes = builder(&spy).circuit_breaker(breaker).large_bytes(1);
    let likes = likes.build().await.unwrap();
    let slow = tokio::spawn({
        let likes = likes.clone();
        async move {
            let slow = |_| async {
                sleep(SECOND).await;
                value("large").await
            };
            likes.get_or_compute("slow", slow).await.unwrap()
        }
    });
    common::settle("a lease", || likes.in_flight().leases == 1).await;
    spy.break_with(Some(UNKNOWN));
    for id in ["a", "b", "c"] {
        likes.get_or_compute(id, |_| value("local")).await.unwrap();
    }
    assert!(likes.stats().circuit_open);
    common::settle("the first probe", || spy.count(Operation::Get) == 5).await;
    sleep(Duration::from_millis(1900)).await;
    assert_eq!(spy.count(Operation::Fulfil), 0);
    spy.break_with(None);
    assert_eq!(*slow.await.unwrap(), "large");
    // Until the next probe has closed it.
    sleep(SECOND * 3).await;
    nothing_left(&spy, &[&likes]).await;
}
