//! A codec that writes what it cannot read back is found, once, and no value is refused for it.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{HashMap, HashSet};
use std::io;

use common::{Log, Spy};
use memolock::codec::{Codec, Json};
use memolock::{Builder, Memolock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Stores each value by a compute and by a put, under a tag of its own. The warnings, and how many values are stored.
async fn warnings<T, C>(
    tag: &str,
    values: Vec<T>,
    set: impl FnOnce(Builder<T>) -> Builder<T, C>,
) -> (Vec<String>, usize)
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    C: Codec<T>,
{
    let log = Log::begin();
    let builder = Memolock::builder(tag, Spy::new());
    let checked = set(builder).build().await.unwrap();
    let mut stored = 0;
    for (nth, value) in values.into_iter().enumerate() {
        let (computed, put) = (format!("computed {nth}"), format!("put {nth}"));
        checked.put(&put, &value).await.unwrap();
        let compute = |_| async { Ok::<_, io::Error>(value) };
        checked.get_or_compute(&computed, compute).await.unwrap();
        for id in [computed, put] {
            let found = checked.inspect(&id).await.unwrap();
            stored += usize::from(found.value.is_some());
        }
    }
    assert_eq!(checked.stats().unstored, 0);
    checked.close().await;
    (log.warnings(""), stored)
}

#[tokio::test]
async fn a_value_that_does_not_come_back_is_logged_once_and_stored() {
    let lost = vec![Some(f64::NAN), Some(f64::INFINITY)];
    let (warned, stored) = warnings("another", lost, |builder| builder.check_codec(true)).await;
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(
        warned[0].contains("tag=another") && warned[0].contains("another value"),
        "{warned:?}"
    );
    assert_eq!(stored, 4);
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_logged_once_and_stored() {
    let lost = vec![f64::NAN, f64::NEG_INFINITY];
    let (warned, stored) = warnings("unreadable", lost, |builder| builder.check_codec(true)).await;
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("does not read it back"), "{warned:?}");
    assert_eq!(stored, 4);
}

#[tokio::test]
async fn sound_values_are_logged_never_and_maps_and_sets_are_sound() {
    let sets = |n: u32| -> HashMap<String, HashSet<u32>> {
        (0..50)
            .map(|id| (id.to_string(), (0..n).collect()))
            .collect()
    };
    let (warned, stored) = warnings("sets", vec![sets(1), sets(40)], |b| b.check_codec(true)).await;
    assert_eq!((warned.len(), stored), (0, 4), "{warned:?}");
}

/// Tests are built with debug assertions.
#[tokio::test]
async fn the_check_is_on_in_debug_builds_and_a_switch_turns_it_off() {
    let (warned, _) = warnings("default", vec![Some(f64::NAN)], |builder| builder).await;
    assert_eq!(
        warned.len(),
        usize::from(cfg!(debug_assertions)),
        "{warned:?}"
    );
    let (warned, _) = warnings("off", vec![Some(f64::NAN)], |builder| {
        builder.check_codec(false)
    })
    .await;
    assert_eq!(warned.len(), 0, "{warned:?}");
}

#[tokio::test]
async fn large_values_are_not_checked() {
    let large = vec![vec![Some(f64::NAN); 300_000]];
    let (warned, stored) = warnings("large", large, |builder| builder.check_codec(true)).await;
    assert_eq!((warned.len(), stored), (0, 2), "{warned:?}");
}

type Lossy = Memolock<Option<f64>>;

async fn lossy(tag: &str) -> Lossy {
    let builder = Memolock::builder(tag, Spy::new()).check_codec(true);
    builder.build().await.unwrap()
}

/// JSON gives `None` back for it.
const LOST: Option<f64> = Some(f64::NAN);

#[tokio::test]
async fn memolocks_of_one_tag_are_one_warning_and_two_tags_are_two() {
    let log = Log::begin();
    let (one, other) = (lossy("shared").await, lossy("shared").await);
    for likes in [&one, &other, &one] {
        likes.put("a", &LOST).await.unwrap();
    }
    drop((one, other));
    lossy("shared").await.put("a", &LOST).await.unwrap();
    assert_eq!(log.warnings("tag=shared").len(), 1, "{}", log.text());
    lossy("apart").await.put("a", &LOST).await.unwrap();
    assert_eq!(log.warnings("tag=apart").len(), 1, "{}", log.text());
    assert_eq!(log.warnings("").len(), 2);
}

#[tokio::test]
async fn values_of_a_call_for_many_are_checked() {
    let log = Log::begin();
    let likes = lossy("many").await;
    let compute = |ids: Vec<String>| async move {
        let all = ids.into_iter().map(|id| (id, LOST));
        Ok::<Vec<_>, io::Error>(all.collect())
    };
    let many = likes.get_or_compute_many(["a", "b"], compute).await;
    for got in many.into_result().unwrap() {
        assert!(got.is_some_and(f64::is_nan), "its caller has the value");
    }
    assert_eq!(log.warnings("tag=many").len(), 1, "{}", log.text());
    assert_eq!(likes.stats().unstored, 0);
}

/// What formats keep, in an order that differs from value to value.
#[derive(Clone, Serialize, Deserialize)]
struct Profile {
    by_name: HashMap<String, HashSet<u32>>,
    by_number: HashMap<u64, Option<String>>,
    words: HashSet<String>,
    nick: Option<String>,
    score: Option<f64>,
    zero: f64,
}

impl Profile {
    fn new(number: f64) -> Self {
        let words = || (0..40).map(|n| format!("word {n}"));
        Self {
            by_name: words().map(|word| (word, (0..40).collect())).collect(),
            by_number: (0..40)
                .map(|n| (n, (n % 2 == 0).then(String::new)))
                .collect(),
            words: words().collect(),
            nick: None,
            score: Some(number),
            zero: -0.0,
        }
    }

    /// JSON has no NaN and no infinities.
    fn finite() -> Vec<Self> {
        [0.1 + 0.2, f64::MIN_POSITIVE, f64::MAX, 5e-324]
            .map(Self::new)
            .into()
    }

    fn any() -> Vec<Self> {
        let odd = [f64::NAN, -f64::NAN, f64::INFINITY].map(Self::new);
        Self::finite().into_iter().chain(odd).collect()
    }
}

#[tokio::test]
async fn sound_structs_are_logged_never_by_any_codec() {
    use memolock::codec::Versioned;
    let json = warnings("json", Profile::finite(), |b| b.check_codec(true)).await;
    assert_eq!(json, (vec![], 8));
    let set = |b: Builder<Profile>| b.codec(Versioned::new(Json, 7)).check_codec(true);
    let versioned = warnings("versioned", Profile::finite(), set).await;
    assert_eq!(versioned, (vec![], 8));
}

#[cfg(all(feature = "msgpack", feature = "postcard", feature = "bincode"))]
#[tokio::test]
async fn sound_structs_are_logged_never_by_binary_codecs() {
    use memolock::codec::{Bincode, MsgPack, Postcard, Versioned};
    let set = |b: Builder<Profile>| b.codec(MsgPack).check_codec(true);
    assert_eq!(warnings("msgpack", Profile::any(), set).await, (vec![], 14));
    let set = |b: Builder<Profile>| b.codec(Postcard).check_codec(true);
    assert_eq!(
        warnings("postcard", Profile::any(), set).await,
        (vec![], 14)
    );
    let set = |b: Builder<Profile>| b.codec(Bincode).check_codec(true);
    assert_eq!(warnings("bincode", Profile::any(), set).await, (vec![], 14));
    let set = |b: Builder<Profile>| b.codec(Versioned::new(Postcard, 2)).check_codec(true);
    let versioned = warnings("versioned-postcard", Profile::any(), set).await;
    assert_eq!(versioned, (vec![], 14));
}

#[cfg(all(feature = "lz4", feature = "zstd", feature = "msgpack"))]
#[tokio::test]
async fn sound_structs_are_logged_never_when_they_are_compressed() {
    use memolock::codec::{Algorithm, Compressed, MsgPack};
    for (tag, algorithm) in [("lz4", Algorithm::Lz4), ("zstd", Algorithm::zstd())] {
        let codec = Compressed::new(MsgPack, algorithm);
        let set = |b: Builder<Profile>| b.codec(codec).check_codec(true);
        assert_eq!(warnings(tag, Profile::any(), set).await, (vec![], 14));
    }
}

/// A field that is left out on purpose is not lost.
#[tokio::test]
async fn fields_that_are_not_serialized_are_no_loss() {
    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Partly {
        name: String,
        #[serde(skip)]
        seen: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nick: Option<String>,
    }
    let partly = Partly {
        seen: 7,
        ..Partly::default()
    };
    assert_eq!(partly.seen, 7);
    let partly = warnings("partly", vec![partly], |b| b.check_codec(true)).await;
    assert_eq!(partly, (vec![], 2));
}
