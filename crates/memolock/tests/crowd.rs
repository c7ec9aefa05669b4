//! Crowds: nobody in them sets a timer at first, and yet every wait ends in time.

#![allow(clippy::unwrap_used)]

mod common;

use std::pin::pin;
use std::time::Duration;

use common::{SECOND, Spy, builder, never, nothing_left, process};
use futures_util::future::join_all;
use futures_util::poll;
use memolock::{Error, Phase};
use tokio::runtime;
use tokio::time::{Instant, sleep, timeout};

const MILLI: Duration = Duration::from_millis(1);

/// The compute of a leader.
async fn stuck() -> Result<String, String> {
    std::future::pending().await
}

/// A leader that is never polled again holds everybody up, and no joiner hangs on another: none of those that
/// are polled is among the first, who have timers of their own.
#[tokio::test(start_paused = true)]
async fn everybody_in_a_crowd_times_out_at_the_time_of_his_own() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let call = |patience| {
        let entry = likes.entry("kristoff").wait_timeout(patience);
        entry.or_compute(|_| never())
    };
    let mut leader = pin!(likes.get_or_compute("kristoff", |_| stuck()));
    assert!(poll!(&mut leader).is_pending());
    let mut asleep: Vec<_> = (0..5).map(|_| Box::pin(call(SECOND))).collect();
    for call in &mut asleep {
        assert!(poll!(call).is_pending());
    }
    // Shorter than a watch, about as long, and much longer.
    let patiences = [1, 30, 49, 50, 51, 99, 700, 4_000].map(|n| n * MILLI);
    let waits = patiences.map(|patience| {
        let call = call(patience);
        async move {
            let began = Instant::now();
            let got = call.await;
            let Err(Error::Timeout { phase, after, .. }) = got else {
                panic!("{got:?}");
            };
            assert_eq!((phase, after), (Phase::Waiting, patience));
            began.elapsed()
        }
    });
    let waited = join_all(waits).await;
    for (waited, patience) in waited.into_iter().zip(patiences) {
        // tokio's timers are true to a millisecond.
        assert!(
            (patience..=patience + 2 * MILLI).contains(&waited),
            "{waited:?} instead of {patience:?}"
        );
    }
    assert_eq!(likes.stats().timeouts, 8);
}

/// Who joins after the watch is over has a timer as well.
#[tokio::test(start_paused = true)]
async fn a_late_comer_to_a_crowd_times_out_too() {
    let spy = Spy::new();
    let likes = builder(&spy).wait_timeout(SECOND).build().await.unwrap();
    let mut leader = pin!(likes.get_or_compute("kristoff", |_| stuck()));
    assert!(poll!(&mut leader).is_pending());
    let call = || likes.get_or_compute("kristoff", |_| never());
    let mut asleep: Vec<_> = (0..5).map(|_| Box::pin(call())).collect();
    for call in &mut asleep {
        assert!(poll!(call).is_pending());
    }
    sleep(10 * SECOND).await;
    let late = timeout(2 * SECOND, call()).await.expect("a hang");
    assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
}

/// The watch of a crowd is a task on the runtime of one of its callers: it ends with it, and with it nobody's
/// patience.
#[test]
fn a_crowd_outlives_the_runtime_of_its_watch() {
    let runtime = || {
        let mut builder = runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let (ours, theirs) = (runtime(), runtime());
    let spy = Spy::new();
    let wait = Duration::from_millis(200);
    let likes = ours.block_on(async { builder(&spy).wait_timeout(wait).build().await.unwrap() });
    let mut leader = Box::pin(likes.get_or_compute("kristoff", |_| stuck()));
    let call = || likes.get_or_compute("kristoff", |_| never());
    // The watch is called among them.
    let mut asleep: Vec<_> = (0..5).map(|_| Box::pin(call())).collect();
    theirs.block_on(async {
        assert!(poll!(&mut leader).is_pending());
        for call in &mut asleep {
            assert!(poll!(call).is_pending());
        }
    });
    let got = ours.block_on(async {
        let mut call = Box::pin(call());
        assert!(poll!(&mut call).is_pending());
        theirs.shutdown_background();
        timeout(60 * SECOND, call).await.expect("a hang")
    });
    assert!(matches!(got, Err(Error::Timeout { .. })), "{got:?}");
}

/// When the leader and the first few are gone, one of the crowd has the seat, and the others its value.
#[tokio::test(start_paused = true)]
async fn a_crowd_goes_on_without_those_who_have_timers() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let mut first: Vec<_> = (0..4)
        .map(|_| Box::pin(likes.get_or_compute("kristoff", |_| stuck())))
        .collect();
    for call in &mut first {
        assert!(poll!(call).is_pending());
    }
    let compute = |_| async {
        sleep(SECOND).await;
        Ok::<_, String>("x".to_owned())
    };
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let likes = likes.clone();
            tokio::spawn(async move { likes.get_or_compute("kristoff", compute).await })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(first);
    for call in crowd {
        assert_eq!(*call.await.unwrap().unwrap(), "x");
    }
    // That of the first leader, which was dropped, and one more.
    assert_eq!(likes.stats().computes, 2);
    nothing_left(&spy, &[&likes]).await;
}
