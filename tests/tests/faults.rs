//! Faults of a real server while others wait: bounded, no wrong value, recovery by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use memolock::core::ErrorKind;
use memolock::{Error, OutagePolicy};
use memolock_testkit::TestServer;
use memolock_tests::{HANG, Process, SECOND, backend, cli, eventually, listened_to, own_server};
use tokio::task::JoinHandle;
use tokio::time::timeout;

type Call = JoinHandle<Result<Arc<String>, Error<String>>>;

/// A caller that computes `text` if it comes to that.
fn call(process: &Process, id: &'static str, text: &'static str) -> Call {
    let likes = process.likes.clone();
    tokio::spawn(async move {
        let compute = |_| async { Ok::<_, String>(text.to_owned()) };
        likes.get_or_compute(id, compute).await
    })
}

async fn answer(call: Call) -> Result<String, Error<String>> {
    let answer = timeout(HANG, call).await.expect("a hang").expect("a panic");
    answer.map(|v| (*v).clone())
}

/// Waits until the process stores values again by itself, which it must without being restarted.
async fn recovered(server: &TestServer, process: &Process) {
    let tries = AtomicUsize::new(0);
    eventually("a stored value", || async {
        let id = format!("recovery-{}", tries.fetch_add(1, SeqCst));
        process.get(&id, "stored").await.unwrap();
        let name = process.key(&id).value_name();
        server
            .command(&["GET", &name])
            .await
            .is_ok_and(|v| v.as_str() == Some("stored"))
    })
    .await;
}

#[tokio::test]
async fn killed_command_connections_are_not_an_outage() {
    let server = own_server().await;
    let (holder, waiter) = (
        Process::start(&server, "likes").await,
        Process::start(&server, "likes").await,
    );
    let (go, gate) = tokio::sync::oneshot::channel::<()>();
    let holding = {
        let likes = holder.likes.clone();
        tokio::spawn(async move {
            let compute = |_| async {
                gate.await.unwrap();
                Ok::<_, String>("computed once".to_owned())
            };
            likes.get_or_compute("kristoff", compute).await
        })
    };
    eventually("the holder's lock", || async {
        cli(&server, &["EXISTS", "likes/lock:kristoff"])
            .await
            .as_int()
            == Some(1)
    })
    .await;
    let waiting = call(&waiter, "kristoff", "computed twice");
    listened_to(&server, "likes/notif:kristoff").await;
    for _ in 0..3 {
        cli(
            &server,
            &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"],
        )
        .await;
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    assert_eq!(answer(waiting).await.unwrap(), "computed once");
    assert_eq!(*holding.await.unwrap().unwrap(), "computed once");
    assert_eq!(waiter.likes.stats().computes, 0);
    // Whatever was killed under it, the value is stored in the end.
    eventually("a stored value", || async {
        cli(&server, &["GET", "likes:kristoff"]).await.as_str() == Some("computed once")
    })
    .await;
}

#[tokio::test]
async fn killed_subscriptions_cost_no_waiter_anything() {
    let server = own_server().await;
    let waiter = Process::start(&server, "likes").await;
    cli(
        &server,
        &["SET", "likes/lock:kristoff", "theirs", "PX", "600000"],
    )
    .await;
    let waiting = call(&waiter, "kristoff", "own");
    for _ in 0..5 {
        listened_to(&server, "likes/notif:kristoff").await;
        cli(&server, &["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    }
    listened_to(&server, "likes/notif:kristoff").await;
    cli(&server, &["SET", "likes:kristoff", "theirs"]).await;
    cli(&server, &["PUBLISH", "likes/notif:kristoff", "theirs"]).await;
    assert_eq!(answer(waiting).await.unwrap(), "theirs");
    assert_eq!(waiter.likes.stats().computes, 0);
}

#[tokio::test]
async fn a_stopped_server_degrades_calls_and_its_return_is_noticed() {
    let server = own_server().await;
    let process = Process::start(&server, "likes").await;
    cli(
        &server,
        &["SET", "likes/lock:waited-for", "theirs", "PX", "1500"],
    )
    .await;
    let waiting = call(&process, "waited-for", "own");
    listened_to(&server, "likes/notif:waited-for").await;
    server.kill().await.unwrap();
    // New calls compute here, and are bounded; the waiting one does so when its holder's lease is over.
    for n in 0..20 {
        let id = n.to_string();
        let value = timeout(HANG, process.get(&id, "degraded"))
            .await
            .expect("a hang");
        assert_eq!(value.unwrap(), "degraded");
    }
    assert_eq!(answer(waiting).await.unwrap(), "own");
    assert!(process.likes.stats().degraded >= 20);
    assert!(
        process.likes.get("kristoff").await.is_err(),
        "a look has no way around"
    );
    server.restart().await.unwrap();
    recovered(&server, &process).await;
}

#[tokio::test]
async fn a_memolock_that_must_not_degrade_says_that_the_server_is_down() {
    let server = own_server().await;
    let likes = memolock::Memolock::<String>::builder("likes", backend(&server).await)
        .on_outage(OutagePolicy::Fail)
        .build()
        .await
        .unwrap();
    server.kill().await.unwrap();
    let call = likes.get_or_compute("kristoff", |_| async { Ok::<_, String>("own".to_owned()) });
    let error = timeout(HANG, call).await.expect("a hang").unwrap_err();
    assert!(
        matches!(&error, Error::Backend(e) if e.kind() == ErrorKind::Unavailable),
        "{error}"
    );
    assert!(
        error.is_retryable() && error.to_string().contains("likes:kristoff"),
        "{error}"
    );
}

/// SIGSTOP: alive, and answers nothing. No error ever comes from the connection by itself.
#[tokio::test]
async fn a_hung_server_is_noticed_and_its_return_too() {
    let server = own_server().await;
    let process = Process::start(&server, "likes").await;
    cli(
        &server,
        &["SET", "likes/lock:waited-for", "theirs", "PX", "600000"],
    )
    .await;
    let waiting = call(&process, "waited-for", "own");
    listened_to(&server, "likes/notif:waited-for").await;
    server.pause().await.unwrap();
    for id in ["a", "b", "c"] {
        let value = timeout(HANG, process.get(id, "degraded"))
            .await
            .expect("a hang");
        assert_eq!(value.unwrap(), "degraded");
    }
    // The subscription's heartbeat notices too, and the connection is made anew.
    eventually("the subscription connection given up", || async {
        format!("{:?}", process.backend).contains("down")
    })
    .await;
    server.resume().await.unwrap();
    listened_to(&server, "likes/notif:waited-for").await;
    cli(&server, &["SET", "likes:waited-for", "theirs"]).await;
    cli(&server, &["PUBLISH", "likes/notif:waited-for", "theirs"]).await;
    assert_eq!(answer(waiting).await.unwrap(), "theirs");
    recovered(&server, &process).await;
}

/// A restarted server has lost locks, values and scripts. Who was computing loses the lease; who was
/// waiting goes on.
#[tokio::test]
async fn a_restarted_server_that_forgot_everything_hangs_nobody() {
    let server = own_server().await;
    let (holder, waiter) = (
        Process::start(&server, "likes").await,
        Process::start(&server, "likes").await,
    );
    let (go, gate) = tokio::sync::oneshot::channel::<()>();
    let holding = {
        let likes = holder.likes.clone();
        tokio::spawn(async move {
            let compute = |_| async {
                gate.await.unwrap();
                Ok::<_, String>("holder's".to_owned())
            };
            likes.get_or_compute("kristoff", compute).await
        })
    };
    eventually("the holder's lock", || async {
        cli(&server, &["EXISTS", "likes/lock:kristoff"])
            .await
            .as_int()
            == Some(1)
    })
    .await;
    let waiting = call(&waiter, "kristoff", "waiter's");
    listened_to(&server, "likes/notif:kristoff").await;
    server.restart().await.unwrap();
    // The waiter finds no lock after the gap, and computes; long before the holder's lease is over.
    assert_eq!(answer(waiting).await.unwrap(), "waiter's");
    go.send(()).unwrap();
    let held = timeout(HANG, holding)
        .await
        .expect("a hang")
        .unwrap()
        .unwrap();
    assert_eq!(*held, "holder's", "R3: its caller has it");
    let stored = cli(&server, &["GET", "likes:kristoff"]).await;
    assert_eq!(
        stored.as_str(),
        Some("waiter's"),
        "the old holder's lease is gone: not overwritten"
    );
}

/// R3: out of memory, the value is returned though it cannot be stored, and others are not held up.
#[tokio::test]
async fn a_server_out_of_memory_costs_storage_and_not_values() {
    let server = own_server().await;
    let process = Process::start(&server, "likes").await;
    let compute = |_| async {
        cli(
            &server,
            &["CONFIG", "SET", "maxmemory-policy", "noeviction"],
        )
        .await;
        cli(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
        Ok::<_, String>("returned".to_owned())
    };
    let value = process
        .likes
        .get_or_compute("kristoff", compute)
        .await
        .unwrap();
    assert_eq!(*value, "returned");
    assert_eq!(process.likes.stats().unstored, 1);
    assert_eq!(
        cli(&server, &["EXISTS", "likes/lock:kristoff"])
            .await
            .as_int(),
        Some(0)
    );
    // While it lasts: no lease can be had either, and calls compute here.
    assert_eq!(process.get("elsa", "degraded").await.unwrap(), "degraded");
    cli(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
    recovered(&server, &process).await;
}

/// R8: what is stored at our keys may be anything.
#[tokio::test]
async fn data_of_a_wrong_type_is_a_typed_error() {
    let server = own_server().await;
    let process = Process::start(&server, "likes").await;
    cli(&server, &["RPUSH", "likes:list", "x"]).await;
    cli(&server, &["RPUSH", "likes/lock:locked", "x"]).await;
    for id in ["list", "locked"] {
        let error = process.get(id, "own").await.unwrap_err();
        assert!(
            matches!(&error, Error::Backend(e) if e.kind() == ErrorKind::WrongType),
            "{error}"
        );
        assert!(
            error.to_string().contains(id) && !error.to_string().contains('\n'),
            "{error}"
        );
    }
    // Deleting them by our own means mends it.
    process.likes.invalidate("list").await.unwrap();
    process.likes.invalidate("locked").await.unwrap();
    for id in ["list", "locked"] {
        assert_eq!(process.get(id, "own").await.unwrap(), "own");
    }
}

/// Our channels may carry anything: values are taken as they are, garbage notices mean look again.
#[tokio::test]
async fn garbage_on_our_channels_harms_nobody() {
    let server = own_server().await;
    let process = Process::start(&server, "likes").await;
    cli(
        &server,
        &["SET", "likes/lock:kristoff", "theirs", "PX", "600000"],
    )
    .await;
    let waiting = call(&process, "kristoff", "own");
    listened_to(&server, "likes/fail:kristoff").await;
    let long = "failed:".to_owned() + &"x".repeat(100_000);
    for garbage in ["", "\u{0}", "RELEASED", "{}", "failed:\u{7f}", &long] {
        cli(&server, &["PUBLISH", "likes/fail:kristoff", garbage]).await;
    }
    assert!(!waiting.is_finished(), "the lock is still held");
    cli(&server, &["DEL", "likes/lock:kristoff"]).await;
    cli(&server, &["PUBLISH", "likes/fail:kristoff", "\u{1}"]).await;
    assert_eq!(answer(waiting).await.unwrap(), "own");
}

#[tokio::test]
async fn flushed_scripts_are_sent_again() {
    let server = own_server().await;
    let process = Process::start(&server, "likes").await;
    for n in 0..5 {
        cli(&server, &["SCRIPT", "FLUSH"]).await;
        assert_eq!(
            process.get(&n.to_string(), "stored").await.unwrap(),
            "stored"
        );
        cli(&server, &["SCRIPT", "FLUSH"]).await;
        process.likes.invalidate(&n.to_string()).await.unwrap();
    }
    assert_eq!(process.likes.stats().degraded, 0);
    let lease = |lease: memolock::Lease| {
        let server = &server;
        async move {
            cli(server, &["SCRIPT", "FLUSH"]).await;
            lease.renew(SECOND).await.unwrap();
            Ok::<_, String>("x".to_owned())
        }
    };
    process
        .likes
        .get_or_compute("renewed", lease)
        .await
        .unwrap();
}
