//! Damage: what strangers leave in the store gives a typed answer, and can be mended.

use std::time::Duration;

use memolock_core::{Acquired, ErrorKind, Fulfilled, Notice, Operation, Remaining, Renewal};

use super::Damage;
use super::case::{Stop, Verdict, cases, ensure, equal};
use super::errors::{every_call, names};
use super::trial::{LEASE, Trial, bytes, token};

cases!("damage":
    r8_a_value_of_another_type_is_a_typed_error,
    a_put_mends_the_value,
    an_invalidation_mends_everything,
    r8_a_lock_of_another_type_is_not_taken,
    r8_a_lock_of_another_type_spoils_no_other_renewal,
    r8_a_lock_without_end_is_told,
    r8_an_odd_holder_is_a_holder,
    r8_an_odd_notice_means_look_again,
);

async fn r8_a_value_of_another_type_is_a_typed_error(t: &Trial) -> Verdict {
    let key = t.key("a");
    t.damage(&key, Damage::WrongValueType).await?;
    for (operation, outcome) in [
        (Operation::Get, t.store.get(&key).await.map(drop)),
        (
            Operation::Acquire,
            t.store.acquire(&key, token(), LEASE).await.map(drop),
        ),
    ] {
        let Err(error) = outcome else {
            return Err(Stop::failed(format!(
                "{operation} succeeds on what is no value"
            )));
        };
        names(&error, operation, &key)?;
        equal!(
            error.kind(),
            ErrorKind::WrongType,
            "the kind that {operation} gives"
        );
        ensure!(
            !error.is_retryable(),
            "{operation} says that trying again can help"
        );
    }
    let seen = t.inspect(&key).await?;
    ensure!(!seen.oddities.is_empty(), "inspect finds nothing odd");
    t.unlocked(&key).await?;
    Ok(t.store.invalidate(&key).await?)
}

async fn a_put_mends_the_value(t: &Trial) -> Verdict {
    let key = t.key("a");
    t.damage(&key, Damage::WrongValueType).await?;
    t.put(&key, "v").await?;
    t.holds(&key, Some("v")).await
}

async fn an_invalidation_mends_everything(t: &Trial) -> Verdict {
    for damage in [
        Damage::EternalLock,
        Damage::WrongLockType,
        Damage::WrongValueType,
    ] {
        let key = t.key(&format!("{damage:?}"));
        t.damage(&key, damage).await?;
        // Nothing may panic on it, or hang; what it answers is looked at in other cases.
        for (operation, outcome) in every_call(&*t.store, &key).await {
            if let Err(error) = outcome {
                names(&error, operation, &key)?;
            }
        }
        t.store.invalidate(&key).await?;
        t.holds(&key, None).await?;
        let ours = t.take(&key).await?;
        equal!(
            t.fulfil(&key, ours, "v").await?,
            Fulfilled::Stored,
            "fulfil after {damage:?}"
        );
        t.holds(&key, Some("v")).await?;
    }
    Ok(())
}

async fn r8_a_lock_of_another_type_is_not_taken(t: &Trial) -> Verdict {
    let key = t.key("a");
    t.damage(&key, Damage::WrongLockType).await?;
    match t.store.acquire(&key, token(), LEASE).await {
        Ok(Acquired::Held(_)) => {}
        Ok(other) => return Err(Stop::failed(format!("acquire answers {other:?}"))),
        Err(error) => equal!(
            error.kind(),
            ErrorKind::WrongType,
            "the kind that acquire gives"
        ),
    }
    match t.store.fulfil(&key, token(), bytes("v"), LEASE).await {
        Ok(fulfilled) => equal!(fulfilled, Fulfilled::Lost, "fulfil"),
        Err(error) => equal!(
            error.kind(),
            ErrorKind::WrongType,
            "the kind that fulfil gives"
        ),
    }
    match t.store.release(&key, token(), Some(Notice::Released)).await {
        Ok(released) => equal!(released, false, "release"),
        Err(error) => equal!(
            error.kind(),
            ErrorKind::WrongType,
            "the kind that release gives"
        ),
    }
    t.holds(&key, None).await?;
    ensure!(
        !t.inspect(&key).await?.oddities.is_empty(),
        "inspect finds nothing odd"
    );
    Ok(t.store.invalidate(&key).await?)
}

async fn r8_a_lock_of_another_type_spoils_no_other_renewal(t: &Trial) -> Verdict {
    let keys = [t.key("a"), t.key("b"), t.key("c")];
    t.damage(&keys[1], Damage::WrongLockType).await?;
    let tokens = [t.take(&keys[0]).await?, token(), t.take(&keys[2]).await?];
    let renewals: Vec<Renewal> = (0..3)
        .map(|n| Renewal {
            key: keys[n].clone(),
            token: tokens[n],
            lease: LEASE,
        })
        .collect();
    let answers = t.store.renew(&renewals).await?;
    t.store.invalidate(&keys[1]).await?;
    equal!(answers, [true, false, true], "answers");
    Ok(())
}

async fn r8_a_lock_without_end_is_told(t: &Trial) -> Verdict {
    let key = t.key("a");
    t.damage(&key, Damage::EternalLock).await?;
    let acquired = t.store.acquire(&key, token(), LEASE).await?;
    equal!(acquired, Acquired::Held(Remaining::Forever), "acquire");
    let seen = t.inspect(&key).await?;
    equal!(
        seen.lock.map(|lock| lock.remaining),
        Some(Remaining::Forever),
        "inspect"
    );
    ensure!(!seen.oddities.is_empty(), "inspect finds nothing odd");
    t.store.invalidate(&key).await?;
    t.unlocked(&key).await
}

async fn r8_an_odd_holder_is_a_holder(t: &Trial) -> Verdict {
    let key = t.key("a");
    t.damage(&key, Damage::OddHolder).await?;
    let acquired = t.store.acquire(&key, token(), LEASE).await?;
    let Acquired::Held(Remaining::Expires(left)) = acquired else {
        return Err(Stop::failed(format!("acquire answers {acquired:?}")));
    };
    ensure!(
        left <= Duration::from_secs(60),
        "the lock has {left:?} left"
    );
    equal!(
        t.fulfil(&key, token(), "v").await?,
        Fulfilled::Lost,
        "fulfil"
    );
    equal!(
        t.store.release(&key, token(), None).await?,
        false,
        "release"
    );
    equal!(t.renew_one(&key, token(), LEASE).await?, false, "renewal");
    let seen = t.inspect(&key).await?;
    ensure!(seen.lock.is_some(), "inspect sees no lock");
    Ok(())
}

async fn r8_an_odd_notice_means_look_again(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut ear = t.listen(&key).await?;
    t.damage(&key, Damage::OddNotice).await?;
    ear.hears_notice(Notice::Released).await?;
    t.silent(&key, &mut ear).await
}
