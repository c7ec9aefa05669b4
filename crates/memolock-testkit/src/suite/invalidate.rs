//! Invalidating: value and lock are gone, and listeners hear of it whether or not there was anything.

use std::time::Duration;

use futures_util::future::try_join;
use memolock_core::{Acquired, Notice, PutMode};

use super::case::{Verdict, cases, equal};
use super::trial::{LEASE, TTL, Trial, bytes, token};

cases!("invalidate":
    value_and_lock_are_gone,
    listeners_are_told,
    listeners_are_told_where_there_was_nothing,
    who_is_told_finds_nothing,
    other_keys_stay,
    the_key_can_be_used_again,
);

async fn value_and_lock_are_gone(t: &Trial) -> Verdict {
    let (value, lock, both) = (t.key("value"), t.key("lock"), t.key("both"));
    t.put(&value, "v").await?;
    t.take(&lock).await?;
    t.take(&both).await?;
    let resolve = t.store.put(&both, bytes("v"), TTL, PutMode::Resolve);
    resolve.await?;
    for key in [&value, &lock, &both] {
        t.store.invalidate(key).await?;
        t.holds(key, None).await?;
        t.unlocked(key).await?;
        let acquired = t.peer.acquire(key, token(), LEASE).await?;
        equal!(
            acquired,
            Acquired::Granted,
            "acquire after the invalidation of {key}"
        );
    }
    Ok(())
}

async fn listeners_are_told(t: &Trial) -> Verdict {
    let key = t.key("a");
    t.put(&key, "v").await?;
    let mut ears = [t.listen(&key).await?, t.listen_by(&*t.peer, &key).await?];
    t.store.invalidate(&key).await?;
    for ear in &mut ears {
        ear.hears_notice(Notice::Invalidated).await?;
    }
    t.silent(&key, &mut ears[0]).await
}

async fn listeners_are_told_where_there_was_nothing(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut ear = t.listen(&key).await?;
    for _ in 0..3 {
        t.peer.invalidate(&key).await?;
        ear.hears_notice(Notice::Invalidated).await?;
    }
    Ok(())
}

async fn who_is_told_finds_nothing(t: &Trial) -> Verdict {
    for round in 0..20 {
        let key = t.key(&round.to_string());
        t.take(&key).await?;
        let resolve = t.store.put(&key, bytes("v"), TTL, PutMode::Resolve);
        resolve.await?;
        let mut ear = t.listen_by(&*t.peer, &key).await?;
        let listener = async {
            ear.hears_notice(Notice::Invalidated).await?;
            let acquired = t.peer.acquire(&key, token(), LEASE).await?;
            equal!(acquired, Acquired::Granted, "acquire by who was told");
            Ok(())
        };
        let other = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(t.store.invalidate(&key).await?)
        };
        try_join(listener, other).await?;
    }
    Ok(())
}

async fn other_keys_stay(t: &Trial) -> Verdict {
    let beside = [t.key("ab"), t.key("A"), t.key("b"), t.key("a*")];
    let mut tokens = Vec::new();
    for key in &beside {
        tokens.push(t.take(key).await?);
        let resolve = t.store.put(key, bytes("v"), TTL, PutMode::Resolve);
        resolve.await?;
    }
    t.store.invalidate(&t.key("a")).await?;
    for (key, token) in beside.iter().zip(tokens) {
        t.holds(key, Some("v")).await?;
        t.locked_by(key, token).await?;
    }
    Ok(())
}

async fn the_key_can_be_used_again(t: &Trial) -> Verdict {
    let key = t.key("a");
    for round in ["1", "2", "3"] {
        let token = t.take(&key).await?;
        t.fulfil(&key, token, round).await?;
        t.holds(&key, Some(round)).await?;
        t.store.invalidate(&key).await?;
        t.holds(&key, None).await?;
    }
    Ok(())
}
