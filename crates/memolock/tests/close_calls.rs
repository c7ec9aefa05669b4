//! How long a close may wait, from nothing to for ever, and what detached work may call meanwhile.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{SECOND, Spy, builder, locked, nothing_left, process, settle, value};
use memolock::core::Backend;
use memolock::{Error, Lease, Memo, Memolock, Source};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

const HOUR: Duration = Duration::from_secs(3600);

type Call = JoinHandle<Result<Memo<String>, Error>>;

/// Detached work that goes on until it is told to end.
async fn detached(likes: &Memolock<String>) -> (oneshot::Sender<()>, Call) {
    let (end, ended) = oneshot::channel::<()>();
    let call = likes.entry("a").detach().or_compute(|_| async move {
        ended.await.map_err(|e| e.to_string())?;
        value("finished").await
    });
    let call = tokio::spawn(call);
    settle("it computes", || likes.stats().computes == 1).await;
    (end, call)
}

#[tokio::test(start_paused = true)]
async fn a_close_within_nothing_drops_detached_work_at_once_and_releases() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let (end, call) = detached(&likes).await;
    let led = likes.clone();
    let led = tokio::spawn(async move {
        let stuck = |_| std::future::pending::<Result<String, String>>();
        led.get_or_compute("b", stuck).await
    });
    settle("it computes too", || likes.stats().computes == 2).await;
    let began = Instant::now();
    likes.close_within(Duration::ZERO).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(!locked(&spy, &likes, "a").await && !locked(&spy, &likes, "b").await);
    assert!(matches!(call.await.unwrap(), Err(Error::Closed)));
    assert!(matches!(led.await.unwrap(), Err(Error::Closed)));
    assert!(end.send(()).is_err(), "the compute is gone");
    likes.close_within(Duration::ZERO).await;
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn closes_without_work_end_at_once_however_long_they_may_take() {
    for patience in [Duration::ZERO, HOUR, Duration::MAX] {
        let likes = process(&Spy::new()).await;
        let began = Instant::now();
        likes.close_within(patience).await;
        assert_eq!(began.elapsed(), Duration::ZERO, "{patience:?}");
        assert!(matches!(likes.get("a").await, Err(Error::Closed)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_without_a_bound_waits_until_detached_work_ends() {
    for dropped in [false, true] {
        let spy = Spy::new();
        let likes = builder(&spy).max_lease(Duration::MAX);
        let likes = likes.build().await.unwrap();
        let (end, call) = detached(&likes).await;
        let mut close = Box::pin(likes.close_within(Duration::MAX));
        assert!(timeout(HOUR, &mut close).await.is_err());
        assert!(!call.is_finished() && locked(&spy, &likes, "a").await);
        let ended = Instant::now();
        match dropped {
            // It goes on by itself.
            true => drop(close),
            false => {
                end.send(()).unwrap();
                close.await;
                assert_eq!(call.await.unwrap().unwrap().as_str(), "finished");
                assert_eq!(ended.elapsed(), Duration::ZERO);
                let key = common::key(&likes, "a");
                assert!(spy.store().get(&key).await.unwrap().is_some());
                nothing_left(&spy, &[&likes]).await;
                continue;
            }
        }
        sleep(HOUR).await;
        assert!(!call.is_finished());
        end.send(()).unwrap();
        assert_eq!(call.await.unwrap().unwrap().as_str(), "finished");
        nothing_left(&spy, &[&likes]).await;
    }
}

/// The less patient one decides, at both ends.
#[tokio::test(start_paused = true)]
async fn a_close_within_nothing_ends_one_without_a_bound() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let (_end, call) = detached(&likes).await;
    let began = Instant::now();
    let nothing = async {
        sleep(SECOND).await;
        likes.close_within(Duration::ZERO).await;
    };
    tokio::join!(likes.close_within(Duration::MAX), nothing);
    assert_eq!(began.elapsed(), SECOND);
    assert!(matches!(call.await.unwrap(), Err(Error::Closed)));
    nothing_left(&spy, &[&likes]).await;
}

/// Every verb, while others get `Closed`.
#[tokio::test(start_paused = true)]
async fn detached_work_may_call_everything_while_a_close_waits() {
    let spy = Spy::new();
    let (likes, program) = (process(&spy).await, process(&spy).await);
    let (end, ended) = oneshot::channel::<()>();
    let (calls, answers) = (likes.clone(), program.clone());
    let work = |lease: Lease| async move {
        ended.await.unwrap();
        every_verb(&calls, &answers).await;
        lease.renew(2 * SECOND).await.unwrap();
        assert!(lease.is_held() && !lease.is_lost());
        value("finished").await
    };
    let call = tokio::spawn(likes.entry("a").detach().or_compute(work));
    settle("it computes", || likes.stats().computes == 1).await;
    let close = likes.clone();
    let close = tokio::spawn(async move { close.close_within(HOUR).await });
    settle("the close begins", || likes.is_closed()).await;
    let trigger = || async { Ok::<_, String>(()) };
    let late = likes.entry("e").or_external(trigger).await;
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
    let late = likes.entry("e").resolve(&String::new()).await;
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
    let late = likes.inspect("e").await;
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
    end.send(()).unwrap();
    assert_eq!(call.await.unwrap().unwrap().as_str(), "finished");
    close.await.unwrap();
    nothing_left(&spy, &[&likes, &program]).await;
}

async fn every_verb(likes: &Memolock<String>, program: &Memolock<String>) {
    likes.put("b", &"b".to_owned()).await.unwrap();
    likes.entry("c").put(&"c".to_owned()).await.unwrap();
    likes.entry("d").resolve(&"d".to_owned()).await.unwrap();
    likes.invalidate("b").await.unwrap();
    assert!(likes.inspect("b").await.unwrap().value.is_none());
    assert!(likes.inspect("a").await.unwrap().lock.is_some());
    let many = likes.get_many(["b", "c", "d"]).await.into_result().unwrap();
    let many: Vec<_> = many.iter().map(|found| found.as_deref()).collect();
    assert_eq!(many, [None, Some(&"c".to_owned()), Some(&"d".to_owned())]);
    for id in ["e", "f"] {
        let program = program.clone();
        // It answers later: the work waits for it.
        let trigger = move || {
            let program = program.clone();
            async move {
                tokio::spawn(async move {
                    sleep(20 * SECOND).await;
                    program.entry(id).resolve(&"made".to_owned()).await
                });
                Ok::<_, String>(())
            }
        };
        let entry = likes.entry(id);
        let memo = match id {
            "e" => entry.or_external(trigger).await.unwrap(),
            _ => entry.detach().or_external(trigger).await.unwrap(),
        };
        assert_eq!((memo.as_str(), memo.source()), ("made", Source::Awaited));
    }
    let with = likes.entry("g").or_compute_with(|_| async {
        Ok::<_, String>(memolock::Computed::new("g".to_owned()).ttl(SECOND))
    });
    assert_eq!(with.await.unwrap().as_str(), "g");
}
