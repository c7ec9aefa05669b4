//! Fulfilling: value, unlocking and telling as one step, fenced by the token.

use std::sync::Arc;

use memolock_core::{Acquired, BackendError, Fulfilled, Key, PutMode};
use tokio::task::JoinHandle;

use super::case::{Stop, Verdict, cases, equal};
use super::trial::{BRIEF, LEASE, TTL, Trial, bytes, token, within};

cases!("fulfil":
    it_stores_unlocks_and_tells,
    it_stores_for_the_ttl,
    it_overwrites_an_older_value,
    a_foreign_token_changes_nothing,
    without_a_lock_nothing_changes,
    a_lease_is_fulfilled_once,
    r4_an_expired_lease_is_lost,
    r4_a_put_fences_it_off,
    r4_an_invalidation_fences_it_off,
    who_is_told_finds_the_value,
    who_is_told_finds_no_lock,
);

async fn it_stores_unlocks_and_tells(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut ears = [t.listen(&key).await?, t.listen_by(&*t.peer, &key).await?];
    let token = t.take(&key).await?;
    equal!(
        t.fulfil(&key, token, "v").await?,
        Fulfilled::Stored,
        "fulfil"
    );
    t.holds(&key, Some("v")).await?;
    t.unlocked(&key).await?;
    for ear in &mut ears {
        ear.hears_value("v").await?;
    }
    Ok(())
}

async fn it_stores_for_the_ttl(t: &Trial) -> Verdict {
    let key = t.key("a");
    let token = t.take(&key).await?;
    t.store.fulfil(&key, token, bytes("v"), TTL * 10).await?;
    let Some(value) = t.inspect(&key).await?.value else {
        return Err(Stop::failed("inspect sees no value"));
    };
    within("the value", value.remaining, TTL * 5, TTL * 10)
}

async fn it_overwrites_an_older_value(t: &Trial) -> Verdict {
    let key = t.key("a");
    let token = t.take(&key).await?;
    let resolve = t.store.put(&key, bytes("old"), TTL, PutMode::Resolve);
    resolve.await?;
    equal!(
        t.fulfil(&key, token, "new").await?,
        Fulfilled::Stored,
        "fulfil"
    );
    t.holds(&key, Some("new")).await
}

async fn a_foreign_token_changes_nothing(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    let mut ear = t.listen(&key).await?;
    for client in [&t.store, &t.peer] {
        let foreign = client.fulfil(&key, token(), bytes("foreign"), TTL).await?;
        equal!(foreign, Fulfilled::Lost, "fulfil with a foreign token");
    }
    t.holds(&key, None).await?;
    t.locked_by(&key, ours).await?;
    t.silent(&key, &mut ear).await
}

async fn without_a_lock_nothing_changes(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut ear = t.listen(&key).await?;
    equal!(
        t.fulfil(&key, token(), "v").await?,
        Fulfilled::Lost,
        "fulfil without a lock"
    );
    t.holds(&key, None).await?;
    t.unlocked(&key).await?;
    t.silent(&key, &mut ear).await
}

async fn a_lease_is_fulfilled_once(t: &Trial) -> Verdict {
    let key = t.key("a");
    let token = t.take(&key).await?;
    let mut ear = t.listen(&key).await?;
    equal!(
        t.fulfil(&key, token, "first").await?,
        Fulfilled::Stored,
        "the first fulfil"
    );
    equal!(
        t.fulfil(&key, token, "second").await?,
        Fulfilled::Lost,
        "the second fulfil"
    );
    t.holds(&key, Some("first")).await?;
    ear.hears_value("first").await?;
    t.silent(&key, &mut ear).await
}

async fn r4_an_expired_lease_is_lost(t: &Trial) -> Verdict {
    let (key, late) = (t.key("a"), token());
    let since = tokio::time::Instant::now();
    t.store.acquire(&key, late, BRIEF).await?;
    let next = token();
    t.until_granted(&key, next, since).await?;
    equal!(
        t.fulfil(&key, late, "late").await?,
        Fulfilled::Lost,
        "a late fulfil"
    );
    t.holds(&key, None).await?;
    t.locked_by(&key, next).await
}

async fn r4_a_put_fences_it_off(t: &Trial) -> Verdict {
    let key = t.key("a");
    let token = t.take(&key).await?;
    let put = t.peer.put(&key, bytes("put"), TTL, PutMode::Override);
    put.await?;
    equal!(
        t.fulfil(&key, token, "late").await?,
        Fulfilled::Lost,
        "fulfil after a put"
    );
    t.holds(&key, Some("put")).await
}

async fn r4_an_invalidation_fences_it_off(t: &Trial) -> Verdict {
    let key = t.key("a");
    let old = t.take(&key).await?;
    t.peer.invalidate(&key).await?;
    equal!(
        t.fulfil(&key, old, "late").await?,
        Fulfilled::Lost,
        "fulfil after an invalidation"
    );
    t.holds(&key, None).await?;
    let new = t.take(&key).await?;
    equal!(
        t.fulfil(&key, old, "late").await?,
        Fulfilled::Lost,
        "fulfil of the lease before"
    );
    t.locked_by(&key, new).await
}

async fn who_is_told_finds_the_value(t: &Trial) -> Verdict {
    for round in 0..20 {
        let (key, holder) = told(t, round).await?;
        let acquired = t.peer.acquire(&key, token(), LEASE).await?;
        equal!(
            acquired,
            Acquired::Value(bytes("v")),
            "acquire by who was told"
        );
        let got = t.peer.get(&key).await?;
        equal!(got, Some(bytes("v")), "a get by who was told");
        ended(holder).await?;
    }
    Ok(())
}

async fn who_is_told_finds_no_lock(t: &Trial) -> Verdict {
    for round in 0..20 {
        let (key, holder) = told(t, round).await?;
        t.unlocked(&key).await?;
        ended(holder).await?;
    }
    Ok(())
}

/// A holder whose call may still be under way.
type Holder = JoinHandle<Result<Fulfilled, BackendError>>;

/// A key whose value a peer has been told this moment.
async fn told(t: &Trial, round: u32) -> Verdict<(Key, Holder)> {
    let key = t.key(&round.to_string());
    let token = t.take(&key).await?;
    let mut ear = t.listen_by(&*t.peer, &key).await?;
    let (store, its) = (Arc::clone(&t.store), key.clone());
    let holder = tokio::spawn(async move { store.fulfil(&its, token, bytes("v"), TTL).await });
    ear.hears_value("v").await?;
    Ok((key, holder))
}

async fn ended(holder: Holder) -> Verdict {
    let fulfilled = holder.await;
    let fulfilled = fulfilled.map_err(|error| Stop::failed(error.to_string()))?;
    equal!(fulfilled?, Fulfilled::Stored, "the fulfil that was told");
    Ok(())
}
