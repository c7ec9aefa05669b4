//! Leases: who gets one, in which order `acquire` decides, and what the others are told.

use std::time::Duration;

use memolock_core::{Acquired, PutMode, Remaining, Token};

use super::case::{Stop, Verdict, cases, equal};
use super::trial::{LEASE, TTL, Trial, bytes, token, within};

cases!("lease":
    a_value_comes_before_a_lease,
    a_value_comes_before_the_own_lock,
    a_free_lock_is_taken,
    a_held_lock_tells_its_remaining_time,
    asking_in_vain_changes_nothing,
    r7_the_own_token_is_granted_again,
    r7_the_own_token_begins_its_lease_anew,
    the_other_client_may_ask_again_with_the_token,
    leases_of_keys_are_apart,
    any_token_will_do,
    acquiring_tells_nobody,
    a_lease_is_had_over_exactly_the_bytes_that_count_for_none,
);

async fn a_value_comes_before_a_lease(t: &Trial) -> Verdict {
    let key = t.key("a");
    t.put(&key, "v").await?;
    let acquired = t.store.acquire(&key, token(), LEASE).await?;
    equal!(
        acquired,
        Acquired::Value(bytes("v")),
        "acquire where there is a value"
    );
    t.unlocked(&key).await
}

async fn a_value_comes_before_the_own_lock(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    let put = t.peer.put(&key, bytes("v"), TTL, PutMode::Resolve);
    put.await?;
    for token in [ours, token()] {
        let acquired = t.store.acquire(&key, token, LEASE).await?;
        equal!(
            acquired,
            Acquired::Value(bytes("v")),
            "acquire where there are value and lock"
        );
    }
    t.locked_by(&key, ours).await
}

async fn a_free_lock_is_taken(t: &Trial) -> Verdict {
    let key = t.key("a");
    let token = t.take(&key).await?;
    t.locked_by(&key, token).await?;
    let Some(lock) = t.peer.inspect(&key).await?.lock else {
        return Err(Stop::failed("another client sees no lock"));
    };
    within("the lease", lock.remaining, LEASE / 2, LEASE)?;
    t.holds(&key, None).await
}

async fn a_held_lock_tells_its_remaining_time(t: &Trial) -> Verdict {
    let key = t.key("a");
    t.take(&key).await?;
    for client in [&t.store, &t.peer] {
        // What is asked for has no bearing on what is left.
        let acquired = client.acquire(&key, token(), LEASE * 10).await?;
        let Acquired::Held(left) = acquired else {
            return Err(Stop::failed(format!("acquiring a held lock: {acquired:?}")));
        };
        within("the holder's lease", left, LEASE / 2, LEASE)?;
    }
    Ok(())
}

async fn asking_in_vain_changes_nothing(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    let in_vain = t.peer.acquire(&key, token(), LEASE * 10).await?;
    equal!(
        matches!(in_vain, Acquired::Held(_)),
        true,
        "acquiring a held lock is in vain"
    );
    t.locked_by(&key, ours).await?;
    let left = t.inspect(&key).await?.lock.map(|lock| lock.remaining);
    let left = left.unwrap_or(Remaining::Forever);
    within("the lease", left, Duration::ZERO, LEASE)
}

async fn r7_the_own_token_is_granted_again(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    let again = t.store.acquire(&key, ours, LEASE).await?;
    equal!(
        again,
        Acquired::Granted,
        "acquire with the token that holds the lock"
    );
    t.locked_by(&key, ours).await
}

async fn r7_the_own_token_begins_its_lease_anew(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    for lease in [LEASE * 10, LEASE / 2] {
        let again = t.store.acquire(&key, ours, lease).await?;
        equal!(
            again,
            Acquired::Granted,
            "acquire with the token that holds the lock"
        );
        let Some(lock) = t.inspect(&key).await?.lock else {
            return Err(Stop::failed("the lock is gone"));
        };
        within("a lease begun anew", lock.remaining, lease / 2, lease)?;
    }
    Ok(())
}

/// The token is the proof, not the connection: a flight may be handed to another process's client.
async fn the_other_client_may_ask_again_with_the_token(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    let again = t.peer.acquire(&key, ours, LEASE).await?;
    equal!(
        again,
        Acquired::Granted,
        "acquire by another client with the token"
    );
    Ok(())
}

async fn leases_of_keys_are_apart(t: &Trial) -> Verdict {
    let (a, b) = (t.key("a"), t.key("b"));
    let (ours, theirs) = (t.take(&a).await?, t.take(&b).await?);
    t.locked_by(&a, ours).await?;
    t.locked_by(&b, theirs).await?;
    t.store.release(&a, ours, None).await?;
    t.unlocked(&a).await?;
    t.locked_by(&b, theirs).await
}

async fn any_token_will_do(t: &Trial) -> Verdict {
    let patterns = [0, 1, u128::MAX, 1 << 127, 0xff << 56];
    for (n, token) in patterns.map(Token::from_bits).into_iter().enumerate() {
        let key = t.key(&n.to_string());
        let acquired = t.store.acquire(&key, token, LEASE).await?;
        equal!(acquired, Acquired::Granted, "acquire with {token:?}");
        t.locked_by(&key, token).await?;
        equal!(
            t.renew_one(&key, token, LEASE).await?,
            true,
            "renewal with {token:?}"
        );
        equal!(
            t.store.release(&key, token, None).await?,
            true,
            "release with {token:?}"
        );
    }
    Ok(())
}

async fn acquiring_tells_nobody(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut ear = t.listen(&key).await?;
    let ours = t.take(&key).await?;
    t.store.acquire(&key, token(), LEASE).await?;
    t.renew_one(&key, ours, LEASE).await?;
    t.store.get(&key).await?;
    t.inspect(&key).await?;
    t.silent(&key, &mut ear).await
}

/// A backend that keeps the default method acquires plainly, which is allowed.
async fn a_lease_is_had_over_exactly_the_bytes_that_count_for_none(t: &Trial) -> Verdict {
    let key = t.key("a");
    t.put(&key, "stale").await?;
    for other in ["stal", "stale!", ""] {
        let other = bytes(other);
        let acquired = t.store.acquire_over(&key, token(), LEASE, &other);
        equal!(
            acquired.await?,
            Acquired::Value(bytes("stale")),
            "acquire over bytes that are not the value's"
        );
    }
    t.unlocked(&key).await?;
    let ours = token();
    let stale = bytes("stale");
    let acquired = t.store.acquire_over(&key, ours, LEASE, &stale).await?;
    if acquired == Acquired::Value(bytes("stale")) {
        return Err(Stop::skipped("it acquires over no value"));
    }
    equal!(
        acquired,
        Acquired::Granted,
        "acquire over the value's bytes"
    );
    t.locked_by(&key, ours).await?;
    // It stays until it is replaced.
    t.holds(&key, Some("stale")).await
}
