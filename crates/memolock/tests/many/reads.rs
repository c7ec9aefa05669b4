//! Many ids that are only looked at, and values of another version.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use memolock::codec::{Json, Versioned};
use memolock::core::{ErrorKind, Operation, PutMode};
use memolock::{Backend, Error, Memolock, Source};

use crate::batches::{Batches, each};
use crate::common::{Fault, SECOND, Spy, builder, key, nothing_left, process};

#[tokio::test(start_paused = true)]
async fn a_look_is_one_call_and_waits_for_nobody() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    likes.put("b", &"there".to_owned()).await.unwrap();
    let before = spy.total();
    let found = likes.get_many(["a", "b", "b"]).await.into_result().unwrap();
    assert!(found[0].is_none());
    let b = found[1].as_ref().unwrap();
    assert_eq!((&***b, b.source()), ("there", Source::Hit));
    assert_eq!(found[2].as_ref().unwrap().as_str(), "there");
    assert_eq!(spy.total(), before + 1);
    let stats = likes.stats();
    assert_eq!((stats.hits, stats.misses), (1, 1));
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_for_again_and_no_answer_is_a_time_out() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Get, Fault::Fails(ErrorKind::Unavailable));
    assert!(likes.get_many(["a"]).await.into_result().is_ok());
    assert_eq!(spy.count(Operation::Get), 2);
    spy.tamper(Operation::Get, Fault::HangsBefore);
    let late = likes.entries(["a", "b"]).wait_timeout(SECOND).get().await;
    assert!(
        late.iter()
            .all(|(_, found)| matches!(found, Err(Error::Timeout { .. })))
    );
    assert_eq!(likes.stats().timeouts, 2);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_value_are_the_error_of_their_id_where_that_is_wanted() {
    let spy = Spy::new();
    let fail = builder(&spy).on_undecodable(memolock::UndecodablePolicy::Fail);
    let likes = fail.build().await.unwrap();
    let key = key(&likes, "a");
    let put = spy.store().put(
        &key,
        Bytes::from_static(b"\xff"),
        60 * SECOND,
        PutMode::Override,
    );
    put.await.unwrap();
    let all = likes.get_or_compute_many(["a", "b"], each).await;
    assert!(
        matches!(all.get("a"), Some(Err(Error::Codec { .. }))),
        "{all:?}"
    );
    assert!(all.get("b").unwrap().is_ok());
    let found = likes.get_many(["a"]).await;
    assert!(matches!(found.get("a"), Some(Err(Error::Codec { .. }))));
}

async fn release(spy: &Spy, version: u32) -> Memolock<String, Versioned<Json>> {
    let builder = Memolock::builder("likes", spy.clone()).codec(Versioned::new(Json, version));
    builder.ttl(60 * SECOND).build().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn values_of_another_version_are_computed_with_the_rest() {
    let spy = Spy::new();
    let (old, new) = (release(&spy, 1).await, release(&spy, 2).await);
    let ids = ["a", "b", "c"];
    old.get_or_compute_many(["a", "b"], each)
        .await
        .into_result()
        .unwrap();
    let read = new.get_many(ids).await.into_result().unwrap();
    assert!(read.iter().all(Option::is_none), "they count as none");
    let batches = Batches::default();
    let all = new.get_or_compute_many(ids, |ids| batches.run(ids)).await;
    assert_eq!(all.into_result().unwrap().len(), 3);
    let mut computed = batches.seen().concat();
    computed.sort_unstable();
    assert_eq!(computed, ids, "each once");
    assert!(
        new.get_many(ids)
            .await
            .into_result()
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
    assert_eq!(new.in_flight(), memolock::InFlight::default());
}
