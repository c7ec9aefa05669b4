//! Bulk: large values, and many keys at once.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use memolock_core::{Acquired, Fulfilled, Notice, PutMode};
use tokio::task::JoinSet;

use super::case::{Stop, Verdict, cases, ensure, equal};
use super::trial::{LEASE, TTL, Trial, bytes, token};

cases!("bulk":
    a_value_of_a_mebibyte,
    a_value_of_sixteen_mebibytes,
    ten_thousand_ids_at_once,
    a_thousand_listeners,
);

const MEBIBYTE: usize = 1024 * 1024;

async fn a_value_of_a_mebibyte(t: &Trial) -> Verdict {
    large(t, MEBIBYTE).await
}

async fn a_value_of_sixteen_mebibytes(t: &Trial) -> Verdict {
    large(t, 16 * MEBIBYTE).await
}

async fn large(t: &Trial, size: usize) -> Verdict {
    // No two blocks alike, so that one in the wrong place is found out.
    let value: Bytes = (0..size).map(|n| ((n >> 12) ^ n) as u8).collect();
    let key = t.key("a");
    let mut ear = t.listen_by(&*t.peer, &key).await?;
    let ours = t.take(&key).await?;
    let fulfilled = t.store.fulfil(&key, ours, value.clone(), TTL).await?;
    equal!(fulfilled, Fulfilled::Stored, "fulfil with {size} bytes");
    ear.hears_large(&value).await?;
    let found = t.peer.get(&key).await?;
    ensure!(
        found.as_ref() == Some(&value),
        "a get of {size} bytes gives others"
    );
    let acquired = t.peer.acquire(&key, token(), LEASE).await?;
    ensure!(
        acquired == Acquired::Value(value.clone()),
        "acquire of {size} bytes gives others"
    );
    let seen = t.inspect(&key).await?.value.map(|value| value.bytes);
    equal!(seen, Some(size as u64), "the length that inspect tells");
    let put = t.store.put(&key, value.slice(1..), TTL, PutMode::Override);
    put.await?;
    ear.hears_large(&value.slice(1..)).await?;
    // Nothing so large stays.
    t.store.invalidate(&key).await?;
    ear.hears_notice(Notice::Invalidated).await
}

async fn ten_thousand_ids_at_once(t: &Trial) -> Verdict {
    let mut tasks = JoinSet::new();
    for n in 0..10_000 {
        let (client, key) = (Arc::clone(&t.store), t.key(&n.to_string()));
        tasks.spawn(async move {
            let (ours, value) = (token(), bytes(&n.to_string()));
            let acquired = client.acquire(&key, ours, LEASE).await?;
            equal!(acquired, Acquired::Granted, "acquire of id {n}");
            let fulfilled = client.fulfil(&key, ours, value.clone(), TTL).await?;
            equal!(fulfilled, Fulfilled::Stored, "fulfil of id {n}");
            equal!(client.get(&key).await?, Some(value), "a get of id {n}");
            Verdict::Ok(())
        });
    }
    while let Some(run) = tasks.join_next().await {
        run.map_err(|error| Stop::failed(error.to_string()))??;
    }
    Ok(())
}

async fn a_thousand_listeners(t: &Trial) -> Verdict {
    let keys: Vec<_> = (0..1000).map(|n| t.key(&n.to_string())).collect();
    let listens = keys.iter().map(|key| t.listen_by(&*t.peer, key));
    let mut ears = try_join_all(listens).await?;
    try_join_all(keys.iter().map(|key| t.put(key, key.id()))).await?;
    for (key, ear) in keys.iter().zip(&mut ears) {
        ear.hears_value(key.id()).await?;
    }
    Ok(())
}
