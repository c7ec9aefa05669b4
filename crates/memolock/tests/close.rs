//! R10: after a close, pending and later calls get `Closed`; leases are released; nothing leaks.

mod common;

use common::{SECOND, Spy, locked, never, nothing_left, process, settle, value};
use memolock::Error;
use memolock::core::{Backend, Operation, Token};

#[tokio::test(start_paused = true)]
async fn r10_pending_and_later_calls_get_closed() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let rival = likes.keyspace().key("waited-for").unwrap();
    spy.store()
        .acquire(&rival, Token::from_bits(7), 100 * SECOND)
        .await
        .unwrap();
    let call = |id: &'static str| {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| std::future::pending::<Result<String, String>>();
            likes.get_or_compute(id, compute).await
        })
    };
    let pending = [
        call("computing"),
        call("computing"),
        call("waited-for"),
        call("waited-for"),
    ];
    let detached = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let entry = likes.entry("detached").detach();
            entry
                .or_compute(|_| std::future::pending::<Result<String, String>>())
                .await
        })
    };
    settle("all under way", || {
        likes.stats().joins == 2 && likes.stats().computes == 2
    })
    .await;
    likes.close().await;
    assert!(
        !locked(&spy, &likes, "computing").await,
        "released when close returns"
    );
    for call in pending {
        assert!(matches!(call.await.unwrap(), Err(Error::Closed)));
    }
    assert!(matches!(detached.await.unwrap(), Err(Error::Closed)));
    let later = likes.get_or_compute("x", |_| never()).await;
    assert!(matches!(later, Err(Error::Closed)));
    assert!(matches!(likes.get("x").await, Err(Error::Closed)));
    assert!(matches!(
        likes.put("x", &"y".to_owned()).await,
        Err(Error::Closed)
    ));
    assert!(matches!(likes.invalidate("x").await, Err(Error::Closed)));
    assert!(matches!(likes.inspect("x").await, Err(Error::Closed)));
    let external = likes
        .entry("x")
        .or_external(|| async { Ok::<_, String>(()) })
        .await;
    assert!(matches!(external, Err(Error::Closed)));
    likes.close().await; // Twice does no harm.
    assert!(likes.is_closed());
    nothing_left(&spy, &[&likes]).await;
}

/// The ancestors panicked when used after a close; and a clone is the same memolock.
#[tokio::test(start_paused = true)]
async fn a_close_holds_for_clones_and_not_for_others_of_the_backend() {
    let spy = Spy::new();
    let (likes, other) = (process(&spy).await, process(&spy).await);
    let clone = likes.clone();
    likes.close().await;
    assert!(matches!(clone.get("x").await, Err(Error::Closed)));
    assert_eq!(
        *other.get_or_compute("x", |_| value("fine")).await.unwrap(),
        "fine"
    );
}

/// R9: a memolock that is dropped without a close ends its tasks too.
#[tokio::test(start_paused = true)]
async fn dropping_the_last_clone_ends_its_tasks() {
    let spy = Spy::new();
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let likes = process(&spy).await;
    likes.get_or_compute("x", |_| value("y")).await.unwrap();
    drop(likes);
    settle("no task left", || metrics.num_alive_tasks() == before).await;
}

/// A compute that never yields cannot hold up a close for ever.
#[tokio::test(start_paused = true)]
async fn a_close_is_bounded_when_a_caller_is_never_polled_again() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let mut stuck =
        Box::pin(likes.get_or_compute("x", |_| std::future::pending::<Result<String, String>>()));
    assert!(futures_util::poll!(&mut stuck).is_pending());
    spy.called(Operation::Acquire, 1).await;
    let began = tokio::time::Instant::now();
    likes.close().await;
    assert_eq!(began.elapsed(), 5 * SECOND);
    assert!(matches!(stuck.await, Err(Error::Closed)));
    nothing_left(&spy, &[&likes]).await;
}
