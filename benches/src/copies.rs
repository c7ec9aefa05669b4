//! What a copy in the near cache weighs besides its value.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use memolock::codec::Text;
use memolock::{Coherence, Memolock, NearCache};

use crate::adapter::Adapter;
use crate::hits::TTL;
use crate::weight::{Meter, Weight, resident};

/// Ids that are asked for together.
const CHUNK: usize = 1_000;

/// How long the near cache may take to hear of changes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fills a near cache with so many copies of empty values, whose ids have a dozen bytes, and reads the meters before
/// and after. [`Weight::bare`] is what as many shared empty values weigh by themselves.
///
/// # Errors
/// If the server fails, or the near cache does not take them all.
pub async fn weigh(copies: u32, url: &str, meter: Meter) -> Result<Weight> {
    let ids: Vec<String> = (0..copies).map(|id| format!("copied-{id:05}")).collect();
    let backend = Adapter::RedisRs.connect(url).await?;
    let plain = Memolock::<String>::builder("copies", Arc::clone(&backend));
    let plain = plain.codec(Text).ttl(TTL).build().await?;
    let empty = String::new();
    for chunk in ids.chunks(CHUNK) {
        let puts = chunk.iter().map(|id| plain.put(id, &empty));
        futures_util::future::try_join_all(puts).await?;
    }
    let room = NearCache::entries(u64::from(copies) * 2).max_age(TTL);
    let near = Memolock::<String>::builder("copies", backend).codec(Text);
    let near = near.ttl(TTL).near_cache(room).build().await?;
    let began = Instant::now();
    while near.stats().near.coherence != Coherence::Live {
        ensure!(began.elapsed() < PATIENCE, "the near cache stays deaf");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // What a first call sets up is not a copy's.
    look(&near, &ids[..CHUNK]).await?;
    let (before, resident_before) = (meter(), resident()?);
    let had = near.stats().near.entries;
    for chunk in ids[CHUNK..].chunks(CHUNK) {
        look(&near, chunk).await?;
    }
    let (allocated, resident) = (meter() - before, resident()? - resident_before);
    let came = near.stats().near.entries - had;
    ensure!(
        came == u64::from(copies) - CHUNK as u64,
        "{came} more copies came, not {copies}"
    );
    Ok(Weight {
        allocated,
        resident,
        bare: bare(came, meter),
    })
}

async fn look(near: &Memolock<String, Text>, ids: &[String]) -> Result<()> {
    let found = near.get_many(ids.iter().cloned()).await.into_result()?;
    ensure!(found.iter().all(Option::is_some), "a value is not there");
    Ok(())
}

fn bare(copies: u64, meter: Meter) -> i64 {
    let before = meter();
    let values: Vec<Arc<String>> = (0..copies).map(|_| Arc::new(String::new())).collect();
    let list = size_of::<Arc<String>>() * values.capacity();
    meter() - before - list as i64
}
