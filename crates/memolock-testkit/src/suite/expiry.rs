//! Expiry in real time: short lives end, not before their time, and end nothing else.

use std::time::Duration;

use memolock_core::{Acquired, PutMode};
use tokio::time::Instant;

use super::case::{Verdict, cases, ensure, equal};
use super::trial::{BRIEF, LEASE, TTL, Trial, bytes, token};

cases!("expiry":
    a_put_value_expires,
    a_fulfilled_value_expires,
    a_lease_expires,
    an_expired_value_is_no_value,
    an_expired_lock_is_not_seen,
    a_value_outlives_its_lock,
    a_lock_outlives_its_value,
    expiry_tells_nobody,
);

/// The store's clock is not ours, and may tick coarsely: half the time is early beyond doubt.
fn not_early(what: &str, lived: Duration, ttl: Duration) -> Verdict {
    ensure!(
        lived >= ttl / 2,
        "{what} expired after {lived:?}, its time was {ttl:?}"
    );
    Ok(())
}

async fn a_put_value_expires(t: &Trial) -> Verdict {
    let (brief, long) = (t.key("brief"), t.key("long"));
    for mode in [PutMode::Override, PutMode::Resolve] {
        t.put(&long, "long").await?;
        let since = Instant::now();
        t.store.put(&brief, bytes("v"), BRIEF, mode).await?;
        let lived = t.until_gone(&brief, since).await?;
        not_early("a value", lived, BRIEF)?;
        t.holds(&brief, None).await?;
        t.holds(&long, Some("long")).await?;
    }
    Ok(())
}

async fn a_fulfilled_value_expires(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    let since = Instant::now();
    t.store.fulfil(&key, ours, bytes("v"), BRIEF).await?;
    not_early("a value", t.until_gone(&key, since).await?, BRIEF)
}

async fn a_lease_expires(t: &Trial) -> Verdict {
    let (brief, long) = (t.key("brief"), t.key("long"));
    let stays = t.take(&long).await?;
    let since = Instant::now();
    let acquired = t.peer.acquire(&brief, token(), BRIEF).await?;
    equal!(acquired, Acquired::Granted, "acquire");
    let lived = t.until_granted(&brief, token(), since).await?;
    not_early("a lease", lived, BRIEF)?;
    t.locked_by(&long, stays).await
}

async fn an_expired_value_is_no_value(t: &Trial) -> Verdict {
    let key = t.key("a");
    let since = Instant::now();
    t.store
        .put(&key, bytes("v"), BRIEF, PutMode::Override)
        .await?;
    t.until_gone(&key, since).await?;
    equal!(t.inspect(&key).await?.value, None, "inspect");
    let acquired = t.store.acquire(&key, token(), LEASE).await?;
    equal!(acquired, Acquired::Granted, "acquire");
    Ok(())
}

async fn an_expired_lock_is_not_seen(t: &Trial) -> Verdict {
    let (key, ours) = (t.key("a"), token());
    let since = Instant::now();
    t.store.acquire(&key, ours, BRIEF).await?;
    while t.inspect(&key).await?.lock.is_some() {
        ensure!(since.elapsed() < t.patience, "the lock did not expire");
        tokio::time::sleep(BRIEF / 10).await;
    }
    equal!(
        t.renew_one(&key, ours, LEASE).await?,
        false,
        "renewal of an expired lease"
    );
    t.unlocked(&key).await
}

async fn a_value_outlives_its_lock(t: &Trial) -> Verdict {
    let (key, ours) = (t.key("a"), token());
    let since = Instant::now();
    t.store.acquire(&key, ours, BRIEF).await?;
    t.store.put(&key, bytes("v"), TTL, PutMode::Resolve).await?;
    while t.inspect(&key).await?.lock.is_some() {
        ensure!(since.elapsed() < t.patience, "the lock did not expire");
        tokio::time::sleep(BRIEF / 10).await;
    }
    t.holds(&key, Some("v")).await
}

async fn a_lock_outlives_its_value(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    let since = Instant::now();
    t.store
        .put(&key, bytes("v"), BRIEF, PutMode::Resolve)
        .await?;
    t.until_gone(&key, since).await?;
    t.locked_by(&key, ours).await?;
    let held = t.store.acquire(&key, token(), LEASE).await?;
    ensure!(
        matches!(held, Acquired::Held(_)),
        "acquire of a held lock: {held:?}"
    );
    Ok(())
}

async fn expiry_tells_nobody(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut ear = t.listen(&key).await?;
    let since = Instant::now();
    t.store
        .put(&key, bytes("v"), BRIEF, PutMode::Override)
        .await?;
    ear.hears_value("v").await?;
    t.until_gone(&key, since).await?;
    t.store.acquire(&key, token(), BRIEF).await?;
    t.until_granted(&key, token(), since).await?;
    t.silent(&key, &mut ear).await
}
