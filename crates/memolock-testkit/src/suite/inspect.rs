//! Inspecting: what there is, without a trace.

use std::time::Duration;

use memolock_core::{Inspection, PutMode};

use super::case::{Stop, Verdict, cases, equal};
use super::trial::{LEASE, TTL, Trial, bytes, within};

cases!("inspect":
    nothing_is_nothing,
    a_value_has_length_and_time,
    a_lock_has_holder_and_time,
    both_are_seen,
    looking_changes_nothing,
    capabilities_are_constant,
);

async fn nothing_is_nothing(t: &Trial) -> Verdict {
    equal!(
        t.inspect(&t.key("a")).await?,
        Inspection::default(),
        "inspect of nothing"
    );
    Ok(())
}

async fn a_value_has_length_and_time(t: &Trial) -> Verdict {
    let key = t.key("a");
    for value in ["", "v", "ünïcode", "\0\0"] {
        t.put(&key, value).await?;
        let seen = t.inspect(&key).await?;
        let Some(found) = seen.value else {
            return Err(Stop::failed("inspect sees no value"));
        };
        equal!(
            found.bytes,
            value.len() as u64,
            "the length of {value:?} in bytes"
        );
        within("the value", found.remaining, TTL / 2, TTL)?;
        equal!(seen.lock, None, "the lock");
        equal!(
            seen.oddities,
            Vec::<String>::new(),
            "oddities of an ordinary value"
        );
    }
    Ok(())
}

async fn a_lock_has_holder_and_time(t: &Trial) -> Verdict {
    let key = t.key("a");
    let token = t.take(&key).await?;
    let seen = t.peer.inspect(&key).await?;
    let Some(lock) = seen.lock else {
        return Err(Stop::failed("inspect sees no lock"));
    };
    equal!(lock.holder, bytes(&token.to_wire()), "the holder");
    within("the lock", lock.remaining, LEASE / 2, LEASE)?;
    equal!(seen.value, None, "the value");
    equal!(
        seen.oddities,
        Vec::<String>::new(),
        "oddities of an ordinary lock"
    );
    Ok(())
}

async fn both_are_seen(t: &Trial) -> Verdict {
    let key = t.key("a");
    t.take(&key).await?;
    let resolve = t.store.put(&key, bytes("v"), TTL, PutMode::Resolve);
    resolve.await?;
    let seen = t.inspect(&key).await?;
    equal!(
        (seen.value.is_some(), seen.lock.is_some()),
        (true, true),
        "value and lock"
    );
    Ok(())
}

async fn looking_changes_nothing(t: &Trial) -> Verdict {
    let key = t.key("a");
    let token = t.take(&key).await?;
    let mut ear = t.listen(&key).await?;
    let resolve = t.store.put(&key, bytes("v"), TTL, PutMode::Resolve);
    resolve.await?;
    ear.hears_value("v").await?;
    for _ in 0..3 {
        t.inspect(&key).await?;
    }
    let seen = t.inspect(&key).await?;
    let (Some(value), Some(lock)) = (seen.value, seen.lock) else {
        return Err(Stop::failed("value or lock are gone"));
    };
    within("the value", value.remaining, Duration::ZERO, TTL)?;
    within("the lock", lock.remaining, Duration::ZERO, LEASE)?;
    t.holds(&key, Some("v")).await?;
    t.locked_by(&key, token).await?;
    t.silent(&key, &mut ear).await
}

async fn capabilities_are_constant(t: &Trial) -> Verdict {
    let first = t.store.capabilities();
    t.put(&t.key("a"), "v").await?;
    equal!(t.store.capabilities(), first, "capabilities asked again");
    equal!(
        t.peer.capabilities(),
        first,
        "capabilities of another client"
    );
    equal!(first.name.is_empty(), false, "the name is empty");
    Ok(())
}
