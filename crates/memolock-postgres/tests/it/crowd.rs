//! A crowd of callers at once, with the default time-outs of a second.

use std::time::Instant;

use bytes::Bytes;
use memolock_core::{
    Acquired, Backend, BackendError, Event, Fulfilled, Key, Message, Renewal, Subscription,
};
use memolock_postgres::PgBackend;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::common::{DEADLINE, MINUTE, Place, key, next, token};

const CROWD: u32 = 30_000;

/// Long enough for the whole of the test on a busy machine.
const LEASE: std::time::Duration = MINUTE.saturating_mul(10);

/// Calls for every key at once, each in a task of its own.
async fn all<T: Send + 'static, F>(what: &str, call: impl Fn(Key, u32) -> F) -> Vec<T>
where
    F: Future<Output = Result<T, BackendError>> + Send + 'static,
{
    let began = Instant::now();
    let mut calls = JoinSet::new();
    for n in 0..CROWD {
        calls.spawn(call(key(&n.to_string()), n));
    }
    let answers = timeout(5 * MINUTE, calls.join_all()).await.expect("a hang");
    eprintln!("{what}: {:.1?}", began.elapsed());
    let failed = answers.iter().filter_map(|answer| answer.as_ref().err());
    let failed: Vec<String> = failed.map(ToString::to_string).collect();
    assert!(
        failed.is_empty(),
        "{what}: {} failed: {}",
        failed.len(),
        failed[0]
    );
    answers.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_thousand_callers_at_once_are_all_served() {
    let Some(place) = Place::new().await else {
        return;
    };
    let builder = PgBackend::builder(place.server.url()).connect_timeout(DEADLINE);
    let connect = || async { builder.clone().connect().await.unwrap() };
    let (holder, waiter) = (connect().await, connect().await);
    let of = |backend: &PgBackend| backend.clone();
    let found = all("get", |key, _| {
        let backend = of(&holder);
        async move { backend.get(&key).await }
    });
    assert!(found.await.iter().all(Option::is_none));
    let taken = all("acquire", |key, n| {
        let backend = of(&holder);
        async move { backend.acquire(&key, token(n.into()), LEASE).await }
    });
    assert!(taken.await.iter().all(|taken| *taken == Acquired::Granted));
    let mut listeners: Vec<Subscription> = all("subscribe", |key, _| {
        let backend = of(&waiter);
        async move { backend.subscribe(&key).await }
    })
    .await;
    let renewal = |n: u32| Renewal {
        key: key(&n.to_string()),
        token: token(n.into()),
        lease: LEASE,
    };
    // Behind a crowd of readers.
    let crowd = all("get again", |key, _| {
        let backend = of(&holder);
        async move { backend.get(&key).await }
    });
    let renewals: Vec<Renewal> = (0..CROWD).map(renewal).collect();
    let (_, renewed) = tokio::join!(crowd, holder.renew_each(&renewals));
    assert!(renewed.iter().all(|renewed| *renewed == Ok(true)));
    let stored = all("fulfil", |key, n| {
        let backend = of(&holder);
        async move {
            backend
                .fulfil(&key, token(n.into()), "v".into(), LEASE)
                .await
        }
    });
    assert!(
        stored
            .await
            .iter()
            .all(|stored| *stored == Fulfilled::Stored)
    );
    let told = Some(Event::Message(Message::Value(Bytes::from("v"))));
    for listener in &mut listeners {
        assert_eq!(next(listener).await, told);
    }
    let reconnects = holder.stats().reconnects + waiter.stats().reconnects;
    assert_eq!(reconnects, 0, "no connection was given up");
}
