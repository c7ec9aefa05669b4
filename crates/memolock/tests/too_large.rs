//! Values above `max_value_bytes`: their callers have them, they are not stored, and the log says so once.

#![allow(clippy::unwrap_used)]

mod common;

use bytes::Bytes;
use common::{Log, SECOND, Spy, builder, key, locked, nothing_left};
use memolock::codec::Raw;
use memolock::core::{Backend, Operation};
use memolock::{Memolock, Source};
use tokio::time::sleep;

/// A value of 26 bytes, with its quotes.
const SECRET: &str = "secret secret secret six";

/// A process that stores 10 bytes at most.
async fn small(spy: &Spy) -> Memolock<String> {
    builder(spy).max_value_bytes(10).build().await.unwrap()
}

async fn is_stored(spy: &Spy, likes: &Memolock<String>, id: &str) -> bool {
    let found = spy.store().get(&key(likes, id)).await;
    found.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_too_large_is_one_warning_without_the_value() {
    let log = Log::begin();
    let spy = Spy::new();
    let likes = small(&spy).await;
    let call = || {
        likes.get_or_compute("a", |_| async {
            sleep(SECOND).await;
            Ok::<_, String>(SECRET.to_owned())
        })
    };
    let (led, joined, again) = tokio::join!(call(), call(), call());
    for got in [led, joined, again] {
        assert_eq!(*got.unwrap(), SECRET);
    }
    nothing_left(&spy, &[&likes]).await;
    let warnings = log.warnings("");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for part in ["max_value_bytes", "key=likes:a", "bytes=26", "most=10"] {
        assert!(warnings[0].contains(part), "{part}: {warnings:?}");
    }
    assert!(!log.text().contains("secret"), "{}", log.text());
    assert_eq!((likes.stats().unstored, likes.stats().computes), (1, 1));
    assert_eq!(spy.count(Operation::Fulfil), 0);
}

#[tokio::test(start_paused = true)]
async fn others_of_a_call_for_many_are_stored() {
    let log = Log::begin();
    let spy = Spy::new();
    let likes = small(&spy).await;
    let compute = |ids: Vec<String>| async move {
        let value = |id: &str| if id == "b" { SECRET } else { "small" }.to_owned();
        let all = ids.into_iter().map(|id| (id.clone(), value(&id)));
        Ok::<Vec<(String, String)>, String>(all.collect())
    };
    let many = likes.get_or_compute_many(["a", "b", "c"], compute).await;
    let many: Vec<String> = many
        .iter()
        .map(|(_, got)| got.as_ref().unwrap().to_string())
        .collect();
    assert_eq!(many, ["small", SECRET, "small"]);
    nothing_left(&spy, &[&likes]).await;
    for (id, stored) in [("a", true), ("b", false), ("c", true)] {
        assert_eq!(is_stored(&spy, &likes, id).await, stored, "{id}");
        assert!(!locked(&spy, &likes, id).await, "{id}");
    }
    assert_eq!(likes.stats().unstored, 1);
    let warnings = log.warnings("");
    assert!(
        matches!(&warnings[..], [one] if one.contains("likes:b") && !one.contains("secret")),
        "{warnings:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn by_default_64_mib_are_stored_and_one_byte_more_is_not() {
    let spy = Spy::new();
    let likes: Memolock<Bytes, Raw> = Memolock::builder("likes", spy.clone())
        .codec(Raw)
        .build()
        .await
        .unwrap();
    for (id, more, stored) in [("most", 0, true), ("more", 1, false)] {
        let value = Bytes::from(vec![0; (64 << 20) + more]);
        let compute = |_| async { Ok::<_, String>(value.clone()) };
        let memo = likes.entry(id).or_compute(compute).await.unwrap();
        assert_eq!((memo.len(), memo.source()), (value.len(), Source::Computed));
        let key = likes.keyspace().key(id).unwrap();
        let found = spy.store().get(&key).await.unwrap();
        assert_eq!(found.map(|found| found.len()), stored.then_some(64 << 20));
        assert_eq!(likes.stats().unstored, more as u64);
    }
}
