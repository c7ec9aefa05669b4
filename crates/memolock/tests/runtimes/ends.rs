//! Runtimes that shut down in the middle.

use std::time::Duration;

use memolock::{Error, NearCache, RuntimeError, Source};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::common::{Spy, builder, never, value};
use crate::{HANG, at_home, nothing_left, one_at_a_time, stuck, threaded, wait};

/// The callers' kinds of runtimes. One that runs only in `block_on` is dropped with the call in it.
fn theirs() -> [Runtime; 2] {
    [threaded(), one_at_a_time()]
}

/// Starts a call there, and lets it come as far as it can.
fn start(
    there: &Runtime,
    call: impl Future<Output: Send> + Send + 'static,
    begun: impl Fn() -> bool,
) {
    drop(there.spawn(call));
    there.block_on(async {
        while !begun() {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_leader_whose_runtime_ends_gives_its_key_back() {
    for theirs in theirs() {
        let (home, spy) = (threaded(), Spy::new());
        let likes = at_home(&home, &spy);
        let leads = likes.clone();
        let call = async move { leads.get_or_compute("a", |_| stuck()).await };
        start(&theirs, call, || likes.stats().computes == 1);
        drop(theirs);
        let next = likes.get_or_compute("a", |_| value("next"));
        let next = home.block_on(async { timeout(HANG, next).await });
        assert_eq!(*next.expect("a hang").unwrap(), "next");
        nothing_left(&home, &spy, &likes);
    }
}

/// One that joined takes over under the same lease, on its own runtime.
#[test]
fn a_leader_whose_runtime_ends_is_succeeded_by_a_caller_elsewhere() {
    for theirs in theirs() {
        let (home, spy) = (threaded(), Spy::new());
        let likes = at_home(&home, &spy);
        let leads = likes.clone();
        let call = async move { leads.get_or_compute("a", |_| stuck()).await };
        start(&theirs, call, || likes.stats().computes == 1);
        let joined = likes.clone();
        let joined = home.spawn(async move { joined.get_or_compute("a", |_| value("mine")).await });
        wait(&home, || likes.stats().joins == 1);
        drop(theirs);
        let got = home.block_on(async { timeout(HANG, joined).await.expect("a hang") });
        assert_eq!(*got.unwrap().unwrap(), "mine");
        assert_eq!(
            spy.count(memolock::core::Operation::Acquire),
            1,
            "under one lease"
        );
        nothing_left(&home, &spy, &likes);
    }
}

/// The others of its flight get their value, and nothing of it stays.
#[test]
fn a_joined_caller_whose_runtime_ends_holds_up_nobody() {
    for theirs in theirs() {
        let (home, spy) = (threaded(), Spy::new());
        let likes = at_home(&home, &spy);
        let (end, ended) = tokio::sync::oneshot::channel();
        let leads = likes.clone();
        let led = home.spawn(async move {
            let compute = |_| async move { ended.await.map_err(|e| e.to_string()) };
            leads.get_or_compute("a", compute).await
        });
        wait(&home, || likes.stats().computes == 1);
        let joins = likes.clone();
        let call = async move { joins.get_or_compute("a", |_| never()).await };
        start(&theirs, call, || likes.stats().joins == 1);
        drop(theirs);
        end.send("led".to_owned()).unwrap();
        let got = home.block_on(async { timeout(HANG, led).await.expect("a hang") });
        assert_eq!(*got.unwrap().unwrap(), "led");
        nothing_left(&home, &spy, &likes);
    }
}

/// It was on a runtime with threads, and so was the work. Whoever waits for it elsewhere hears why it never ends.
#[test]
fn detached_work_whose_runtime_ends_says_so() {
    let (home, theirs, spy) = (threaded(), threaded(), Spy::new());
    let likes = at_home(&home, &spy);
    let mut call = Box::pin(likes.entry("a").detach().or_compute(|_| stuck()));
    theirs.block_on(async { assert!(futures_util::poll!(&mut call).is_pending()) });
    wait(&home, || likes.stats().computes == 1);
    drop(theirs);
    let got = home.block_on(async { timeout(HANG, call).await.expect("a hang") });
    assert!(
        matches!(got, Err(Error::Runtime(RuntimeError::CallerGone))),
        "{got:?}"
    );
    nothing_left(&home, &spy, &likes);
}

/// Calls under way and later ones fail at once, led, joined or detached, and say why; nothing panics.
#[test]
fn when_home_is_gone_every_call_fails_at_once_and_says_so() {
    for home in theirs() {
        let (here, spy) = (threaded(), Spy::new());
        let builder = builder(&spy)
            .wait_timeout(1000 * HANG)
            .near_cache(NearCache::entries(10));
        let likes = home.block_on(builder.build()).unwrap();
        here.block_on(likes.put("near", &"copy".to_owned()))
            .unwrap();
        let calls: Vec<_> = (0..6)
            .map(|nth| {
                let likes = likes.clone();
                here.spawn(async move {
                    match nth {
                        0 => likes
                            .entry("b")
                            .detach()
                            .or_compute(|_| stuck())
                            .await
                            .map(drop),
                        _ => likes.get_or_compute("a", |_| stuck()).await.map(drop),
                    }
                })
            })
            .collect();
        wait(&here, || {
            let stats = likes.stats();
            stats.computes == 2 && stats.joins == 4
        });
        drop(home);
        let gone = |error: &Error| {
            assert!(
                matches!(error, Error::Runtime(RuntimeError::HomeGone)),
                "{error:?}"
            );
            assert!(error.to_string().contains("home runtime"), "{error}");
            assert!(!error.is_retryable());
        };
        for call in calls {
            let ended = here.block_on(async { timeout(HANG, call).await.expect("a hang") });
            gone(&ended.unwrap().unwrap_err());
        }
        here.block_on(async {
            for id in ["a", "near"] {
                gone(&likes.get_or_compute(id, |_| never()).await.unwrap_err());
                gone(&likes.get(id).await.unwrap_err());
                gone(&likes.put(id, &String::new()).await.unwrap_err());
                gone(&likes.invalidate(id).await.unwrap_err());
                gone(&likes.inspect(id).await.unwrap_err());
                gone(
                    &likes
                        .entry(id)
                        .detach()
                        .or_compute(|_| never())
                        .await
                        .unwrap_err(),
                );
                let many = likes.get_many([id]).await.into_result();
                gone(&many.unwrap_err());
            }
            assert!(likes.is_closed());
            timeout(HANG, likes.close()).await.expect("a hang");
        });
    }
}

/// A near hit has nothing to wait for; but without a home nobody hears of changes, so there is none.
#[test]
fn a_home_that_has_shut_down_is_refused() {
    let (home, here) = (threaded(), one_at_a_time());
    let handle = home.handle().clone();
    drop(home);
    let built = here.block_on(builder(&Spy::new()).runtime(handle).build());
    assert!(
        matches!(built, Err(Error::Runtime(RuntimeError::HomeGone))),
        "{built:?}"
    );
}

/// What a caller found is served from memory even when its own runtime has no time to wait.
#[test]
fn a_value_that_was_led_elsewhere_is_an_ordinary_hit() {
    let (home, spy) = (threaded(), Spy::new());
    let likes = at_home(&home, &spy);
    one_at_a_time()
        .block_on(likes.get_or_compute("a", |_| value("x")))
        .unwrap();
    let memo = one_at_a_time()
        .block_on(likes.entry("a").or_compute(|_| never()))
        .unwrap();
    assert_eq!(memo.source(), Source::Hit);
}
