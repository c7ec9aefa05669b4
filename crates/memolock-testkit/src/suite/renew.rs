//! Renewing: many leases at once, each by its token, answers in order.

use std::time::Duration;

use memolock_core::{Key, Renewal, Token};

use super::case::{Stop, Verdict, cases, equal};
use super::trial::{BRIEF, LEASE, Trial, token, within};

cases!("renew":
    a_lease_lasts_as_long_as_it_was_renewed_for,
    a_renewed_lease_expires,
    no_renewals_have_no_answers,
    answers_come_in_the_order_of_renewals,
    each_has_its_own_lease,
    a_foreign_lock_is_untouched,
    what_is_lost_stays_lost,
    one_key_may_come_twice,
    a_thousand_travel_together,
);

fn renewal(key: &Key, token: Token, lease: Duration) -> Renewal {
    Renewal {
        key: key.clone(),
        token,
        lease,
    }
}

async fn left(t: &Trial, key: &Key, least: Duration, most: Duration) -> Verdict {
    match t.inspect(key).await?.lock {
        Some(lock) => within("the lease", lock.remaining, least, most),
        None => Err(Stop::failed("the lock is gone")),
    }
}

async fn a_lease_lasts_as_long_as_it_was_renewed_for(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    for lease in [LEASE * 10, LEASE / 2] {
        equal!(
            t.renew_one(&key, ours, lease).await?,
            true,
            "renewal of a held lease"
        );
        left(t, &key, lease / 2, lease).await?;
    }
    t.locked_by(&key, ours).await
}

async fn a_renewed_lease_expires(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    let since = tokio::time::Instant::now();
    equal!(
        t.renew_one(&key, ours, BRIEF).await?,
        true,
        "renewal of a held lease"
    );
    t.until_granted(&key, token(), since).await?;
    equal!(
        t.renew_one(&key, ours, LEASE).await?,
        false,
        "renewal of an expired lease"
    );
    Ok(())
}

async fn no_renewals_have_no_answers(t: &Trial) -> Verdict {
    equal!(
        t.store.renew(&[]).await?,
        Vec::<bool>::new(),
        "answers to nothing"
    );
    Ok(())
}

async fn answers_come_in_the_order_of_renewals(t: &Trial) -> Verdict {
    // No pattern: one that reads the same from behind, or sorted by key, would hide a mistake.
    let wanted = [
        true, false, false, true, true, false, true, false, false, false, true,
    ];
    let mut renewals = Vec::new();
    for (n, ours) in wanted.into_iter().enumerate() {
        let key = t.key(&format!("{}-{n}", (n * 7) % 11));
        let held = t.take(&key).await?;
        let token = if ours { held } else { token() };
        renewals.push(renewal(&key, token, LEASE));
    }
    equal!(t.store.renew(&renewals).await?, wanted, "answers");
    equal!(
        t.peer.renew(&renewals).await?,
        wanted,
        "answers to another client"
    );
    renewals.reverse();
    let mut backwards = wanted;
    backwards.reverse();
    equal!(
        t.store.renew(&renewals).await?,
        backwards,
        "answers the other way round"
    );
    Ok(())
}

async fn each_has_its_own_lease(t: &Trial) -> Verdict {
    let keys = [t.key("a"), t.key("b"), t.key("c")];
    let leases = [LEASE * 9, LEASE, LEASE * 3];
    let mut renewals = Vec::new();
    for (key, lease) in keys.iter().zip(leases) {
        renewals.push(renewal(key, t.take(key).await?, lease));
    }
    equal!(t.store.renew(&renewals).await?, [true; 3], "answers");
    for (key, lease) in keys.iter().zip(leases) {
        left(t, key, lease / 2, lease).await?;
    }
    Ok(())
}

async fn a_foreign_lock_is_untouched(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    equal!(
        t.renew_one(&key, token(), LEASE * 10).await?,
        false,
        "renewal with a foreign token"
    );
    t.locked_by(&key, ours).await?;
    left(t, &key, Duration::ZERO, LEASE).await
}

async fn what_is_lost_stays_lost(t: &Trial) -> Verdict {
    let key = t.key("a");
    equal!(
        t.renew_one(&key, token(), LEASE).await?,
        false,
        "renewal of a free lock"
    );
    t.unlocked(&key).await?;
    let ours = t.take(&key).await?;
    t.peer.invalidate(&key).await?;
    equal!(
        t.renew_one(&key, ours, LEASE).await?,
        false,
        "renewal after an invalidation"
    );
    t.unlocked(&key).await?;
    let ours = t.take(&key).await?;
    t.fulfil(&key, ours, "v").await?;
    equal!(
        t.renew_one(&key, ours, LEASE).await?,
        false,
        "renewal of a fulfilled lease"
    );
    t.unlocked(&key).await?;
    t.holds(&key, Some("v")).await
}

async fn one_key_may_come_twice(t: &Trial) -> Verdict {
    let (a, b) = (t.key("a"), t.key("b"));
    let (ours, other) = (t.take(&a).await?, t.take(&b).await?);
    let renewals = [
        renewal(&a, ours, LEASE),
        renewal(&a, other, LEASE * 10),
        renewal(&b, other, LEASE),
        renewal(&b, other, LEASE),
    ];
    equal!(
        t.store.renew(&renewals).await?,
        [true, false, true, true],
        "answers"
    );
    left(t, &a, LEASE / 2, LEASE).await
}

async fn a_thousand_travel_together(t: &Trial) -> Verdict {
    const MANY: usize = 1000;
    let keys: Vec<Key> = (0..MANY).map(|n| t.key(&n.to_string())).collect();
    let takes = keys.iter().map(|key| t.take(key));
    let tokens = futures_util::future::try_join_all(takes).await?;
    let wanted: Vec<bool> = (0..MANY).map(|n| n % 3 != 0 && n % 7 != 0).collect();
    let renewals: Vec<Renewal> = (0..MANY)
        .map(|n| {
            let token = if wanted[n] { tokens[n] } else { token() };
            renewal(&keys[n], token, LEASE * 10)
        })
        .collect();
    let answers = t.store.renew(&renewals).await?;
    equal!(answers.len(), MANY, "the number of answers");
    let wrong = (0..MANY).find(|n| answers[*n] != wanted[*n]);
    equal!(wrong, None, "the first answer that is wrong");
    for n in [1, 499, 500, 501, 998] {
        let least = if wanted[n] { LEASE * 5 } else { Duration::ZERO };
        let most = if wanted[n] { LEASE * 10 } else { LEASE };
        left(t, &keys[n], least, most).await?;
    }
    Ok(())
}
