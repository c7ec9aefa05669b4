//! Herds over a real server: one compute, few commands, nobody late, nothing left.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use memolock::{Backend, Error};
use memolock_testkit::unique_tag;
use memolock_tests::{HANG, Process, SECOND, cli, eventually, listened_to, own_server, server};
use tokio::time::timeout;

/// 500 small herds of 4 processes on fresh keys: never 2 computes, never a time-out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_five_hundred_herds_compute_once_each() {
    let server = server().await;
    let tag = unique_tag("likes");
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(Process::start(&server, &tag).await);
    }
    for round in 0..500 {
        let computes = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..40)
            .map(|n| {
                let likes = processes[n % 4].likes.clone();
                let computes = Arc::clone(&computes);
                tokio::spawn(async move {
                    let compute = |_| async {
                        let nth = computes.fetch_add(1, SeqCst);
                        // Some computes are over before others have even probed.
                        if round % 3 > 0 {
                            tokio::time::sleep(SECOND / 1000 * (round % 3)).await;
                        }
                        Ok::<_, String>(format!("{round} {nth}"))
                    };
                    likes
                        .get_or_compute(&round.to_string(), compute)
                        .await
                        .unwrap()
                })
            })
            .collect();
        for caller in callers {
            let value = timeout(HANG, caller).await.expect("a hang").unwrap();
            assert_eq!(*value, format!("{round} 0"));
        }
        assert_eq!(computes.load(SeqCst), 1, "round {round}");
    }
    for process in &processes {
        eventually("nothing left", || async {
            let left = process.likes.in_flight();
            let listening = process.backend.stats().subscriptions;
            (left.flights, left.leases, left.tasks, listening) == (0, 0, 0, 0)
        })
        .await;
    }
}

/// Every process fails in turn: each computes once, each of its callers has its own error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_computes_run_one_after_the_other_and_at_once() {
    let server = server().await;
    let tag = unique_tag("likes");
    let running = Arc::new(AtomicUsize::new(0));
    let mut callers = Vec::new();
    let mut processes = Vec::new();
    for n in 0..4 {
        let process = Process::with(&server, &tag, SECOND, 60 * SECOND).await;
        let likes = process.likes.clone();
        let running = Arc::clone(&running);
        callers.push(tokio::spawn(async move {
            let compute = |_| async {
                assert_eq!(running.fetch_add(1, SeqCst), 0, "R1");
                tokio::time::sleep(SECOND / 50).await;
                running.fetch_sub(1, SeqCst);
                Err::<String, _>(format!("process {n}"))
            };
            likes.get_or_compute("kristoff", compute).await
        }));
        processes.push(process);
    }
    for (n, caller) in callers.into_iter().enumerate() {
        // Well before a lease of 60 s would expire.
        let error = timeout(HANG, caller)
            .await
            .expect("a hang")
            .unwrap()
            .unwrap_err();
        assert!(matches!(error, Error::Compute(e) if e.to_string() == format!("process {n}")));
    }
}

/// A real MONITOR sees what the counters say: commands are counted where they are sent.
#[tokio::test]
async fn counted_commands_are_those_that_the_server_sees() {
    let server = own_server().await;
    let (holder, waiter) = (
        Process::start(&server, "likes").await,
        Process::start(&server, "likes").await,
    );
    // Scripts are known from here on, and connections are set up.
    holder.get("warm", "x").await.unwrap();
    let before = [
        holder.backend.stats().commands,
        waiter.backend.stats().commands,
    ];
    let mut monitor = server.monitor().await.unwrap();
    let (go, gate) = tokio::sync::oneshot::channel::<()>();
    let compute = |_| async {
        gate.await.unwrap();
        Ok::<_, String>("x".to_owned())
    };
    let wait = async {
        eventually("a lock", || async { holder.likes.in_flight().leases == 1 }).await;
        let waiting = waiter.get("kristoff", "y");
        let release = async {
            eventually("a wait", || async {
                waiter.backend.stats().subscriptions == 1
            })
            .await;
            // Probe, acquire, subscribe, re-check: the last one is on its way when this says four.
            eventually("four commands", || async {
                waiter.backend.stats().commands >= before[1] + 4
            })
            .await;
            go.send(()).unwrap();
        };
        tokio::join!(waiting, release).0
    };
    let (held, waited) = tokio::join!(holder.likes.get_or_compute("kristoff", compute), wait);
    assert_eq!(
        (held.unwrap().as_str(), waited.unwrap().as_str()),
        ("x", "x")
    );
    eventually("unsubscribed", || async {
        waiter.backend.stats().subscriptions == 0
    })
    .await;
    let counted =
        holder.backend.stats().commands + waiter.backend.stats().commands - before[0] - before[1];
    let mut seen: Vec<String> = Vec::new();
    for line in monitor.drain().await.unwrap() {
        if !line.from_script() {
            seen.push(line.name());
        }
    }
    // A heartbeat may fall in between; it is sent by us and counted like everything else.
    assert_eq!(seen.len() as u64, counted, "{seen:?}");
    for expected in ["GET", "EVALSHA", "SUBSCRIBE", "UNSUBSCRIBE"] {
        assert!(
            seen.iter().any(|s| s.eq_ignore_ascii_case(expected)),
            "{seen:?}"
        );
    }
}

/// The ancestors' external promise, kept by hand with a SET and a PUBLISH.
#[tokio::test]
async fn an_external_promise_is_kept_by_a_stranger() {
    let server = own_server().await;
    let process = Process::start(&server, "likes").await;
    let trigger = || async { Ok::<_, String>(()) };
    let keep = async {
        listened_to(&server, "likes/notif:kristoff").await;
        eventually("our lock", || async {
            cli(&server, &["EXISTS", "likes/lock:kristoff"])
                .await
                .as_int()
                == Some(1)
        })
        .await;
        cli(&server, &["SET", "likes:kristoff", "theirs", "PX", "60000"]).await;
        cli(&server, &["PUBLISH", "likes/notif:kristoff", "theirs"]).await;
    };
    let both = async { tokio::join!(process.likes.entry("kristoff").or_external(trigger), keep) };
    let (value, ()) = timeout(HANG, both).await.expect("a hang");
    assert_eq!(*value.unwrap(), "theirs");
    assert_eq!(
        cli(&server, &["EXISTS", "likes/lock:kristoff"])
            .await
            .as_int(),
        Some(0)
    );
}

/// R6: an ancestor subscribes to `likes/notif:*`, which crosses `/`; it must hear values and nothing else.
#[tokio::test]
async fn r6_only_values_go_on_notif() {
    let server = own_server().await;
    let process = Process::start(&server, "likes").await;
    let mut ancestor = server.connect().await.unwrap();
    ancestor
        .send(&["PSUBSCRIBE", "likes/notif:*"])
        .await
        .unwrap();
    ancestor.read().await.unwrap();
    let fail = |_| async { Err::<String, _>("no luck".to_owned()) };
    process
        .likes
        .get_or_compute("kristoff", fail)
        .await
        .unwrap_err();
    process.likes.invalidate("kristoff").await.unwrap();
    let declined =
        |_| async { Ok::<_, String>(memolock::Computed::new("x".to_owned()).no_store()) };
    process
        .likes
        .entry("kristoff")
        .or_compute_with(declined)
        .await
        .unwrap();
    process.get("kristoff", "a value").await.unwrap();
    process
        .likes
        .put("kristoff", &"another".to_owned())
        .await
        .unwrap();
    for expected in ["a value", "another"] {
        let message = ancestor.read().await.unwrap();
        assert_eq!(message.items()[2].as_str(), Some("likes/notif:kristoff"));
        assert_eq!(message.items()[3].as_str(), Some(expected));
    }
}
