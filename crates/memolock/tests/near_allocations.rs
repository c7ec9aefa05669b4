//! A hit in the near cache allocates nothing.
#![allow(clippy::unwrap_used)]

mod common;

use std::alloc::System;

use common::{Spy, builder, never, settle};
use memolock::{Coherence, NearCache};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

// One test, since whatever runs beside it would be counted too.
#[tokio::test]
async fn a_hit_allocates_nothing() {
    let spy = Spy::new();
    let cache = NearCache::entries(100);
    let likes = builder(&spy).near_cache(cache).build().await.unwrap();
    settle("it hears", || {
        likes.stats().near.coherence == Coherence::Live
    })
    .await;
    likes.put("k", &"value".to_owned()).await.unwrap();
    settle("it is confirmed", || likes.stats().near.read_backs == 1).await;
    likes.get("k").await.unwrap();

    let region = Region::new(ALLOCATOR);
    for _ in 0..100 {
        likes.get("k").await.unwrap().unwrap();
        likes.get_or_compute("k", |_| never()).await.unwrap();
        likes.entry("k").or_compute(|_| never()).await.unwrap();
    }
    let change = region.change();
    assert_eq!(change.allocations + change.reallocations, 0, "{change:?}");
    assert_eq!(likes.stats().near.hits, 301);
}
