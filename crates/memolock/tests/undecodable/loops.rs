//! A codec that cannot read what it wrote itself costs one compute a call, and never a loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use memolock::codec::{Codec, CodecError};
use memolock::{Memolock, NearCache, Source};

use super::{GARBAGE, SECOND};
use crate::common::{Spy, builder, settle};

/// Writes the same bytes for every value, and reads none.
struct WriteOnly;

impl Codec<String> for WriteOnly {
    fn encode(&self, _: &String) -> Result<Bytes, CodecError> {
        Ok(GARBAGE)
    }
    fn decode(&self, _: &Bytes) -> Result<String, CodecError> {
        Err(CodecError::decode("write-only", "as ever"))
    }
    fn name(&self) -> &'static str {
        "write-only"
    }
}

type Likes = Memolock<String, WriteOnly>;

async fn compute(likes: &Likes, computes: &AtomicUsize) -> Source {
    let work = |_| async {
        computes.fetch_add(1, SeqCst);
        tokio::time::sleep(SECOND).await;
        Ok::<_, String>("made".to_owned())
    };
    let memo = likes.entry("kristoff").or_compute(work).await.unwrap();
    assert_eq!(memo.as_str(), "made");
    memo.source()
}

#[tokio::test(start_paused = true)]
async fn each_call_computes_once() {
    let spy = Spy::new();
    let likes = builder(&spy).codec(WriteOnly).build().await.unwrap();
    let computes = AtomicUsize::new(0);
    for call in 1..=3 {
        assert_eq!(compute(&likes, &computes).await, Source::Computed);
        // A probe, a try over the bytes, a fulfil.
        assert_eq!((computes.load(SeqCst), spy.total()), (call, 3 * call));
    }
    assert_eq!(likes.stats().undecodable, 2);
}

#[tokio::test(start_paused = true)]
async fn each_process_of_a_fleet_that_waits_computes_once() {
    const FLEET: usize = 5;
    let spy = Spy::new();
    let computes = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..FLEET {
        let likes = builder(&spy).codec(WriteOnly).build().await.unwrap();
        for _ in 0..3 {
            let (likes, computes) = (likes.clone(), Arc::clone(&computes));
            tasks.push(tokio::spawn(
                async move { compute(&likes, &computes).await },
            ));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(computes.load(SeqCst), FLEET);
    settle("no subscription left", || {
        use memolock::core::Backend;
        spy.stats().subscriptions == 0
    })
    .await;
}

/// What was stored here is served here, until it is read back.
#[tokio::test(start_paused = true)]
async fn a_near_cache_of_such_a_codec_comes_to_rest() {
    let spy = Spy::new();
    let near = builder(&spy)
        .codec(WriteOnly)
        .near_cache(NearCache::entries(10));
    let likes = near.build().await.unwrap();
    settle("it hears", || {
        likes.stats().near.coherence == memolock::Coherence::Live
    })
    .await;
    let computes = AtomicUsize::new(0);
    compute(&likes, &computes).await;
    settle("it is read back", || likes.stats().near.read_backs == 1).await;
    tokio::time::sleep(SECOND).await;
    let stats = likes.stats();
    assert_eq!(
        (stats.near.entries, stats.near.read_backs, stats.undecodable),
        (0, 1, 1)
    );
    assert_eq!(computes.load(SeqCst), 1);
}
