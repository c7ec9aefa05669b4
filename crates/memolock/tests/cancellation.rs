//! Cancellation as a cartesian product: the operation under way x before or after its effect x who
//! shares the flight. R5 (released), R7 (a lost reply is no refusal) and R9 (nothing leaks) hold in all.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Fault, SECOND, Spy, builder, key, locked, nothing_left, process, settle, value};
use memolock::core::{Backend, Operation};
use memolock::{Error, Memolock};

/// Who else wants the value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Company {
    Nobody,
    Joiner,
    OtherProcess,
}

/// The operations at which a caller can be dropped, and how it gets there.
const OPERATIONS: [Operation; 5] = [
    Operation::Get,
    Operation::Acquire,
    Operation::Subscribe,
    Operation::Fulfil,
    Operation::Release,
];

#[tokio::test(start_paused = true)]
async fn a_caller_dropped_at_any_command_leaves_nothing_behind() {
    for operation in OPERATIONS {
        for hang in [Fault::HangsBefore, Fault::HangsAfter] {
            for company in [Company::Nobody, Company::Joiner, Company::OtherProcess] {
                let case = format!("{operation} {hang:?} {company:?}");
                dropped_at(operation, hang.clone(), company, &case).await;
            }
        }
    }
}

async fn dropped_at(operation: Operation, hang: Fault, company: Company, case: &str) {
    let spy = Spy::new();
    let (here, elsewhere) = (process(&spy).await, process(&spy).await);
    // To be dropped while subscribing, a caller must first find a rival's lock.
    let rival = operation == Operation::Subscribe;
    if rival {
        let token = memolock::core::Token::from_bits(7);
        spy.store()
            .acquire(&key(&here, "kristoff"), token, SECOND)
            .await
            .unwrap();
    }
    spy.tamper(operation, hang);
    let fails = operation == Operation::Release;
    let victim = {
        let here = here.clone();
        tokio::spawn(async move {
            let compute = |_| async move {
                match fails {
                    true => Err("no luck".to_owned()),
                    false => value("victim's").await,
                }
            };
            here.get_or_compute("kristoff", compute).await
        })
    };
    spy.called(operation, 1).await;
    let other = match company {
        Company::Nobody => None,
        Company::Joiner => {
            let task = tokio::spawn(survive(here.clone()));
            settle("joined", || here.stats().joins == 1).await;
            Some(task)
        }
        Company::OtherProcess => Some(tokio::spawn(survive(elsewhere.clone()))),
    };
    victim.abort();
    assert!(victim.await.unwrap_err().is_cancelled(), "{case}");
    if let Some(other) = other {
        let got = other.await.unwrap();
        match got {
            Ok(text) => assert!(
                ["victim's", "survivor's"].contains(&text.as_str()),
                "{case}: {text}"
            ),
            // A joiner shares the error of the leader that it had joined.
            Err(Error::Compute(error)) => {
                assert_eq!(
                    (fails, error.to_string().as_str()),
                    (true, "no luck"),
                    "{case}"
                );
            }
            Err(error) => panic!("{case}: {error}"),
        }
    }
    nothing_left(&spy, &[&here, &elsewhere]).await;
    if rival {
        tokio::time::sleep(2 * SECOND).await;
    }
    assert!(
        !locked(&spy, &here, "kristoff").await,
        "{case}: the lock is still there"
    );
    // The key works at once.
    let after = here.get_or_compute("kristoff", |_| value("after")).await;
    after.unwrap_or_else(|e| panic!("{case}: {e}"));
}

async fn survive(likes: Memolock<String>) -> Result<String, Error> {
    let got = likes
        .get_or_compute("kristoff", |_| value("survivor's"))
        .await?;
    Ok(got.to_string())
}

/// R5: cancelled while computing, without company: the lease is released, and waiters go on at once.
#[tokio::test(start_paused = true)]
async fn a_caller_dropped_while_computing_releases_its_lease() {
    let spy = Spy::new();
    let (here, elsewhere) = (process(&spy).await, process(&spy).await);
    let victim = {
        let here = here.clone();
        tokio::spawn(async move {
            let compute = |_| async {
                std::future::pending::<()>().await;
                value("never").await
            };
            here.get_or_compute("kristoff", compute).await
        })
    };
    spy.called(Operation::Acquire, 1).await;
    let waiter = tokio::spawn(survive(elsewhere.clone()));
    spy.called(Operation::Acquire, 3).await; // The waiter has re-checked.
    let began = tokio::time::Instant::now();
    victim.abort();
    assert_eq!(waiter.await.unwrap().unwrap(), "survivor's");
    assert!(began.elapsed() < SECOND, "not by the lease's expiry");
    nothing_left(&spy, &[&here, &elsewhere]).await;
}

/// R9: a time-out leaves no waiter, flight or subscription behind.
#[tokio::test(start_paused = true)]
async fn time_outs_leak_nothing() {
    let spy = Spy::new();
    let here = builder(&spy).wait_timeout(SECOND).build().await.unwrap();
    let token = memolock::core::Token::from_bits(7);
    for id in 0..100 {
        let key = here.keyspace().key(&id.to_string()).unwrap();
        spy.store()
            .acquire(&key, token, 100 * SECOND)
            .await
            .unwrap();
    }
    let calls = (0..1000).map(|n: u32| {
        let here = here.clone();
        tokio::spawn(async move {
            here.get_or_compute(&(n % 100).to_string(), |_| value("x"))
                .await
        })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(matches!(call.await.unwrap(), Err(Error::Timeout { .. })));
    }
    assert_eq!(here.stats().timeouts, 1000);
    nothing_left(&spy, &[&here]).await;
}
