//! Promises that another program keeps: we take the lease, fire the trigger and wait.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{SECOND, Spy, builder, key, locked, never, nothing_left, process};
use memolock::core::{Backend, Notice, Operation};
use memolock::{Error, Source};
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn an_external_promise_is_kept_by_another_program() {
    let spy = Spy::new();
    let (here, elsewhere, program) = (
        process(&spy).await,
        process(&spy).await,
        process(&spy).await,
    );
    let fired = Arc::new(AtomicUsize::new(0));
    let ask = |likes: memolock::Memolock<String>| {
        let (program, fired) = (program.clone(), Arc::clone(&fired));
        tokio::spawn(async move {
            let trigger = || async {
                fired.fetch_add(1, SeqCst);
                let program = program.clone();
                tokio::spawn(async move {
                    sleep(20 * SECOND).await; // Four leases long: it is renewed while we wait.
                    program
                        .entry("report")
                        .resolve(&"made".to_owned())
                        .await
                        .unwrap();
                });
                Ok::<_, String>(())
            };
            likes.entry("report").or_external(trigger).await.unwrap()
        })
    };
    let began = Instant::now();
    let callers = [ask(here.clone()), ask(here.clone()), ask(elsewhere.clone())];
    for caller in callers {
        let memo = caller.await.unwrap();
        assert_eq!((memo.as_str(), memo.source()), ("made", Source::Awaited));
    }
    assert_eq!((fired.load(SeqCst), began.elapsed()), (1, 20 * SECOND));
    nothing_left(&spy, &[&here, &elsewhere]).await;
    assert!(
        !locked(&spy, &here, "report").await,
        "released when the value came"
    );
}

/// A program that answers before its trigger returns is heard: the subscription comes first.
#[tokio::test(start_paused = true)]
async fn a_program_faster_than_its_trigger_is_heard() {
    let spy = Spy::new();
    let (here, program) = (process(&spy).await, process(&spy).await);
    let trigger = || async {
        program
            .entry("report")
            .resolve(&"fast".to_owned())
            .await
            .map_err(|e| e.to_string())
    };
    let began = Instant::now();
    assert_eq!(
        *here.entry("report").or_external(trigger).await.unwrap(),
        "fast"
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
    nothing_left(&spy, &[&here]).await;
}

/// A second trigger must not be fired over a slow first one.
#[tokio::test(start_paused = true)]
async fn when_the_wait_times_out_the_lock_is_left_to_expire() {
    let spy = Spy::new();
    let here = builder(&spy)
        .wait_timeout(2 * SECOND)
        .build()
        .await
        .unwrap();
    let slow = here
        .entry("report")
        .or_external(|| async { Ok::<_, String>(()) })
        .await;
    assert!(matches!(slow, Err(Error::Timeout { .. })));
    nothing_left(&spy, &[&here]).await;
    assert!(locked(&spy, &here, "report").await);
    assert_eq!(spy.count(Operation::Release), 0);
    sleep(6 * SECOND).await;
    assert!(
        !locked(&spy, &here, "report").await,
        "and it is not renewed any more"
    );
}

#[tokio::test(start_paused = true)]
async fn a_trigger_that_fails_releases_and_tells() {
    let spy = Spy::new();
    let here = process(&spy).await;
    let failed = here
        .entry("report")
        .or_external(|| async { Err::<(), _>("no program") })
        .await;
    assert!(matches!(failed, Err(Error::Compute(e)) if e.to_string() == "no program"));
    assert!(!locked(&spy, &here, "report").await);
    let panicked = here
        .entry("report")
        .or_external(|| async { never().await.map(|_| ()) });
    assert!(matches!(panicked.await, Err(Error::Panicked { .. })));
    assert!(!locked(&spy, &here, "report").await);
    nothing_left(&spy, &[&here]).await;
}

/// The program says that it failed, by a word on the `fail` channel.
#[tokio::test(start_paused = true)]
async fn a_program_may_report_its_failure() {
    let spy = Spy::new();
    let here = process(&spy).await;
    let call = here
        .entry("report")
        .or_external(|| async { Ok::<_, String>(()) });
    let report = async {
        spy.called(Operation::Subscribe, 1).await;
        sleep(SECOND).await;
        // The holder's own token stands for a PUBLISH by hand, which a memory store has no other way to do.
        let lock = spy
            .store()
            .inspect(&key(&here, "report"))
            .await
            .unwrap()
            .lock
            .unwrap();
        let hex = String::from_utf8(lock.holder.to_vec()).unwrap();
        let token = memolock::core::Token::from_bits(u128::from_str_radix(&hex, 16).unwrap());
        let notice = Some(Notice::failed("paper jam"));
        assert!(
            spy.store()
                .release(&key(&here, "report"), token, notice)
                .await
                .unwrap()
        );
    };
    let (failed, ()) = tokio::join!(call, report);
    assert!(matches!(failed, Err(Error::Remote { message, .. }) if message == "paper jam"));
    nothing_left(&spy, &[&here]).await;
}

/// What the program is making is stale once the promise is invalidated: it is triggered again.
#[tokio::test(start_paused = true)]
async fn an_invalidation_while_waiting_triggers_again() {
    let spy = Spy::new();
    let (here, program) = (process(&spy).await, process(&spy).await);
    let fired = AtomicUsize::new(0);
    let trigger = || async {
        fired.fetch_add(1, SeqCst);
        Ok::<_, String>(())
    };
    let call = here.entry("report").or_external(trigger);
    let meddle = async {
        spy.called(Operation::Subscribe, 1).await;
        sleep(SECOND).await;
        program.invalidate("report").await.unwrap();
        sleep(SECOND).await;
        program
            .entry("report")
            .resolve(&"second".to_owned())
            .await
            .unwrap();
    };
    let (got, ()) = tokio::join!(call, meddle);
    assert_eq!((got.unwrap().as_str(), fired.load(SeqCst)), ("second", 2));
    nothing_left(&spy, &[&here]).await;
}

/// A caller dropped before its trigger has run has triggered nothing: the lease is released.
#[tokio::test(start_paused = true)]
async fn a_caller_dropped_while_triggering_releases() {
    let spy = Spy::new();
    let here = process(&spy).await;
    let victim = {
        let here = here.clone();
        tokio::spawn(async move {
            let trigger = std::future::pending::<Result<(), String>>;
            here.entry("report").or_external(trigger).await
        })
    };
    common::settle("triggering", || here.stats().computes == 1).await;
    victim.abort();
    nothing_left(&spy, &[&here]).await;
    assert!(!locked(&spy, &here, "report").await);
}

/// A joiner with a closure takes over from a leader with a trigger, under the same lease.
#[tokio::test(start_paused = true)]
async fn a_computing_joiner_takes_over_from_a_dropped_trigger() {
    let spy = Spy::new();
    let here = process(&spy).await;
    let mut leader = Box::pin(
        here.entry("report")
            .or_external(std::future::pending::<Result<(), String>>),
    );
    let mut joiner = Box::pin(here.get_or_compute("report", |_| common::value("computed")));
    assert!(futures_util::poll!(&mut leader).is_pending());
    assert!(futures_util::poll!(&mut joiner).is_pending());
    drop(leader);
    assert_eq!(*joiner.await.unwrap(), "computed");
    assert_eq!(
        spy.count(Operation::Acquire),
        2,
        "with the look after the subscription"
    );
    nothing_left(&spy, &[&here]).await;
}
