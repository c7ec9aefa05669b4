//! Many keys in one call: each is answered as if it were alone, in order.

use bytes::Bytes;
use memolock_core::{Acquired, Attempt, ErrorKind, Fulfilled, Fulfilment, Key, Operation, Token};

use super::Damage;
use super::case::{Stop, Verdict, cases, ensure, equal};
use super::errors::names;
use super::trial::{LEASE, TTL, Trial, bytes, token};

cases!("many":
    no_keys_have_no_answers,
    values_come_in_the_order_of_keys,
    each_lease_is_tried_for_by_itself,
    r7_own_tokens_are_granted_again,
    each_value_is_stored_by_its_own_token,
    who_is_told_finds_each_value,
    a_thousand_travel_together,
    large_values_travel_together,
    r8_one_of_another_type_spoils_no_other,
    errors_name_operation_and_key,
);

fn attempt(key: &Key, token: Token) -> Attempt {
    Attempt {
        key: key.clone(),
        token,
        lease: LEASE,
    }
}

fn fulfilment(key: &Key, token: Token, value: impl Into<Bytes>) -> Fulfilment {
    Fulfilment {
        key: key.clone(),
        token,
        value: value.into(),
        ttl: TTL,
    }
}

/// The answers, if none is an error.
fn all<A>(answers: Vec<Result<A, memolock_core::BackendError>>) -> Verdict<Vec<A>> {
    answers.into_iter().map(|a| a.map_err(Stop::from)).collect()
}

fn keys(t: &Trial, ids: &[&str]) -> Vec<Key> {
    ids.iter().map(|id| t.key(id)).collect()
}

async fn no_keys_have_no_answers(t: &Trial) -> Verdict {
    ensure!(t.store.get_many(&[]).await.is_empty(), "values of nothing");
    let tries = t.store.acquire_many(&[]).await;
    ensure!(tries.is_empty(), "tries for nothing");
    let stored = t.store.fulfil_many(&[]).await;
    ensure!(stored.is_empty(), "stores of nothing");
    Ok(())
}

async fn values_come_in_the_order_of_keys(t: &Trial) -> Verdict {
    let keys = keys(t, &["c", "a", "d", "b"]);
    t.put(&keys[0], "3").await?;
    t.put(&keys[2], "").await?;
    t.put(&keys[3], "2").await?;
    let wanted = [Some("3"), None, Some(""), Some("2")].map(|v| v.map(bytes));
    equal!(all(t.peer.get_many(&keys).await)?, wanted, "values");
    Ok(())
}

async fn each_lease_is_tried_for_by_itself(t: &Trial) -> Verdict {
    let keys = keys(t, &["held", "free", "there", "also free"]);
    let held = token();
    let first = t.peer.acquire(&keys[0], held, LEASE).await?;
    equal!(first, Acquired::Granted, "the first lease");
    t.put(&keys[2], "v").await?;
    let tries: Vec<Attempt> = keys.iter().map(|key| attempt(key, token())).collect();
    let answers = all(t.store.acquire_many(&tries).await)?;
    let is_held = matches!(answers.first(), Some(Acquired::Held(_)));
    ensure!(is_held, "a held lock answers {:?}", answers.first());
    let rest = [
        Acquired::Granted,
        Acquired::Value(bytes("v")),
        Acquired::Granted,
    ];
    equal!(answers[1..], rest, "answers");
    t.locked_by(&keys[0], held).await?;
    t.locked_by(&keys[1], tries[1].token).await?;
    t.unlocked(&keys[2]).await?;
    t.locked_by(&keys[3], tries[3].token).await
}

async fn r7_own_tokens_are_granted_again(t: &Trial) -> Verdict {
    let tries = [attempt(&t.key("a"), token()), attempt(&t.key("b"), token())];
    for time in ["first", "second"] {
        let answers = all(t.store.acquire_many(&tries).await)?;
        equal!(
            answers,
            [Acquired::Granted, Acquired::Granted],
            "the {time} time"
        );
    }
    Ok(())
}

async fn each_value_is_stored_by_its_own_token(t: &Trial) -> Verdict {
    let keys = keys(t, &["ours", "foreign", "free", "also ours"]);
    let (ours, foreign) = (t.take(&keys[0]).await?, t.take(&keys[1]).await?);
    let also = t.take(&keys[3]).await?;
    let values = [
        fulfilment(&keys[0], ours, "0"),
        fulfilment(&keys[1], token(), "1"),
        fulfilment(&keys[2], token(), "2"),
        fulfilment(&keys[3], also, "3"),
    ];
    let answers = all(t.store.fulfil_many(&values).await)?;
    let (stored, lost) = (Fulfilled::Stored, Fulfilled::Lost);
    equal!(answers, [stored, lost, lost, stored], "answers");
    for (key, value) in keys.iter().zip([Some("0"), None, None, Some("3")]) {
        t.holds(key, value).await?;
    }
    t.unlocked(&keys[0]).await?;
    t.locked_by(&keys[1], foreign).await?;
    t.unlocked(&keys[3]).await
}

async fn who_is_told_finds_each_value(t: &Trial) -> Verdict {
    let keys = keys(t, &["a", "b"]);
    let mut values = Vec::new();
    let mut ears = Vec::new();
    for key in &keys {
        ears.push(t.listen_by(&*t.peer, key).await?);
        values.push(fulfilment(key, t.take(key).await?, key.id().to_owned()));
    }
    let store = t.store.fulfil_many(&values);
    let hear = async {
        for (key, ear) in keys.iter().zip(&mut ears) {
            ear.hears_value(key.id()).await?;
            t.holds(key, Some(key.id())).await?;
            t.unlocked(key).await?;
        }
        Verdict::Ok(())
    };
    let (answers, heard) = tokio::join!(store, hear);
    equal!(all(answers)?, [Fulfilled::Stored; 2], "answers");
    heard
}

async fn a_thousand_travel_together(t: &Trial) -> Verdict {
    const MANY: usize = 1234;
    let keys: Vec<Key> = (0..MANY).map(|n| t.key(&n.to_string())).collect();
    let odd = |n: usize| n.is_multiple_of(3) || n.is_multiple_of(7);
    let taken = (0..MANY).filter(|n| odd(*n)).map(|n| t.take(&keys[n]));
    futures_util::future::try_join_all(taken).await?;
    let tries: Vec<Attempt> = keys.iter().map(|key| attempt(key, token())).collect();
    let answers = all(t.store.acquire_many(&tries).await)?;
    equal!(answers.len(), MANY, "the number of answers to tries");
    let wrong = (0..MANY).find(|n| (answers[*n] == Acquired::Granted) == odd(*n));
    equal!(wrong, None, "the first try with a wrong answer");
    let values = tries
        .iter()
        .map(|t| fulfilment(&t.key, t.token, t.key.id().to_owned()));
    let values: Vec<Fulfilment> = values.collect();
    let answers = all(t.store.fulfil_many(&values).await)?;
    equal!(answers.len(), MANY, "the number of answers to stores");
    let wrong = (0..MANY).find(|n| (answers[*n] == Fulfilled::Stored) == odd(*n));
    equal!(wrong, None, "the first store with a wrong answer");
    let found = all(t.peer.get_many(&keys).await)?;
    equal!(found.len(), MANY, "the number of values");
    let wanted = |n: usize| (!odd(n)).then(|| bytes(&n.to_string()));
    let wrong = (0..MANY).find(|n| found[*n] != wanted(*n));
    equal!(wrong, None, "the first wrong value");
    Ok(())
}

async fn large_values_travel_together(t: &Trial) -> Verdict {
    const MEBIBYTE: usize = 1024 * 1024;
    let keys = keys(t, &["a", "b", "c", "d"]);
    let mut values = Vec::new();
    for (key, mebibytes) in keys.iter().zip([2, 3, 6, 0]) {
        let value: Bytes = (0..mebibytes * MEBIBYTE)
            .map(|n| ((n >> 12) ^ n) as u8)
            .collect();
        values.push(fulfilment(key, t.take(key).await?, value));
    }
    let answers = all(t.store.fulfil_many(&values).await)?;
    equal!(answers, [Fulfilled::Stored; 4], "answers");
    let found = all(t.peer.get_many(&keys).await)?;
    for (found, value) in found.into_iter().zip(&values) {
        ensure!(
            found.as_ref() == Some(&value.value),
            "{} has another value",
            value.key
        );
        // Nothing so large stays.
        t.store.invalidate(&value.key).await?;
    }
    Ok(())
}

async fn r8_one_of_another_type_spoils_no_other(t: &Trial) -> Verdict {
    let keys = keys(t, &["a", "b", "c"]);
    t.damage(&keys[1], Damage::WrongValueType).await?;
    let tries: Vec<Attempt> = keys.iter().map(|key| attempt(key, token())).collect();
    let mut answers = t.store.acquire_many(&tries).await;
    equal!(answers.len(), 3, "the number of answers");
    let Err(error) = answers.remove(1) else {
        return Err(Stop::failed("a lease was had over what is no value"));
    };
    names(&error, Operation::Acquire, &keys[1])?;
    equal!(error.kind(), ErrorKind::WrongType, "the kind of its error");
    equal!(
        all(answers)?,
        [Acquired::Granted, Acquired::Granted],
        "the others"
    );
    let values = [0, 2].map(|n| fulfilment(&keys[n], tries[n].token, "v"));
    let answers = all(t.store.fulfil_many(&values).await)?;
    equal!(answers, [Fulfilled::Stored; 2], "stores of the others");
    let mut found = t.store.get_many(&keys).await;
    equal!(found.len(), 3, "the number of values");
    match found.remove(1) {
        Ok(None) => {}
        Ok(Some(_)) => return Err(Stop::failed("what is no value is found as one")),
        Err(error) => equal!(
            error.kind(),
            ErrorKind::WrongType,
            "the kind that get gives"
        ),
    }
    let v = Some(bytes("v"));
    equal!(all(found)?, [v.clone(), v], "values of the others");
    Ok(t.store.invalidate(&keys[1]).await?)
}

async fn errors_name_operation_and_key(t: &Trial) -> Verdict {
    let client = t.spare().await?;
    client.close().await;
    let keys = keys(t, &["a", "b"]);
    let tries: Vec<Attempt> = keys.iter().map(|key| attempt(key, token())).collect();
    let values = tries.iter().map(|t| fulfilment(&t.key, t.token, "v"));
    let values: Vec<Fulfilment> = values.collect();
    let got = client
        .get_many(&keys)
        .await
        .into_iter()
        .map(|a| a.map(drop));
    let tried = client.acquire_many(&tries).await;
    let stored = client.fulfil_many(&values).await;
    for (operation, answers) in [
        (Operation::Get, got.collect::<Vec<_>>()),
        (
            Operation::Acquire,
            tried.into_iter().map(|a| a.map(drop)).collect(),
        ),
        (
            Operation::Fulfil,
            stored.into_iter().map(|a| a.map(drop)).collect(),
        ),
    ] {
        equal!(answers.len(), 2, "the number of answers to {operation}");
        for (answer, key) in answers.into_iter().zip(&keys) {
            let Err(error) = answer else {
                return Err(Stop::failed(format!(
                    "{operation} of a closed backend succeeds"
                )));
            };
            names(&error, operation, key)?;
            equal!(
                error.kind(),
                ErrorKind::Closed,
                "the kind that {operation} gives"
            );
        }
    }
    Ok(())
}
