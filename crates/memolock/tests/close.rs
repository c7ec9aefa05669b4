//! R10: after a close, pending and later calls get `Closed`; leases are released; nothing leaks.

mod common;

use std::time::Duration;

use common::{
    Fault, SECOND, Spy, builder, key, locked, never, nothing_left, process, settle, value,
};
use memolock::core::{Backend, Operation, Token};
use memolock::{Coherence, Error, Memo, Memolock, NearCache, Source};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Longer than any test.
const HOUR: Duration = Duration::from_secs(3600);

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

/// What a detached compute does in the tests below: it says that it began, and ends when it is told.
struct Detached {
    end: oneshot::Sender<()>,
    call: JoinHandle<Result<Memo<String>, Error>>,
}

impl Detached {
    /// Begins detached work, which does `then` at its end.
    async fn begin<F>(likes: &Memolock<String>, id: &'static str, then: F) -> Self
    where
        F: Future<Output = Result<String, String>> + Send + 'static,
    {
        let (end, ended) = oneshot::channel::<()>();
        let before = likes.stats().computes;
        let call = likes.entry(id).detach().or_compute(|_| async move {
            ended.await.map_err(|e| e.to_string())?;
            then.await
        });
        let call = tokio::spawn(call);
        settle("detached work", || likes.stats().computes == before + 1).await;
        Self { end, call }
    }
}

/// Begins a close, and comes back when it has begun.
async fn closing(likes: &Memolock<String>, patience: Duration) -> JoinHandle<()> {
    let close = likes.clone();
    let close = tokio::spawn(async move { close.close_within(patience).await });
    settle("the close begins", || likes.is_closed()).await;
    close
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_for_detached_work_and_its_caller_gets_its_value() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let work = Detached::begin(&likes, "a", value("finished")).await;
    let began = Instant::now();
    let close = closing(&likes, HOUR).await;
    sleep(60 * SECOND).await;
    assert!(!close.is_finished() && !work.call.is_finished());
    assert!(
        locked(&spy, &likes, "a").await,
        "its lease is kept meanwhile"
    );
    work.end.send(()).unwrap();
    close.await.unwrap();
    assert_eq!(began.elapsed(), 60 * SECOND, "and no longer");
    assert_eq!(work.call.await.unwrap().unwrap().as_str(), "finished");
    assert!(
        spy.store().get(&key(&likes, "a")).await.unwrap().is_some(),
        "and stored"
    );
    nothing_left(&spy, &[&likes]).await;
}

/// Its leases are released then, and not left to expire.
#[tokio::test(start_paused = true)]
async fn when_the_time_is_over_detached_work_is_dropped() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let work = Detached::begin(&likes, "a", value("too late")).await;
    let began = Instant::now();
    likes.close_within(7 * SECOND).await;
    assert_eq!(began.elapsed(), 7 * SECOND);
    assert!(!locked(&spy, &likes, "a").await);
    assert!(matches!(work.call.await.unwrap(), Err(Error::Closed)));
    assert!(work.end.send(()).is_err(), "the compute is gone");
    // By default it is 5 s.
    let likes = process(&spy).await;
    let work = Detached::begin(&likes, "a", value("too late")).await;
    let began = Instant::now();
    likes.close().await;
    assert_eq!(began.elapsed(), 5 * SECOND);
    assert!(matches!(work.call.await.unwrap(), Err(Error::Closed)));
    nothing_left(&spy, &[&likes]).await;
}

/// Later calls get `Closed` at once, near copies too; those of detached work are served, also to new ids, also detached.
#[tokio::test(start_paused = true)]
async fn while_a_close_waits_only_detached_work_is_served() {
    let spy = Spy::new();
    let near = builder(&spy).near_cache(NearCache::entries(10));
    let likes = near.build().await.unwrap();
    settle("changes are heard", || {
        likes.stats().near.coherence == Coherence::Live
    })
    .await;
    likes
        .get_or_compute("near", |_| value("copy"))
        .await
        .unwrap();
    assert_eq!(likes.stats().near.entries, 1);
    let calls = likes.clone();
    let work = Detached::begin(&likes, "a", async move {
        let likes = calls;
        let plain = likes.get_or_compute("b", |_| value("b")).await.unwrap();
        let inner = likes.entry("c").detach().or_compute(|_| value("c"));
        let both = tokio::join!(inner, likes.get("near"));
        likes.put("d", &"d".to_owned()).await.unwrap();
        let all = likes.get_or_compute_many(["d", "e"], |ids: Vec<String>| async {
            Ok::<_, String>(
                ids.into_iter()
                    .map(|id| (id.clone(), id))
                    .collect::<Vec<_>>(),
            )
        });
        let all = all.await.into_result().unwrap();
        let spawned = likes.clone();
        let spawned = tokio::spawn(async move { spawned.get("b").await });
        assert!(
            matches!(spawned.await.unwrap(), Err(Error::Closed)),
            "has no mark"
        );
        Ok(format!(
            "{plain}{}{}{}{}",
            both.0.unwrap(),
            both.1.unwrap().unwrap(),
            all[0],
            all[1]
        ))
    })
    .await;
    let close = closing(&likes, HOUR).await;
    for id in ["near", "new", "a"] {
        let late = likes.get_or_compute(id, |_| never()).await;
        assert!(matches!(late, Err(Error::Closed)), "{late:?}");
        assert!(matches!(likes.get(id).await, Err(Error::Closed)));
        assert!(matches!(
            likes.put(id, &String::new()).await,
            Err(Error::Closed)
        ));
        assert!(matches!(likes.invalidate(id).await, Err(Error::Closed)));
        let late = likes.entry(id).detach().or_compute(|_| never()).await;
        assert!(matches!(late, Err(Error::Closed)), "{late:?}");
        let late = likes.get_many([id]).await.into_result();
        assert!(matches!(late, Err(Error::Closed)), "{late:?}");
    }
    assert!(!close.is_finished());
    work.end.send(()).unwrap();
    assert_eq!(work.call.await.unwrap().unwrap().as_str(), "bccopyde");
    close.await.unwrap();
    nothing_left(&spy, &[&likes]).await;
}

/// A caller that leads is no detached work, and detached work that has joined it is to be finished all the same: it
/// takes over, under the same lease. So is a caller that has joined detached work served.
#[tokio::test(start_paused = true)]
async fn detached_work_that_had_joined_a_caller_takes_over_when_a_close_sends_that_away() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let call = |id: &'static str| {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| std::future::pending::<Result<String, String>>();
            likes.get_or_compute(id, compute).await
        })
    };
    let leads = call("a");
    settle("it leads", || likes.stats().computes == 1).await;
    // In the order in which they are woken: two that may not lead, the detached one, and one that may wait for it.
    let before = [call("a"), call("a")];
    settle("they join", || likes.stats().joins == 2).await;
    let detached = likes.entry("a").detach().or_compute(|_| async {
        sleep(SECOND).await;
        value("finished").await
    });
    let detached = tokio::spawn(detached);
    settle("it joins", || likes.stats().joins == 3).await;
    let after = call("a");
    settle("it joins too", || likes.stats().joins == 4).await;
    let began = Instant::now();
    likes.close_within(HOUR).await;
    // Those who may not lead pass the wake-up on. Without that, the seat would be offered to all after 50 ms.
    assert!(began.elapsed() < SECOND + Duration::from_millis(50));
    assert!(matches!(leads.await.unwrap(), Err(Error::Closed)));
    for call in before {
        assert!(matches!(call.await.unwrap(), Err(Error::Closed)));
    }
    let memo = detached.await.unwrap().unwrap();
    assert_eq!(
        (memo.as_str(), memo.source()),
        ("finished", Source::Computed)
    );
    assert_eq!(*after.await.unwrap().unwrap(), "finished");
    assert_eq!(
        (likes.stats().handovers, spy.count(Operation::Acquire)),
        (1, 1)
    );
    nothing_left(&spy, &[&likes]).await;
}

/// What others do that are under way ends at once, and their leases are released, while detached work goes on.
#[tokio::test(start_paused = true)]
async fn calls_under_way_do_not_wait_for_detached_work() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let work = Detached::begin(&likes, "a", value("finished")).await;
    let led = likes.clone();
    let led = tokio::spawn(async move {
        let compute = |_| std::future::pending::<Result<String, String>>();
        led.get_or_compute("b", compute).await
    });
    settle("it computes", || likes.stats().computes == 2).await;
    let close = closing(&likes, HOUR).await;
    assert!(matches!(led.await.unwrap(), Err(Error::Closed)));
    spy.called(Operation::Release, 1).await;
    assert!(!locked(&spy, &likes, "b").await && locked(&spy, &likes, "a").await);
    work.end.send(()).unwrap();
    close.await.unwrap();
    assert_eq!(work.call.await.unwrap().unwrap().as_str(), "finished");
    nothing_left(&spy, &[&likes]).await;
}

/// A caller whose value is about to be stored has it, and it is stored.
#[tokio::test(start_paused = true)]
async fn a_value_that_is_being_stored_when_a_close_begins_is_stored() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let work = Detached::begin(&likes, "a", value("finished")).await;
    spy.tamper(Operation::Fulfil, Fault::Late(SECOND));
    let led = likes.clone();
    let led = tokio::spawn(async move { led.get_or_compute("b", |_| value("stored")).await });
    spy.called(Operation::Fulfil, 1).await;
    let close = closing(&likes, HOUR).await;
    assert_eq!(*led.await.unwrap().unwrap(), "stored");
    work.end.send(()).unwrap();
    close.await.unwrap();
    assert_eq!(spy.count(Operation::Fulfil), 2);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn of_two_closes_the_less_patient_one_decides() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let work = Detached::begin(&likes, "a", value("too late")).await;
    let began = Instant::now();
    let patient = closing(&likes, HOUR).await;
    sleep(SECOND).await;
    likes.close_within(SECOND).await;
    patient.await.unwrap();
    assert_eq!(began.elapsed(), 2 * SECOND);
    assert!(matches!(work.call.await.unwrap(), Err(Error::Closed)));
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_whose_future_is_dropped_goes_on() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let work = Detached::begin(&likes, "a", value("too late")).await;
    let left = timeout(SECOND, likes.close_within(3 * SECOND)).await;
    assert!(left.is_err() && likes.is_closed() && !work.call.is_finished());
    assert!(matches!(likes.get("b").await, Err(Error::Closed)));
    sleep(3 * SECOND).await;
    assert!(work.call.is_finished(), "its time was over");
    assert!(matches!(work.call.await.unwrap(), Err(Error::Closed)));
    assert!(!locked(&spy, &likes, "a").await);
    nothing_left(&spy, &[&likes]).await;
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
    let began = Instant::now();
    likes.close().await;
    assert_eq!(began.elapsed(), 5 * SECOND);
    assert!(matches!(stuck.await, Err(Error::Closed)));
    nothing_left(&spy, &[&likes]).await;
}
