//! One caller at a time, by both policies.

use memolock::codec::{Codec, CodecError, Json};
use memolock::core::Operation;
use memolock::{Memolock, NearCache, Source, UndecodablePolicy};

use super::{GARBAGE, MINUTE, is_codec, scribble};
use crate::common::{Log, Spy, builder, never, process, settle, value};

#[tokio::test(start_paused = true)]
async fn undecodable_bytes_are_none_to_get() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    scribble(&spy, &likes, "kristoff", GARBAGE).await;
    assert!(likes.get("kristoff").await.unwrap().is_none());
    let stats = likes.stats();
    assert_eq!((stats.undecodable, stats.hits, stats.misses), (1, 0, 1));
    assert_eq!(stats.stale, 0);
}

#[tokio::test(start_paused = true)]
async fn undecodable_bytes_are_computed_again_under_a_lease_and_replaced() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    scribble(&spy, &likes, "kristoff", GARBAGE).await;
    let compute = async |lease: memolock::Lease| {
        assert!(lease.is_held());
        value("three").await
    };
    let computed = likes.entry("kristoff").or_compute(compute).await.unwrap();
    assert_eq!(
        (computed.as_str(), computed.source()),
        ("three", Source::Computed)
    );
    // A probe, a try over the bytes, a fulfil.
    assert_eq!(spy.total(), 3);
    let elsewhere = process(&spy).await;
    let hit = elsewhere
        .entry("kristoff")
        .or_compute(|_| never())
        .await
        .unwrap();
    assert_eq!((hit.as_str(), hit.source()), ("three", Source::Hit));
    let stats = likes.stats();
    assert_eq!((stats.undecodable, stats.hits, stats.computes), (1, 0, 1));
}

/// A value that comes between the probe and the try is seen, and so are other bytes that cannot be decoded.
#[tokio::test(start_paused = true)]
async fn what_a_peer_puts_meanwhile_is_not_passed_over_unseen() {
    let spy = Spy::new();
    let (likes, peer) = (process(&spy).await, process(&spy).await);
    for last in [true, false] {
        scribble(&spy, &likes, "kristoff", GARBAGE).await;
        let probed = spy.count(Operation::Get);
        spy.tamper(Operation::Get, crate::common::Fault::Late(super::SECOND));
        let asking = tokio::spawn({
            let likes = likes.clone();
            async move {
                likes
                    .entry("kristoff")
                    .or_compute(|_| value("ours"))
                    .await
                    .unwrap()
            }
        });
        spy.called(Operation::Get, probed + 1).await;
        tokio::task::yield_now().await;
        match last {
            true => peer.put("kristoff", &"theirs".into()).await.unwrap(),
            false => scribble(&spy, &likes, "kristoff", super::OTHER_GARBAGE).await,
        }
        let expected = if last { "theirs" } else { "ours" };
        assert_eq!(asking.await.unwrap().as_str(), expected);
        peer.invalidate("kristoff").await.unwrap();
    }
    assert_eq!(likes.stats().undecodable, 3);
}

/// A codec is the user's code, and bytes can make it panic.
struct Panics;

impl Codec<String> for Panics {
    fn encode(&self, value: &String) -> Result<bytes::Bytes, CodecError> {
        Codec::<String>::encode(&Json, value)
    }
    fn decode(&self, bytes: &bytes::Bytes) -> Result<String, CodecError> {
        match *bytes == GARBAGE {
            true => panic!("a codec that panics"),
            false => Json.decode(bytes),
        }
    }
    fn name(&self) -> &'static str {
        "panics"
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_make_the_codec_panic_are_none_too() {
    let spy = Spy::new();
    let likes = builder(&spy).codec(Panics).build().await.unwrap();
    let plain = process(&spy).await;
    scribble(&spy, &plain, "kristoff", GARBAGE).await;
    assert!(likes.get("kristoff").await.unwrap().is_none());
    let got = likes.get_or_compute("kristoff", |_| value("three")).await;
    assert_eq!(*got.unwrap(), "three");
    assert_eq!(likes.stats().undecodable, 2);
}

#[tokio::test(start_paused = true)]
async fn by_the_other_policy_they_are_an_error_that_is_counted_and_no_hit() {
    let spy = Spy::new();
    let fail = builder(&spy).on_undecodable(UndecodablePolicy::Fail);
    let likes = fail.build().await.unwrap();
    scribble(&spy, &likes, "kristoff", GARBAGE).await;
    assert!(is_codec(&likes.get("kristoff").await));
    assert!(is_codec(
        &likes.get_or_compute("kristoff", |_| never()).await
    ));
    let many = likes.get_many(["kristoff"]).await.into_result();
    assert!(is_codec(&many));
    let stats = likes.stats();
    assert_eq!((stats.undecodable, stats.hits, stats.computes), (3, 0, 0));
    likes.put("kristoff", &"three".into()).await.unwrap();
    assert_eq!(
        likes.get("kristoff").await.unwrap().as_deref().unwrap(),
        "three"
    );
}

/// A probe whose answer was lost is sent again by the driver, which must not count a hit either.
#[tokio::test(start_paused = true)]
async fn an_error_that_is_found_at_the_second_probe_is_no_hit() {
    use memolock::core::ErrorKind;
    let spy = Spy::new();
    let fail = builder(&spy).on_undecodable(UndecodablePolicy::Fail);
    let likes = fail.build().await.unwrap();
    scribble(&spy, &likes, "kristoff", GARBAGE).await;
    let lost = crate::common::Fault::LosesReply(ErrorKind::Unavailable);
    spy.tamper(Operation::Get, lost);
    assert!(is_codec(
        &likes.get_or_compute("kristoff", |_| never()).await
    ));
    let stats = likes.stats();
    assert_eq!((stats.undecodable, stats.hits), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_near_copy_that_is_read_back_as_garbage_is_dropped_and_counted() {
    let spy = Spy::new();
    let near = builder(&spy).near_cache(NearCache::entries(10));
    let likes = near.build().await.unwrap();
    settle("it hears", || {
        likes.stats().near.coherence == memolock::Coherence::Live
    })
    .await;
    spy.wire().hold(true);
    likes.put("kristoff", &"three".into()).await.unwrap();
    assert_eq!(likes.stats().near.entries, 1);
    // A peer writes before the own put is heard of, so it is garbage that is read back.
    scribble(&spy, &likes, "kristoff", GARBAGE).await;
    spy.wire().hold(false);
    settle("it is read back", || likes.stats().near.read_backs == 1).await;
    let stats = likes.stats();
    assert_eq!((stats.near.entries, stats.undecodable), (0, 1));
    let got = likes
        .entry("kristoff")
        .or_compute(|_| value("four"))
        .await
        .unwrap();
    assert_eq!((got.as_str(), got.source()), ("four", Source::Computed));
}

#[tokio::test(start_paused = true)]
async fn undecodable_values_are_one_warning_a_minute_for_a_tag() {
    let log = Log::begin();
    let spy = Spy::new();
    let tag = |policy| {
        let builder = Memolock::<String>::builder("logged-once", spy.clone());
        builder.on_undecodable(policy).build()
    };
    let (likes, other) = (
        tag(UndecodablePolicy::Recompute).await.unwrap(),
        tag(UndecodablePolicy::Fail).await.unwrap(),
    );
    let warnings = || log.warnings("cannot be decoded");
    for id in ["secret-a", "b", "c"] {
        scribble(&spy, &likes, id, GARBAGE).await;
        assert!(likes.get(id).await.unwrap().is_none());
        assert!(is_codec(&other.get(id).await));
    }
    let lines = warnings();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "WARN",
        "logged-once:secret-a",
        "tag=logged-once",
        "counts as none",
    ] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
    tokio::time::advance(MINUTE).await;
    scribble(&spy, &likes, "d", GARBAGE).await;
    assert!(is_codec(&other.get("d").await));
    let lines = warnings();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[1].contains("unlogged=5") && lines[1].contains("get an error"),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn undecodable_values_of_two_tags_are_two_warnings_in_a_minute() {
    let log = Log::begin();
    let spy = Spy::new();
    let warnings = |tag| log.warnings(&format!("tag={tag}")).len();
    let tag = |tag: &str| Memolock::<String>::builder(tag, spy.clone()).build();
    let (one, other) = (
        tag("one-tag").await.unwrap(),
        tag("other-tag").await.unwrap(),
    );
    for minute in 1..=3 {
        for id in ["a", "b"] {
            for likes in [&one, &other] {
                scribble(&spy, likes, id, GARBAGE).await;
                assert!(likes.get(id).await.unwrap().is_none());
            }
        }
        assert_eq!(
            (warnings("one-tag"), warnings("other-tag")),
            (minute, minute)
        );
        tokio::time::advance(MINUTE).await;
    }
}
