//! Runtimes that shut down: a caller's, home, and that of the backend.

use std::time::Duration;

use memolock::core::ErrorKind;
use memolock::{Error, RuntimeError};
use tokio::time::{sleep, timeout};

use crate::stores::Servers;
use crate::{HANG, alone, never, nothing_left, one_at_a_time, stuck, threaded, value, wait};

/// Callers lead, join and wait on a runtime that is dropped at any moment. Nothing of theirs holds up the next caller.
#[test]
fn callers_whose_runtime_ends_at_any_moment_hold_up_nobody() {
    const KEYS: u64 = 4;
    let servers = Servers::start();
    for store in servers.stores() {
        let home = threaded();
        let likes = alone(&home, &store);
        let mut random = fastrand::Rng::with_seed(7);
        for round in 0..25 {
            // Half of them run by themselves, the others while they are told to.
            let theirs = if round % 2 == 0 {
                threaded()
            } else {
                one_at_a_time()
            };
            for call in 0..20 {
                let (likes, id) = (likes.clone(), format!("{round}-{}", random.u64(0..KEYS)));
                let lasts = Duration::from_micros(random.u64(0..3000));
                let compute = move |_| async move {
                    sleep(lasts).await;
                    value("theirs").await
                };
                drop(theirs.spawn(async move {
                    match call % 5 {
                        0 => drop(likes.entry(&id).detach().or_compute(compute).await),
                        _ => drop(likes.get_or_compute(&id, compute).await),
                    }
                }));
            }
            let lives = Duration::from_micros(random.u64(0..4000));
            theirs.block_on(async { sleep(lives).await });
            drop(theirs);
            for key in 0..KEYS {
                let id = format!("{round}-{key}");
                let next = likes.get_or_compute(&id, |_| value("ours"));
                let next = one_at_a_time().block_on(async { timeout(HANG, next).await });
                let name = store.name();
                let next = next.unwrap_or_else(|_| panic!("a hang over {name} in round {round}"));
                next.unwrap_or_else(|e| panic!("{name}: {e}"));
            }
        }
        nothing_left(&likes);
    }
}

#[test]
fn when_home_is_gone_calls_fail_at_once_over_every_backend() {
    let servers = Servers::start();
    for store in servers.stores() {
        let (home, here) = (threaded(), threaded());
        let likes = alone(&home, &store);
        let led = likes.clone();
        let led = here.spawn(async move { led.get_or_compute("a", |_| stuck()).await });
        wait(|| likes.stats().computes == 1);
        let joined = likes.clone();
        let joined = here.spawn(async move { joined.get_or_compute("a", |_| never()).await });
        wait(|| likes.stats().joins == 1);
        drop(home);
        let gone = |error: Error| {
            let expected = matches!(error, Error::Runtime(RuntimeError::HomeGone));
            assert!(expected, "{}: {error:?}", store.name());
        };
        here.block_on(async {
            for call in [led, joined] {
                let ended = timeout(HANG, call).await.expect("a hang").unwrap();
                gone(ended.unwrap_err());
            }
            let late = timeout(HANG, likes.get_or_compute("b", |_| never()));
            gone(late.await.expect("a hang").unwrap_err());
            let text = String::new();
            let late = timeout(HANG, likes.put("b", &text));
            gone(late.await.expect("a hang").unwrap_err());
            timeout(HANG, likes.close()).await.expect("a hang");
        });
    }
}

/// The memolock lives on another runtime than its backend. That is no outage, which may end: it is told to the caller.
#[test]
fn when_the_runtime_of_the_backend_is_gone_calls_fail_at_once_and_say_so() {
    let servers = Servers::start();
    for store in servers.stores().into_iter().filter(crate::Store::connects) {
        let (theirs, home) = (threaded(), threaded());
        let backend = theirs.block_on(store.connect());
        let builder = memolock::Memolock::<String>::builder("gone", backend);
        let likes = home
            .block_on(builder.codec(memolock::codec::Text).build())
            .unwrap();
        drop(theirs);
        let says = |error: Error| {
            let Error::Backend(error) = &error else {
                panic!("{}: {error:?}", store.name());
            };
            assert_eq!(
                error.kind(),
                ErrorKind::NoRuntime,
                "{}: {error}",
                store.name()
            );
            assert!(error.to_string().contains("runtime"), "{error}");
        };
        home.block_on(async {
            let late = timeout(HANG, likes.get_or_compute("b", |_| never()));
            says(late.await.expect("a hang").unwrap_err());
            says(likes.get("b").await.unwrap_err());
            says(likes.put("b", &String::new()).await.unwrap_err());
            says(likes.invalidate("b").await.unwrap_err());
            timeout(HANG, likes.close()).await.expect("a hang");
        });
    }
}
