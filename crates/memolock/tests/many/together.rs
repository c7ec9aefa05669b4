//! What many ids share: commands, and one compute.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;
use std::time::Duration;

use memolock::core::Operation;
use memolock::{Computed, Error, Memo, Source};

use crate::batches::{Batches, each, never_many};
use crate::common::{Spy, key, nothing_left, process};

fn ids(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("id{n}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_cold_ids_cost_three_calls_and_one_compute() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let batches = Batches::default();
    let all = likes
        .get_or_compute_many(ids(1000), |ids| batches.run(ids))
        .await;
    assert_eq!(all.len(), 1000);
    for (n, (id, memo)) in all.iter().enumerate() {
        let memo = memo.as_ref().unwrap();
        assert_eq!(
            (id, memo.as_str()),
            (&*format!("id{n}"), &*format!("v-id{n}"))
        );
        assert_eq!(memo.source(), Source::Computed);
    }
    assert_eq!(batches.seen(), [ids(1000)], "one batch, in the order asked");
    assert_eq!(spy.total(), 3, "a look, the leases, the values");
    nothing_left(&spy, &[&likes]).await;

    let again = likes.get_or_compute_many(ids(1000), |_| never_many()).await;
    let again = again.into_result().unwrap();
    assert!(again.iter().all(|memo| memo.source() == Source::Hit));
    assert_eq!(spy.total(), 4, "one more, warm");
}

#[tokio::test(start_paused = true)]
async fn exactly_what_is_missing_is_computed() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    likes.put("b", &"old".to_owned()).await.unwrap();
    let batches = Batches::default();
    let all = likes
        .get_or_compute_many(["a", "b", "c"], |ids| batches.run(ids))
        .await;
    let all = all.into_result().unwrap();
    assert_eq!(
        all.iter().map(|v| v.as_str()).collect::<Vec<_>>(),
        ["v-a", "old", "v-c"]
    );
    assert_eq!(batches.seen(), [["a", "c"]]);
    assert_eq!(**likes.get("c").await.unwrap().as_ref().unwrap(), *"v-c");
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_twice_is_computed_once_and_answered_twice() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let batches = Batches::default();
    let all = likes
        .get_or_compute_many(["a", "b", "a"], |ids| batches.run(ids))
        .await;
    assert_eq!(all.len(), 3);
    let all = all.into_result().unwrap();
    assert_eq!(
        all.iter().map(|v| v.as_str()).collect::<Vec<_>>(),
        ["v-a", "v-b", "v-a"]
    );
    assert_eq!(batches.seen(), [["a", "b"]]);
}

#[tokio::test(start_paused = true)]
async fn no_ids_cost_nothing() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let none: [&str; 0] = [];
    let all = likes.get_or_compute_many(none, |_| never_many()).await;
    assert!(all.is_empty() && all.into_result().unwrap().is_empty());
    assert!(likes.get_many(none).await.is_empty());
    assert_eq!(spy.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_cannot_be_used_has_its_own_error() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let batches = Batches::default();
    let long = "x".repeat(1 << 20);
    let all = likes
        .get_or_compute_many([&*long, "a"], |ids| batches.run(ids))
        .await;
    assert!(
        matches!(all.get(&long), Some(Err(Error::Key(_)))),
        "{all:?}"
    );
    assert_eq!(all.get("a").unwrap().as_ref().unwrap().as_str(), "v-a");
    assert_eq!(batches.seen(), [["a"]]);
}

#[tokio::test(start_paused = true)]
async fn values_say_themselves_how_they_are_kept() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let entries = likes
        .entries(["brief", "long", "never"])
        .ttl(Duration::from_secs(9));
    let all = entries
        .or_compute(|ids| async move {
            let kept = |id: String| {
                let value = Computed::new(id.clone());
                let value = match &*id {
                    "brief" => value.ttl(Duration::from_secs(1)),
                    "never" => value.no_store(),
                    _ => value,
                };
                (id, value)
            };
            Ok::<_, String>(ids.into_iter().map(kept).collect::<Vec<_>>())
        })
        .await;
    let all: Vec<Memo<String>> = all.into_result().unwrap();
    assert_eq!(all.len(), 3);
    let left = async |id| likes.get(id).await.unwrap().is_some();
    assert!(left("brief").await && left("long").await && !left("never").await);
    tokio::time::advance(Duration::from_millis(1001)).await;
    assert!(!left("brief").await && left("long").await);
    tokio::time::advance(Duration::from_secs(8)).await;
    assert!(!left("long").await);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_are_one_batch() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let sizes = Mutex::new(Vec::new());
    let all = likes
        .get_or_compute_many(ids(10_000), |ids| {
            sizes.lock().unwrap().push(ids.len());
            each(ids)
        })
        .await;
    assert_eq!(all.into_result().unwrap().len(), 10_000);
    assert_eq!(*sizes.lock().unwrap(), [10_000]);
    assert_eq!(spy.total(), 3);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn leases_are_renewed_while_a_batch_takes_its_time() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let slow = likes.get_or_compute_many(["a", "b"], |ids| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        each(ids).await
    });
    slow.await.into_result().unwrap();
    assert!(spy.count(Operation::Renew) > 10);
    assert_eq!(likes.stats().lost_leases, 0);
    assert_eq!(likes.stats().unstored, 0);
    let stored = spy.store();
    let found = memolock::Backend::get(stored, &key(&likes, "b"))
        .await
        .unwrap();
    assert!(found.is_some());
}
