//! Absurd times: what is shorter than a millisecond is one, what is longer than a century is that.

use std::time::Duration;

use memolock_core::{Acquired, Fulfilled, MAX_TTL, PutMode};
use tokio::time::Instant;

use super::case::{Stop, Verdict, cases, equal};
use super::trial::{Trial, bytes, token, within};

cases!("ttl":
    a_moments_value_is_stored_and_expires,
    a_moments_lease_is_granted_and_expires,
    an_eternal_value_lasts_a_century,
    an_eternal_lease_lasts_a_century,
    odd_times_are_taken,
);

const MOMENTS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_micros(999),
];

async fn a_moments_value_is_stored_and_expires(t: &Trial) -> Verdict {
    for ttl in MOMENTS {
        let key = t.key(&format!("{ttl:?}"));
        let mut ear = t.listen(&key).await?;
        let since = Instant::now();
        t.store
            .put(&key, bytes("v"), ttl, PutMode::Override)
            .await?;
        ear.hears_value("v").await?;
        t.until_gone(&key, since).await?;
        let ours = t.take(&key).await?;
        let fulfilled = t.store.fulfil(&key, ours, bytes("w"), ttl).await?;
        equal!(fulfilled, Fulfilled::Stored, "fulfil for {ttl:?}");
        ear.hears_value("w").await?;
        t.until_gone(&key, since).await?;
    }
    Ok(())
}

async fn a_moments_lease_is_granted_and_expires(t: &Trial) -> Verdict {
    for lease in MOMENTS {
        let (key, ours) = (t.key(&format!("{lease:?}")), token());
        let since = Instant::now();
        let acquired = t.store.acquire(&key, ours, lease).await?;
        equal!(acquired, Acquired::Granted, "acquire for {lease:?}");
        let next = token();
        t.until_granted(&key, next, since).await?;
        equal!(
            t.renew_one(&key, next, lease).await?,
            true,
            "renewal for {lease:?}"
        );
        t.until_granted(&key, token(), since).await?;
    }
    Ok(())
}

async fn an_eternal_value_lasts_a_century(t: &Trial) -> Verdict {
    for ttl in [Duration::MAX, MAX_TTL] {
        let key = t.key("a");
        t.store
            .put(&key, bytes("v"), ttl, PutMode::Override)
            .await?;
        t.holds(&key, Some("v")).await?;
        let Some(value) = t.inspect(&key).await?.value else {
            return Err(Stop::failed("inspect sees no value"));
        };
        // Nothing that the suite stores may stay.
        t.store.invalidate(&key).await?;
        within("the value", value.remaining, MAX_TTL / 2, MAX_TTL)?;
    }
    Ok(())
}

async fn an_eternal_lease_lasts_a_century(t: &Trial) -> Verdict {
    let (key, ours) = (t.key("a"), token());
    for _ in 0..2 {
        let acquired = t.store.acquire(&key, ours, Duration::MAX).await?;
        let renewed = t.renew_one(&key, ours, Duration::MAX).await?;
        let lock = t.inspect(&key).await?.lock;
        let released = t.store.release(&key, ours, None).await?;
        equal!(acquired, Acquired::Granted, "acquire for ever");
        equal!((renewed, released), (true, true), "renewal and release");
        let Some(lock) = lock else {
            return Err(Stop::failed("inspect sees no lock"));
        };
        within("the lease", lock.remaining, MAX_TTL / 2, MAX_TTL)?;
    }
    Ok(())
}

async fn odd_times_are_taken(t: &Trial) -> Verdict {
    let key = t.key("a");
    for ttl in [
        Duration::new(59, 999_999_999),
        Duration::new(60, 1),
        Duration::from_micros(60_000_500),
    ] {
        t.store
            .put(&key, bytes("v"), ttl, PutMode::Override)
            .await?;
        let Some(value) = t.inspect(&key).await?.value else {
            return Err(Stop::failed("inspect sees no value"));
        };
        // Rounded up, to a millisecond and no further.
        within(
            "the value",
            value.remaining,
            ttl / 2,
            ttl + Duration::from_millis(1),
        )?;
    }
    Ok(())
}
