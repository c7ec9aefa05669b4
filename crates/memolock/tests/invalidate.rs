//! R4: after an invalidate or a put, a compute that began before it cannot store its value.

mod common;

use common::{SECOND, Spy, nothing_left, process, value};
use memolock::Source;
use memolock::core::Operation;
use tokio::sync::oneshot;

#[tokio::test(start_paused = true)]
async fn r4_a_compute_overtaken_by_an_invalidation_is_returned_and_not_stored() {
    let spy = Spy::new();
    let (here, elsewhere) = (process(&spy).await, process(&spy).await);
    let (invalidated, go) = oneshot::channel::<()>();
    let old = here.get_or_compute("kristoff", |_| async {
        go.await.unwrap();
        value("old").await
    });
    let invalidate = async {
        spy.called(Operation::Acquire, 1).await;
        elsewhere.invalidate("kristoff").await.unwrap();
        invalidated.send(()).unwrap();
    };
    let (old, ()) = tokio::join!(old, invalidate);
    assert_eq!(*old.unwrap(), "old", "R3: its caller has it");
    assert_eq!(here.get("kristoff").await.unwrap(), None);
    assert_eq!(here.stats().lost_leases, 1);
    nothing_left(&spy, &[&here, &elsewhere]).await;
}

#[tokio::test(start_paused = true)]
async fn r4_a_compute_overtaken_by_a_put_does_not_overwrite_it() {
    let spy = Spy::new();
    let (here, elsewhere) = (process(&spy).await, process(&spy).await);
    let (put, go) = oneshot::channel::<()>();
    let old = here.get_or_compute("kristoff", |_| async {
        go.await.unwrap();
        value("old").await
    });
    let overtake = async {
        spy.called(Operation::Acquire, 1).await;
        elsewhere.put("kristoff", &"put".to_owned()).await.unwrap();
        put.send(()).unwrap();
    };
    let (old, ()) = tokio::join!(old, overtake);
    assert_eq!(*old.unwrap(), "old");
    assert_eq!(*here.get("kristoff").await.unwrap().unwrap(), "put");
}

/// A get that starts after a local put or invalidate returned never joins an older flight.
#[tokio::test(start_paused = true)]
async fn a_call_after_a_local_invalidation_joins_no_older_flight() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let (done, go) = oneshot::channel::<()>();
    let old = likes.get_or_compute("kristoff", |_| async {
        go.await.unwrap();
        value("old").await
    });
    let fresh = async {
        spy.called(Operation::Acquire, 1).await;
        likes.invalidate("kristoff").await.unwrap();
        let fresh = likes
            .entry("kristoff")
            .or_compute(|_| value("new"))
            .await
            .unwrap();
        done.send(()).unwrap();
        fresh
    };
    let (old, fresh) = tokio::join!(old, fresh);
    assert_eq!((old.unwrap().as_str(), fresh.as_str()), ("old", "new"));
    assert_eq!(fresh.source(), Source::Computed);
    assert_eq!(
        likes.get("kristoff").await.unwrap().unwrap().as_str(),
        "new"
    );
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn waiters_elsewhere_get_a_put_value_by_push() {
    let spy = Spy::new();
    let (here, elsewhere) = (process(&spy).await, process(&spy).await);
    let holder = here.clone();
    let holder = tokio::spawn(async move {
        let compute = |_| async {
            tokio::time::sleep(100 * SECOND).await;
            value("slow").await
        };
        holder.get_or_compute("kristoff", compute).await
    });
    spy.called(Operation::Acquire, 1).await;
    let wait = elsewhere.entry("kristoff").or_compute(|_| value("own"));
    let put = async {
        spy.called(Operation::Acquire, 3).await;
        here.put("kristoff", &"put".to_owned()).await.unwrap();
    };
    let (got, ()) = tokio::join!(wait, put);
    let got = got.unwrap();
    assert_eq!((got.as_str(), got.source()), ("put", Source::Awaited));
    holder.abort();
}

/// A retired flight that waits still ends with a close.
#[tokio::test(start_paused = true)]
async fn a_close_reaches_flights_that_nobody_can_join_any_more() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let old = likes.get_or_compute("kristoff", |_| {
        std::future::pending::<Result<String, String>>()
    });
    let close = async {
        spy.called(Operation::Acquire, 1).await;
        likes.invalidate("kristoff").await.unwrap();
        likes.close().await;
    };
    let (old, ()) = tokio::join!(old, close);
    assert!(matches!(old, Err(memolock::Error::Closed)));
    nothing_left(&spy, &[&likes]).await;
}
