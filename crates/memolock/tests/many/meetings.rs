//! Calls for many ids that meet others: in one process by seats, in two by leases.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use memolock::core::Operation;
use memolock::{Memolock, Source};
use tokio::sync::Barrier;

use crate::batches::{Batches, Made, each, never_many};
use crate::common::{SECOND, Spy, key, never, nothing_left, process, settle, value};

/// A compute that waits until another one is at work too: had it to wait for the other's end, none would end.
async fn beside(barrier: &Barrier, batches: &Batches, ids: Vec<String>) -> Made {
    batches.begin(&ids);
    barrier.wait().await;
    each(ids).await
}

async fn in_opposite_order(spy: &Spy, one: &Memolock<String>, other: &Memolock<String>) {
    let barrier = Barrier::new(2);
    let (left, right) = (Batches::default(), Batches::default());
    // Each holds what the other waits for: x is won by one, y by the other, before they ask for both.
    let first = one.get_or_compute_many(["x", "y"], |ids| beside(&barrier, &left, ids));
    let second = other.get_or_compute_many(["y", "z", "x"], |ids| beside(&barrier, &right, ids));
    let both = async { tokio::join!(first, second) };
    let (a, b) = tokio::time::timeout(20 * SECOND, both).await.unwrap();
    assert_eq!(texts(&a.into_result().unwrap()), ["v-x", "v-y"]);
    assert_eq!(texts(&b.into_result().unwrap()), ["v-y", "v-z", "v-x"]);
    assert_eq!(left.seen(), [["x", "y"]]);
    assert_eq!(right.seen(), [["z"]], "what the first call has is awaited");
    nothing_left(spy, &[one, other]).await;
}

fn texts(memos: &[memolock::Memo<String>]) -> Vec<String> {
    memos.iter().map(|memo| (**memo).clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn overlapping_calls_of_one_process_compute_at_the_same_time() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    in_opposite_order(&spy, &likes, &likes.clone()).await;
    assert_eq!(spy.count(Operation::Subscribe), 0, "they share flights");
}

#[tokio::test(start_paused = true)]
async fn overlapping_calls_of_two_processes_compute_at_the_same_time() {
    let spy = Spy::new();
    let (one, other) = (process(&spy).await, process(&spy).await);
    in_opposite_order(&spy, &one, &other).await;
    assert_eq!(spy.count(Operation::Subscribe), 2, "to x and y");
}

/// The trap: A has x and waits for y, B has y and waits for x.
async fn crosswise(spy: &Spy, one: &Memolock<String>, other: &Memolock<String>) {
    let barrier = Arc::new(Barrier::new(4));
    // Two single calls hold w and v, so that each call below wins one of its ids and waits for others.
    let hold = |likes: &Memolock<String>, id: &'static str| {
        let (likes, barrier) = (likes.clone(), Arc::clone(&barrier));
        tokio::spawn(async move {
            let held = async |_| {
                barrier.wait().await;
                value("held").await
            };
            likes.get_or_compute(id, held).await.map(|v| (*v).clone())
        })
    };
    let held = [hold(one, "w"), hold(other, "v")];
    settle("both hold", || spy.count(Operation::Acquire) == 2).await;
    let (left, right) = (Batches::default(), Batches::default());
    let first = one.get_or_compute_many(["x", "v", "w"], |ids| beside(&barrier, &left, ids));
    let second =
        other.get_or_compute_many(["y", "w", "v", "x"], |ids| beside(&barrier, &right, ids));
    let both = async { tokio::join!(first, second) };
    let (a, b) = tokio::time::timeout(20 * SECOND, both).await.unwrap();
    assert_eq!(texts(&a.into_result().unwrap()), ["v-x", "held", "held"]);
    assert_eq!(
        texts(&b.into_result().unwrap()),
        ["v-y", "held", "held", "v-x"]
    );
    assert_eq!(
        (left.seen(), right.seen()),
        (vec![vec!["x".to_owned()]], vec![vec!["y".to_owned()]])
    );
    for held in held {
        assert_eq!(held.await.unwrap().unwrap(), "held");
    }
    nothing_left(spy, &[one, other]).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_before_it_computes_what_it_has_in_one_process() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    crosswise(&spy, &likes, &likes.clone()).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_before_it_computes_what_it_has_in_two_processes() {
    let spy = Spy::new();
    let (one, other) = (process(&spy).await, process(&spy).await);
    crosswise(&spy, &one, &other).await;
}

#[tokio::test(start_paused = true)]
async fn a_single_call_joins_a_batch_and_the_other_way_round() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let barrier = Barrier::new(2);
    let batches = Batches::default();
    let many = likes.get_or_compute_many(["a", "b"], |ids| beside(&barrier, &batches, ids));
    let single = async {
        settle("the batch has begun", || !batches.seen().is_empty()).await;
        let joined = likes.entry("b").or_compute(|_| never());
        let (joined, _) = tokio::join!(joined, barrier.wait());
        joined.unwrap()
    };
    let (all, joined) = tokio::join!(many, single);
    assert_eq!((&**joined, joined.source()), ("v-b", Source::Awaited));
    assert_eq!(all.into_result().unwrap()[1].source(), Source::Computed);
    assert_eq!(likes.stats().joins, 1);

    let computing = Barrier::new(2);
    let single = likes.get_or_compute("c", async |_| {
        computing.wait().await;
        value("alone").await
    });
    let many = async {
        settle("the single call has its lease", || {
            likes.in_flight().leases == 1
        })
        .await;
        let many = likes.get_or_compute_many(["c", "d"], |ids| {
            batches.begin(&ids);
            each(ids)
        });
        let (all, _) = tokio::join!(many, computing.wait());
        all
    };
    let (alone, all) = tokio::join!(single, many);
    assert_eq!(*alone.unwrap(), "alone");
    assert_eq!(texts(&all.into_result().unwrap()), ["alone", "v-d"]);
    assert_eq!(batches.seen(), [vec!["a", "b"], vec!["d"]]);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_won_later_is_a_batch_of_its_own() {
    let spy = Spy::new();
    let (one, other) = (process(&spy).await, process(&spy).await);
    let batches = Batches::default();
    let failing = one.get_or_compute("b", async |_| {
        settle("the others are computed", || !batches.seen().is_empty()).await;
        Err::<String, _>("no luck".to_owned())
    });
    let many = async {
        settle("b is held", || spy.count(Operation::Acquire) == 1).await;
        other
            .get_or_compute_many(["a", "b", "c"], |ids| batches.run(ids))
            .await
    };
    let (failed, all) = tokio::join!(failing, many);
    assert!(failed.is_err());
    assert_eq!(texts(&all.into_result().unwrap()), ["v-a", "v-b", "v-c"]);
    assert_eq!(batches.seen(), [vec!["a", "c"], vec!["b"]]);
    nothing_left(&spy, &[&one, &other]).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_ids_of_another_process_are_awaited_together() {
    let spy = Spy::new();
    let (one, other) = (process(&spy).await, process(&spy).await);
    let ids: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let waiting = || spy.count(Operation::Subscribe) == 1000 && spy.count(Operation::Acquire) > 2;
    let slow = one.get_or_compute_many(&ids, async |ids| {
        settle("all wait", waiting).await;
        each(ids).await
    });
    let waits = async {
        settle("all are held", || one.in_flight().leases == 1000).await;
        other.get_or_compute_many(&ids, |_| never_many()).await
    };
    let (made, got) = tokio::join!(slow, waits);
    assert_eq!(made.into_result().unwrap().len(), 1000);
    let got = got.into_result().unwrap();
    assert!(got.iter().all(|memo| memo.source() == Source::Awaited));
    // The maker's, the waiter's first, and its second with the subscriptions in place.
    assert_eq!(spy.count(Operation::Acquire), 3);
    nothing_left(&spy, &[&one, &other]).await;
}

#[tokio::test(start_paused = true)]
async fn r4_an_invalidation_fences_a_batch() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let all = likes.get_or_compute_many(["a", "b"], async |ids| {
        likes.invalidate("a").await.unwrap();
        each(ids).await
    });
    let all = all.await.into_result().unwrap();
    assert_eq!(texts(&all), ["v-a", "v-b"], "R3: its caller has it");
    assert!(likes.get("a").await.unwrap().is_none());
    assert!(likes.get("b").await.unwrap().is_some());
    assert_eq!(likes.stats().unstored, 1);
    assert_eq!(key(&likes, "a").id(), "a");
    nothing_left(&spy, &[&likes]).await;
}
