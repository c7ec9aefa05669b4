//! Panics of what memolock stands on and of what it drops: a backend, a source of randomness, a trigger, a future
//! that panics when it is dropped. They reach whoever ran into them, and poison nothing for anybody else.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use common::{Fault, SECOND, Spy, builder, key, nothing_left, process, settle, value};
use memolock::core::{Backend, Entropy, Operation, Token};
use memolock::{Error, Memolock, OsEntropy};
use tokio::time::{sleep, timeout};

/// The key works, for this memolock and in its store.
async fn works(spy: &Spy, likes: &Memolock<String>) {
    let call = likes.get_or_compute("kristoff", |_| value("after"));
    let called = timeout(60 * SECOND, call).await.expect("a hang");
    called.unwrap();
    assert!(likes.get("kristoff").await.unwrap().is_some());
    nothing_left(spy, &[likes]).await;
}

#[tokio::test(start_paused = true)]
async fn r8_a_backend_that_panics_costs_the_one_call() {
    for operation in [
        Operation::Get,
        Operation::Acquire,
        Operation::Subscribe,
        Operation::Fulfil,
        Operation::Release,
    ] {
        let spy = Spy::new();
        let likes = process(&spy).await;
        if operation == Operation::Subscribe {
            let rival = Token::from_bits(7);
            let key = key(&likes, "kristoff");
            spy.store().acquire(&key, rival, SECOND).await.unwrap();
        }
        spy.tamper(operation, Fault::Panics);
        let fails = operation == Operation::Release;
        let calls = [fails, false].map(|fails| {
            let likes = likes.clone();
            tokio::spawn(async move {
                let compute = |_| async move {
                    match fails {
                        true => Err("no luck".to_owned()),
                        false => value("whole").await,
                    }
                };
                likes.get_or_compute("kristoff", compute).await
            })
        });
        let [leader, joiner] = calls;
        assert!(leader.await.unwrap_err().is_panic(), "{operation}");
        // It had joined, and was not left asleep.
        let joined = timeout(60 * SECOND, joiner).await.expect("a hang");
        match joined.unwrap() {
            Ok(text) => assert_eq!(*text, "whole", "{operation}"),
            Err(error) => assert!(matches!(error, Error::Compute(_)), "{operation}: {error}"),
        }
        works(&spy, &likes).await;
    }
}

/// Panics when it is told to.
struct Moody(Arc<AtomicBool>);

impl Entropy for Moody {
    fn bits(&mut self) -> u128 {
        assert!(!self.0.load(SeqCst), "no randomness today");
        OsEntropy.bits()
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_of_randomness_that_panics_poisons_nothing() {
    let (spy, moody) = (Spy::new(), Arc::new(AtomicBool::new(true)));
    let entropy = Moody(Arc::clone(&moody));
    let likes = builder(&spy).entropy(entropy).build().await.unwrap();
    let call = {
        let likes = likes.clone();
        tokio::spawn(async move { likes.get_or_compute("kristoff", |_| value("x")).await })
    };
    assert!(call.await.unwrap_err().is_panic());
    moody.store(false, SeqCst);
    works(&spy, &likes).await;
}

#[tokio::test(start_paused = true)]
async fn r5_a_trigger_that_panics_is_told_and_its_lease_released() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let trigger = || async { panic!("the program cannot be started") };
    let error = likes.entry("kristoff").or_external::<_, _, String>(trigger);
    let error = error.await.unwrap_err();
    assert!(matches!(&error, Error::Panicked { .. }), "{error}");
    assert!(error.to_string().contains("cannot be started"), "{error}");
    works(&spy, &likes).await;
}

/// Work that does not let itself be dropped quietly.
struct Loud;

impl Drop for Loud {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r5_a_compute_that_panics_when_it_is_dropped_gives_its_lease_back() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let dropped = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| async {
                let _loud = Loud;
                sleep(3600 * SECOND).await;
                value("never").await
            };
            likes.get_or_compute("kristoff", compute).await
        })
    };
    settle("a lease", || likes.in_flight().leases == 1).await;
    sleep(SECOND).await;
    let joiner = {
        let likes = likes.clone();
        tokio::spawn(async move { likes.get_or_compute("kristoff", |_| value("whole")).await })
    };
    settle("joined", || likes.stats().joins == 1).await;
    dropped.abort();
    assert!(dropped.await.is_err());
    assert_eq!(*joiner.await.unwrap().unwrap(), "whole");
    works(&spy, &likes).await;
}
