//! Many callers, one key: one compute, few commands.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{SECOND, Spy, never, nothing_left, process, value};
use memolock::Source;
use memolock::core::Operation;

#[tokio::test(start_paused = true)]
async fn ten_thousand_tasks_of_one_process_compute_once_with_three_commands() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let computes = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..10_000)
        .map(|_| {
            let (likes, computes) = (likes.clone(), Arc::clone(&computes));
            tokio::spawn(async move {
                let compute = |_| async {
                    computes.fetch_add(1, SeqCst);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    value("seven").await
                };
                likes.get_or_compute("kristoff", compute).await.unwrap()
            })
        })
        .collect();
    let mut first = None;
    for task in tasks {
        let got = task.await.unwrap();
        assert_eq!(*got, "seven");
        // Joined callers share the allocation: no copy of the value, nothing decoded.
        assert!(Arc::ptr_eq(
            first.get_or_insert_with(|| Arc::clone(&got)),
            &got
        ));
    }
    assert_eq!(computes.load(SeqCst), 1);
    // Probe, acquire, fulfil.
    assert_eq!(spy.total(), 3);
    assert_eq!(likes.stats().joins, 9_999);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn eight_processes_compute_once_and_the_others_are_woken_by_push() {
    let spy = Spy::new();
    let computes = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    let mut processes = Vec::new();
    for _ in 0..8 {
        let likes = process(&spy).await;
        for _ in 0..100 {
            let (likes, computes) = (likes.clone(), Arc::clone(&computes));
            tasks.push(tokio::spawn(async move {
                let compute = |_| async {
                    computes.fetch_add(1, SeqCst);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    value("seven").await
                };
                let began = tokio::time::Instant::now();
                let got = likes.get_or_compute("kristoff", compute).await.unwrap();
                // Paused time moves only when nobody can run: pushed at once, to the millisecond.
                assert_eq!(began.elapsed().as_millis(), 100);
                assert_eq!(*got, "seven");
            }));
        }
        processes.push(likes);
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(computes.load(SeqCst), 1);
    // Holder: probe, acquire, fulfil. Each waiter: probe, acquire, subscribe, re-check.
    assert_eq!(spy.total(), 3 + 7 * 4);
    nothing_left(&spy, &processes.iter().collect::<Vec<_>>()).await;
}

#[tokio::test(start_paused = true)]
async fn a_hit_costs_one_command_and_says_so() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    likes.put("kristoff", &"seven".to_owned()).await.unwrap();
    let memo = likes
        .entry("kristoff")
        .or_compute(|_| never())
        .await
        .unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("seven", Source::Hit));
    assert_eq!(spy.count(Operation::Get), 1);
    assert_eq!(spy.total(), 2); // With the put.
    assert_eq!(
        likes.get("kristoff").await.unwrap().unwrap().as_str(),
        "seven"
    );
    assert_eq!(likes.get("elsa").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn ids_do_not_share() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let (a, b) = tokio::join!(
        likes.get_or_compute("a", |_| value("for a")),
        likes.get_or_compute("b", |_| value("for b")),
    );
    assert_eq!(
        (a.unwrap().as_str(), b.unwrap().as_str()),
        ("for a", "for b")
    );
    assert_eq!(likes.stats().computes, 2);
}

/// A get looks at what is stored; it never waits for a compute, however long that takes.
#[tokio::test(start_paused = true)]
async fn a_get_does_not_wait_for_a_compute() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let slow = likes.get_or_compute("kristoff", |_| async {
        tokio::time::sleep(SECOND).await;
        value("seven").await
    });
    let look = async {
        spy.called(Operation::Acquire, 1).await;
        let began = tokio::time::Instant::now();
        assert_eq!(likes.get("kristoff").await.unwrap(), None);
        assert_eq!(began.elapsed(), Duration::ZERO);
    };
    let (slow, ()) = tokio::join!(slow, look);
    slow.unwrap();
}
