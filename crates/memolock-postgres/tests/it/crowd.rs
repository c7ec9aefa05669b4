//! A crowd of callers at once, with the default time-outs of a second.

use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use memolock_core::{
    Acquired, Backend, BackendError, Event, Fulfilled, Key, Message, PutMode, Renewal, Subscription,
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

/// Calls that were begun and are not polled any more, as of a caller that is busy with something else.
#[tokio::test]
async fn calls_that_are_not_polled_hold_up_no_other() {
    let Some(place) = Place::new().await else {
        return;
    };
    let backend = place.backend().await;
    let mut idle: Vec<_> = Vec::new();
    for n in 0..2_000 {
        let (backend, key) = (backend.clone(), key(&n.to_string()));
        let mut call = Box::pin(async move { backend.get(&key).await });
        assert!((&mut call).now_or_never().is_none());
        idle.push(call);
    }
    let other = timeout(DEADLINE, backend.get(&key("other"))).await;
    assert_eq!(other.expect("it does not wait for them"), Ok(None));
    for call in idle {
        assert_eq!(call.await, Ok(None));
    }
}

/// Also where they have to queue, and some callers leave.
#[tokio::test]
async fn writes_are_sent_in_the_order_of_their_callers() {
    let Some(place) = Place::new().await else {
        return;
    };
    let backend = place.backend().await;
    let mut writes = Vec::new();
    for n in 0..3_000_u32 {
        let backend = backend.clone();
        let mut write = Box::pin(async move {
            let key = key("k");
            match n % 3 {
                0 => backend.invalidate(&key).await,
                _ => {
                    let value = Bytes::from(n.to_string());
                    backend.put(&key, value, LEASE, PutMode::Override).await
                }
            }
        });
        assert!((&mut write).now_or_never().is_none());
        writes.push(write);
    }
    // 2,999 is a put; those from 2,990 to 2,998 are never sent, or have been and come before it.
    let last = writes.pop().unwrap();
    writes.truncate(2_990);
    for write in writes {
        write.await.unwrap();
    }
    last.await.unwrap();
    let found = backend.get(&key("k")).await.unwrap();
    assert_eq!(found, Some("2999".into()));
}

/// Those who queue when a connection is lost have sent nothing: they are served by the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_queues_when_the_connection_is_lost_is_served_by_the_next() {
    let Some(place) = Place::new().await else {
        return;
    };
    let backend = place.backend().await;
    place.sql("BEGIN; LOCK TABLE memolock").await;
    let mut calls = JoinSet::new();
    for n in 0..2_000 {
        let (backend, key) = (backend.clone(), key(&n.to_string()));
        calls.spawn(async move { backend.acquire(&key, token(n), LEASE).await });
    }
    let blocked = "SELECT count(*) FROM pg_stat_activity \
         WHERE application_name = 'memolock' AND wait_event_type = 'Lock'";
    place.until(blocked, 1).await;
    let pid = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE application_name = 'memolock'";
    assert_eq!(place.count(pid).await, 1);
    place.sql("COMMIT").await;
    let answers = timeout(5 * MINUTE, calls.join_all()).await.expect("a hang");
    let served = answers.iter().filter(|a| **a == Ok(Acquired::Granted));
    let served = served.count();
    let lost = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(lost.clone().all(BackendError::is_outage), "{lost:?}");
    // What was sent may have taken effect, so it is not sent again.
    assert_eq!(served + lost.count(), 2_000);
    // 512 are on their way. Until the end of the connection is seen, those that failed make room for others.
    assert!(served >= 2_000 - 2 * 512, "{served} were served");
    assert_eq!(backend.stats().reconnects, 1);
}
