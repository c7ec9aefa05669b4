//! Putting: unconditional, told, and the two ways with a lock.

use std::time::Duration;

use futures_util::future::{join_all, try_join};
use memolock_core::{Acquired, Fulfilled, PutMode};

use super::case::{Stop, Verdict, cases, equal};
use super::trial::{LEASE, TTL, Trial, bytes, token, within};

cases!("put":
    override_deletes_the_lock,
    resolve_leaves_the_lock,
    without_a_lock_both_are_the_same,
    both_tell_the_value,
    who_is_told_finds_the_value,
    the_newest_ttl_holds,
    puts_of_one_client_take_effect_in_order,
);

const MODES: [PutMode; 2] = [PutMode::Override, PutMode::Resolve];

async fn override_deletes_the_lock(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    let put = t.peer.put(&key, bytes("v"), TTL, PutMode::Override);
    put.await?;
    t.unlocked(&key).await?;
    t.holds(&key, Some("v")).await?;
    equal!(
        t.renew_one(&key, ours, LEASE).await?,
        false,
        "renewal after the put"
    );
    equal!(
        t.store.release(&key, ours, None).await?,
        false,
        "release after the put"
    );
    Ok(())
}

async fn resolve_leaves_the_lock(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    let put = t.peer.put(&key, bytes("v"), TTL, PutMode::Resolve);
    put.await?;
    t.locked_by(&key, ours).await?;
    t.holds(&key, Some("v")).await?;
    equal!(
        t.renew_one(&key, ours, LEASE).await?,
        true,
        "renewal after resolving"
    );
    equal!(
        t.fulfil(&key, ours, "w").await?,
        Fulfilled::Stored,
        "fulfil after resolving"
    );
    t.holds(&key, Some("w")).await
}

async fn without_a_lock_both_are_the_same(t: &Trial) -> Verdict {
    for mode in MODES {
        let key = t.key(&format!("{mode:?}"));
        t.store.put(&key, bytes("v"), TTL, mode).await?;
        t.holds(&key, Some("v")).await?;
        t.unlocked(&key).await?;
        let acquired = t.store.acquire(&key, token(), LEASE).await?;
        equal!(
            acquired,
            Acquired::Value(bytes("v")),
            "acquire after {mode:?}"
        );
    }
    Ok(())
}

async fn both_tell_the_value(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut ears = [t.listen(&key).await?, t.listen_by(&*t.peer, &key).await?];
    for mode in MODES {
        for value in ["v", "", "v"] {
            t.store.put(&key, bytes(value), TTL, mode).await?;
            for ear in &mut ears {
                ear.hears_value(value).await?;
            }
        }
    }
    Ok(())
}

async fn who_is_told_finds_the_value(t: &Trial) -> Verdict {
    for (round, mode) in MODES.into_iter().cycle().take(20).enumerate() {
        let key = t.key(&round.to_string());
        let mut ear = t.listen_by(&*t.peer, &key).await?;
        let listener = async {
            ear.hears_value("v").await?;
            equal!(
                t.peer.get(&key).await?,
                Some(bytes("v")),
                "a get by who was told"
            );
            Ok(())
        };
        let putter = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(t.store.put(&key, bytes("v"), TTL, mode).await?)
        };
        try_join(listener, putter).await?;
    }
    Ok(())
}

async fn the_newest_ttl_holds(t: &Trial) -> Verdict {
    let key = t.key("a");
    for ttl in [TTL, TTL * 10, TTL] {
        t.store
            .put(&key, bytes("v"), ttl, PutMode::Override)
            .await?;
        let Some(value) = t.inspect(&key).await?.value else {
            return Err(Stop::failed("inspect sees no value"));
        };
        within("the value", value.remaining, ttl / 2, ttl)?;
    }
    Ok(())
}

async fn puts_of_one_client_take_effect_in_order(t: &Trial) -> Verdict {
    if !t.harness.ordered() {
        return Err(Stop::skipped(
            "the harness says that its calls are not ordered",
        ));
    }
    for round in 0..10 {
        let key = t.key(&round.to_string());
        let puts = (0..20).map(|n| {
            let value = bytes(&n.to_string());
            t.store.put(&key, value, TTL, PutMode::Override)
        });
        for put in join_all(puts).await {
            put?;
        }
        t.holds(&key, Some("19")).await?;
    }
    Ok(())
}
