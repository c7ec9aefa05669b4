//! What the matrix does not ask: other policies, foreign data, a restart without an outage.

use std::sync::Arc;

use memolock::core::ErrorKind;
use memolock::{Error, OutagePolicy};
use memolock_tests::{HANG, Process, SECOND, backend, cli, eventually, listened_to, own_server};
use tokio::task::JoinHandle;
use tokio::time::timeout;

type Call = JoinHandle<Result<Arc<String>, Error>>;

/// A caller that computes `text` if it comes to that.
fn call(process: &Process, id: &'static str, text: &'static str) -> Call {
    let likes = process.likes.clone();
    tokio::spawn(async move {
        let compute = |_| async { Ok::<_, String>(text.to_owned()) };
        likes.get_or_compute(id, compute).await
    })
}

async fn answer(call: Call) -> Result<String, Error> {
    let answer = timeout(HANG, call).await.expect("a hang").expect("a panic");
    answer.map(|v| (*v).clone())
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
    assert!(
        likes.get("kristoff").await.is_err(),
        "a look has no way around"
    );
}

/// SIGSTOP: alive, and answers nothing. No error ever comes from the connection by itself.
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
