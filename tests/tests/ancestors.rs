//! The ten faults of the ancestors (in Go and C#, 2019): one regression test each, against a real
//! server.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use memolock::Error;
use memolock_testkit::unique_tag;
use memolock_tests::{HANG, Process, SECOND, cli, eventually, listened_to, own_server, server};
use tokio::time::timeout;

/// 1. The lock was not released on success or error, so that a value with a TTL below the lock's
///    blacked the key out until the lock expired.
#[tokio::test]
async fn fault_1_a_short_lived_value_does_not_black_the_key_out() {
    let server = server().await;
    let tag = unique_tag("likes");
    let likes = Process::with(&server, &tag, Duration::from_millis(20), 60 * SECOND).await;
    let began = Instant::now();
    for n in 0..10 {
        let value = likes.get("kristoff", &n.to_string()).await.unwrap();
        assert_eq!(value, n.to_string());
        let value_key = likes.key("kristoff").value_name();
        eventually("the value's expiry", || async {
            cli(&server, &["EXISTS", &value_key]).await.as_int() == Some(0)
        })
        .await;
    }
    for n in 0..10 {
        let fail = |_| async move { Err::<String, _>(n.to_string()) };
        let failed = likes.likes.get_or_compute("elsa", fail).await;
        assert!(matches!(failed, Err(Error::Compute(e)) if e.to_string() == n.to_string()));
    }
    assert!(began.elapsed() < HANG, "a lock that stays costs 60 s each");
    let lock = likes.key("elsa").lock_name();
    assert_eq!(cli(&server, &["EXISTS", &lock]).await.as_int(), Some(0));
}

/// 2. Unsubscribing after any time-out panicked.
#[tokio::test]
async fn fault_2_a_time_out_unsubscribes_quietly() {
    let server = own_server().await;
    let likes = Process::start(&server, "likes").await;
    cli(
        &server,
        &["SET", "likes/lock:kristoff", "theirs", "PX", "60000"],
    )
    .await;
    for _ in 0..3 {
        let compute = |_| async { Ok::<_, String>("own".to_owned()) };
        let entry = likes.likes.entry("kristoff").wait_timeout(SECOND / 10);
        assert!(matches!(
            entry.or_compute(compute).await,
            Err(Error::Timeout { .. })
        ));
    }
    eventually("no subscription left", || async {
        cli(&server, &["PUBSUB", "CHANNELS"])
            .await
            .items()
            .is_empty()
    })
    .await;
    // And the client works on.
    assert_eq!(likes.get("elsa", "fine").await.unwrap(), "fine");
}

/// 3. EXPIRE was fed with nanoseconds, or with a fraction.
#[tokio::test]
async fn fault_3_ttls_are_whole_milliseconds() {
    let server = own_server().await;
    for (ttl, at_most, at_least) in [
        (Duration::from_nanos(1_500_000_000), 1500, 1000),
        (Duration::from_micros(2_000_500), 2001, 1500),
        (Duration::MAX, 100 * 365 * 24 * 3600 * 1000, 1 << 40),
    ] {
        let likes = Process::with(&server, "likes", ttl, ttl.min(3 * SECOND)).await;
        let lock = likes.key("kristoff").lock_name();
        let compute = |lease: memolock::Lease| {
            let (server, lock) = (&server, &lock);
            async move {
                lease
                    .renew(Duration::from_nanos(2_500_000_001))
                    .await
                    .unwrap();
                let left = cli(server, &["PTTL", lock]).await.as_int().unwrap();
                assert!((1..=2501).contains(&left), "the lease: {left} ms");
                Ok::<_, String>("x".to_owned())
            }
        };
        likes
            .likes
            .get_or_compute("kristoff", compute)
            .await
            .unwrap();
        let value = likes.key("kristoff").value_name();
        let left = cli(&server, &["PTTL", &value]).await.as_int().unwrap();
        assert!((at_least..=at_most).contains(&left), "{ttl:?}: {left} ms");
        likes.likes.invalidate("kristoff").await.unwrap();
    }
}

/// 4. DEL of a lock that was somebody else's by then.
#[tokio::test]
async fn fault_4_a_lock_that_is_not_ours_any_more_is_left_alone() {
    let server = own_server().await;
    let likes = Process::start(&server, "likes").await;
    for fails in [false, true] {
        let compute = |_| {
            let server = &server;
            async move {
                // Our lease expires and somebody else takes over while we are still at it.
                cli(
                    server,
                    &["SET", "likes/lock:kristoff", "theirs", "PX", "60000"],
                )
                .await;
                if fails {
                    Err("late".to_owned())
                } else {
                    Ok("late".to_owned())
                }
            }
        };
        let got = likes.likes.get_or_compute("kristoff", compute).await;
        assert_eq!(got.is_err(), fails);
        let holder = cli(&server, &["GET", "likes/lock:kristoff"]).await;
        assert_eq!(holder.as_str(), Some("theirs"));
        assert!(
            cli(&server, &["GET", "likes:kristoff"]).await.is_nil(),
            "and nothing is stored"
        );
        cli(&server, &["DEL", "likes/lock:kristoff"]).await;
    }
}

/// 5. After a crash waiters never tried for the lock again.
#[tokio::test]
async fn fault_5_waiters_take_over_when_the_holder_has_crashed() {
    let server = server().await;
    let tag = unique_tag("likes");
    let likes = Process::start(&server, &tag).await;
    let lock = likes.key("kristoff").lock_name();
    cli(&server, &["SET", &lock, "crashed", "PX", "300"]).await;
    let began = Instant::now();
    let value = timeout(HANG, likes.get("kristoff", "taken over"))
        .await
        .expect("a hang");
    assert_eq!(value.unwrap(), "taken over");
    assert!(
        began.elapsed() >= SECOND / 4,
        "not before the lease was over"
    );
}

/// 6. No re-check after a Pub/Sub reconnect: what was published meanwhile was lost.
#[tokio::test]
async fn fault_6_a_value_published_while_the_subscription_was_down_is_found() {
    let server = own_server().await;
    let likes = Process::start(&server, "likes").await;
    cli(
        &server,
        &["SET", "likes/lock:kristoff", "theirs", "PX", "600000"],
    )
    .await;
    let publish = async {
        listened_to(&server, "likes/notif:kristoff").await;
        // In one transaction, so that nobody is listening when the value is published.
        let mut connection = server.connect().await.unwrap();
        connection.command(&["MULTI"]).await.unwrap();
        connection
            .command(&["CLIENT", "KILL", "TYPE", "pubsub"])
            .await
            .unwrap();
        connection
            .command(&["SET", "likes:kristoff", "theirs"])
            .await
            .unwrap();
        connection
            .command(&["PUBLISH", "likes/notif:kristoff", "theirs"])
            .await
            .unwrap();
        let heard = connection.command(&["EXEC"]).await.unwrap();
        assert_eq!(heard.items()[2].as_int(), Some(0), "nobody heard it");
    };
    let both = async { tokio::join!(likes.get("kristoff", "own"), publish) };
    let (value, ()) = timeout(HANG, both).await.expect("a hang");
    assert_eq!(value.unwrap(), "theirs");
}

/// 7. The re-check woke the wrong key.
#[tokio::test]
async fn fault_7_every_waiter_gets_the_value_of_its_own_key() {
    let server = own_server().await;
    let likes = Process::start(&server, "likes").await;
    for id in 0..50 {
        cli(
            &server,
            &["SET", &format!("likes/lock:{id}"), "theirs", "PX", "600000"],
        )
        .await;
    }
    let waiters: Vec<_> = (0..50)
        .map(|id| {
            let memolock = likes.likes.clone();
            tokio::spawn(async move {
                let compute = |_| async { Ok::<_, String>("own".to_owned()) };
                memolock
                    .get_or_compute(&id.to_string(), compute)
                    .await
                    .unwrap()
            })
        })
        .collect();
    for id in 0..50 {
        listened_to(&server, &format!("likes/notif:{id}")).await;
    }
    // Half are published, half are found by the re-check after a broken subscription.
    for id in (0..50).step_by(2) {
        cli(
            &server,
            &["SET", &format!("likes:{id}"), &format!("value {id}")],
        )
        .await;
        cli(
            &server,
            &[
                "PUBLISH",
                &format!("likes/notif:{id}"),
                &format!("value {id}"),
            ],
        )
        .await;
    }
    for id in (1..50).step_by(2) {
        cli(
            &server,
            &["SET", &format!("likes:{id}"), &format!("value {id}")],
        )
        .await;
    }
    cli(&server, &["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    for (id, waiter) in waiters.into_iter().enumerate() {
        let value = timeout(HANG, waiter).await.expect("a hang").unwrap();
        assert_eq!(*value, format!("value {id}"));
    }
}

/// 8. Use after close panicked.
#[tokio::test]
async fn fault_8_use_after_close_is_an_error() {
    let server = server().await;
    let likes = Process::start(&server, &unique_tag("likes")).await;
    likes.likes.close().await;
    assert!(matches!(
        likes.get("kristoff", "x").await,
        Err(Error::Closed)
    ));
    memolock::Backend::close(&likes.backend).await;
    assert!(matches!(
        likes.get("kristoff", "x").await,
        Err(Error::Closed)
    ));
}

/// 9. No coalescing within the process: three commands a caller. And waiters leaked on time-outs.
#[tokio::test]
async fn fault_9_a_local_herd_costs_three_commands_and_leaks_no_waiter() {
    let server = server().await;
    let likes = Process::start(&server, &unique_tag("likes")).await;
    let before = memolock::Backend::stats(&likes.backend).commands;
    let callers: Vec<_> = (0..1000)
        .map(|_| {
            let memolock = likes.likes.clone();
            tokio::spawn(async move {
                let compute = |_| async {
                    tokio::time::sleep(SECOND / 10).await;
                    Ok::<_, String>("once".to_owned())
                };
                memolock.get_or_compute("kristoff", compute).await.unwrap()
            })
        })
        .collect();
    for caller in callers {
        assert_eq!(*caller.await.unwrap(), "once");
    }
    let stats = likes.likes.stats();
    // Two more where the server had to be given its scripts first.
    assert!(stats.backend.commands - before <= 5, "{stats:?}");
    assert_eq!(stats.computes, 1);
    // Waiters that time out are gone without a trace.
    let lock = likes.key("elsa").lock_name();
    cli(&server, &["SET", &lock, "theirs", "PX", "60000"]).await;
    let callers: Vec<_> = (0..1000)
        .map(|_| {
            let memolock = likes.likes.clone();
            tokio::spawn(async move {
                let entry = memolock.entry("elsa").wait_timeout(SECOND / 5);
                let compute = |_| async { Ok::<_, String>("own".to_owned()) };
                entry.or_compute(compute).await.map(drop)
            })
        })
        .collect();
    for caller in callers {
        assert!(matches!(caller.await.unwrap(), Err(Error::Timeout { .. })));
    }
    eventually("nothing in flight", || async {
        let left = likes.likes.in_flight();
        let listening = memolock::Backend::stats(&likes.backend).subscriptions;
        (left.flights, left.leases, left.tasks, listening) == (0, 0, 0, 0)
    })
    .await;
}

/// 10. The empty string was taken for a miss.
#[tokio::test]
async fn fault_10_the_empty_string_is_a_value() {
    let server = own_server().await;
    let likes = Process::start(&server, "likes").await;
    assert_eq!(likes.get("kristoff", "").await.unwrap(), "");
    assert_eq!(likes.get("kristoff", "computed again").await.unwrap(), "");
    // Published by a stranger, too.
    cli(
        &server,
        &["SET", "likes/lock:elsa", "theirs", "PX", "600000"],
    )
    .await;
    let publish = async {
        listened_to(&server, "likes/notif:elsa").await;
        cli(&server, &["SET", "likes:elsa", ""]).await;
        cli(&server, &["PUBLISH", "likes/notif:elsa", ""]).await;
    };
    let both = async { tokio::join!(likes.get("elsa", "own"), publish) };
    let (value, ()) = timeout(HANG, both).await.expect("a hang");
    assert_eq!(value.unwrap(), "");
}
