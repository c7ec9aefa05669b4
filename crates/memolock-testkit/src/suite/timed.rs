//! Values with their times, for those who keep copies.

use memolock_core::{Key, PutMode};

use super::case::{Verdict, cases, ensure, equal};
use super::trial::{TTL, Trial, bytes, within};

cases!("timed":
    a_value_comes_with_its_time,
    answers_come_in_the_order_of_keys,
    a_thousand_travel_together,
    of_none_there_are_none,
);

async fn a_value_comes_with_its_time(t: &Trial) -> Verdict {
    for ttl in [TTL / 2, TTL] {
        let key = t.key(&format!("{ttl:?}"));
        t.store
            .put(&key, bytes("v"), ttl, PutMode::Override)
            .await?;
        for client in [&t.store, &t.peer] {
            let found = client.get_timed(std::slice::from_ref(&key)).await?;
            let [Some(found)] = found.as_slice() else {
                ensure!(false, "what is stored comes back as {found:?}");
                continue;
            };
            equal!(found.value, bytes("v"), "the value with its time");
            within("the value", found.remaining, ttl - t.patience, ttl)?;
        }
    }
    Ok(())
}

async fn answers_come_in_the_order_of_keys(t: &Trial) -> Verdict {
    for (id, value) in [("a", "1"), ("empty", ""), ("b", "2")] {
        t.put(&t.key(id), value).await?;
    }
    let gone = t.key("gone");
    t.put(&gone, "v").await?;
    t.store.invalidate(&gone).await?;
    let ids = ["b", "absent", "a", "empty", "gone", "a"];
    let keys: Vec<Key> = ids.iter().map(|id| t.key(id)).collect();
    let found = t.store.get_timed(&keys).await?;
    let values: Vec<_> = found.into_iter().map(|f| f.map(|f| f.value)).collect();
    let expected = [Some("2"), None, Some("1"), Some(""), None, Some("1")];
    equal!(
        values,
        expected.map(|value| value.map(bytes)).to_vec(),
        "the values of {ids:?}"
    );
    Ok(())
}

async fn a_thousand_travel_together(t: &Trial) -> Verdict {
    let keys: Vec<Key> = (0..1200).map(|n| t.key(&n.to_string())).collect();
    for nth in [0, 499, 500, 1199] {
        t.put(&keys[nth], keys[nth].id()).await?;
    }
    let found = t.store.get_timed(&keys).await?;
    equal!(found.len(), keys.len(), "answers");
    for (nth, (key, found)) in keys.iter().zip(found).enumerate() {
        let there = matches!(nth, 0 | 499 | 500 | 1199);
        let value = found.map(|found| found.value);
        equal!(value, there.then(|| bytes(key.id())), "the value of {nth}");
    }
    Ok(())
}

async fn of_none_there_are_none(t: &Trial) -> Verdict {
    equal!(t.store.get_timed(&[]).await?.len(), 0, "answers to nothing");
    Ok(())
}
