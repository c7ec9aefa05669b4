//! Many ids in one call.

use std::sync::Mutex;

use memolock::core::Operation;
use memolock::{Error, Source};

use super::{GARBAGE, OTHER_GARBAGE, SECOND, scribble};
use crate::common::{Fault, Spy, nothing_left, process};

const IDS: [&str; 3] = ["anna", "olaf", "sven"];

#[tokio::test(start_paused = true)]
async fn get_many_finds_none_where_bytes_cannot_be_decoded() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    likes.put("anna", &"three".into()).await.unwrap();
    scribble(&spy, &likes, "olaf", GARBAGE).await;
    let found = likes.get_many(IDS).await.into_result().unwrap();
    assert_eq!(found[0].as_deref().unwrap(), "three");
    assert!(found[1].is_none() && found[2].is_none());
    let stats = likes.stats();
    assert_eq!((stats.undecodable, stats.hits, stats.misses), (1, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn all_undecodable_ids_of_a_call_are_one_compute_and_are_replaced() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    scribble(&spy, &likes, "anna", GARBAGE).await;
    scribble(&spy, &likes, "olaf", OTHER_GARBAGE).await;
    let batches = Mutex::new(Vec::new());
    let compute = async |ids: Vec<String>| {
        batches.lock().unwrap().push(ids.clone());
        Ok::<_, String>(ids.into_iter().map(|id| (id, "made".to_owned())))
    };
    let all = likes
        .get_or_compute_many(IDS, compute)
        .await
        .into_result()
        .unwrap();
    assert!(all.iter().all(|memo| memo.source() == Source::Computed));
    assert_eq!(batches.lock().unwrap().concat().len(), 3);
    let found = likes.get_many(IDS).await.into_result().unwrap();
    assert!(found.iter().all(|memo| memo.as_deref().unwrap() == "made"));
    assert_eq!(likes.stats().undecodable, 2);
    nothing_left(&spy, &[&likes]).await;
}

/// They come after the look, so the tries for many leases find them, which know of no bytes to pass over.
#[tokio::test(start_paused = true)]
async fn bytes_that_come_between_the_look_and_the_tries_are_passed_over_too() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Get, Fault::Late(SECOND));
    let asking = tokio::spawn({
        let likes = likes.clone();
        async move {
            let compute = async |ids: Vec<String>| {
                Ok::<_, String>(ids.into_iter().map(|id| (id, "made".to_owned())))
            };
            likes.get_or_compute_many(IDS, compute).await
        }
    });
    spy.called(Operation::Get, 1).await;
    tokio::task::yield_now().await;
    for id in IDS {
        scribble(&spy, &likes, id, GARBAGE).await;
    }
    let all: Result<Vec<_>, Error> = asking.await.unwrap().into_result();
    assert!(
        all.unwrap()
            .iter()
            .all(|memo| memo.source() == Source::Computed)
    );
    assert_eq!(likes.stats().undecodable, 3);
    nothing_left(&spy, &[&likes]).await;
}
