//! Values: what is stored comes back, byte for byte, to every client.

use bytes::Bytes;
use memolock_core::{Acquired, Backend, PutMode};

use super::case::{Verdict, cases, equal};
use super::trial::{LEASE, TTL, Trial, token};

cases!("value":
    a_missing_value_is_none,
    a_value_comes_back_to_every_client,
    the_empty_string_is_a_value,
    every_byte_comes_back,
    nothing_is_read_into_a_value,
    the_last_put_wins,
    keys_are_apart,
);

async fn a_missing_value_is_none(t: &Trial) -> Verdict {
    t.holds(&t.key("a"), None).await
}

async fn a_value_comes_back_to_every_client(t: &Trial) -> Verdict {
    let key = t.key("a");
    t.put(&key, "42").await?;
    t.holds(&key, Some("42")).await?;
    let put = t.peer.put(&key, "43".into(), TTL, PutMode::Override);
    put.await?;
    t.holds(&key, Some("43")).await
}

async fn the_empty_string_is_a_value(t: &Trial) -> Verdict {
    let key = t.key("a");
    t.put(&key, "").await?;
    t.holds(&key, Some("")).await?;
    let acquired = t.store.acquire(&key, token(), LEASE).await?;
    equal!(acquired, Acquired::Value(Bytes::new()), "acquire");
    let bytes = t.inspect(&key).await?.value.map(|value| value.bytes);
    equal!(bytes, Some(0), "the length that inspect tells");

    let other = t.key("b");
    let token = t.take(&other).await?;
    t.fulfil(&other, token, "").await?;
    t.holds(&other, Some("")).await
}

async fn every_byte_comes_back(t: &Trial) -> Verdict {
    let every: Bytes = (0..=255_u8).chain((0..=255).rev()).collect();
    let not_text = Bytes::from_static(b"\xff\xfe\x00\xc3\x28");
    for value in [every, not_text] {
        let key = t.key("a");
        put(&*t.store, &key, &value).await?;
        equal!(t.peer.get(&key).await?, Some(value.clone()), "a get");
        let acquired = t.peer.acquire(&key, token(), LEASE).await?;
        equal!(acquired, Acquired::Value(value), "acquire");
    }
    Ok(())
}

/// Values that look like something in one protocol or another are what they are.
async fn nothing_is_read_into_a_value(t: &Trial) -> Verdict {
    for value in [
        "OK",
        "nil",
        "NULL",
        "null",
        "0",
        "-1",
        "1",
        "$-1\r\n",
        "\0",
        "\n",
        " ",
        "\\x00",
        "\\",
        "'",
        "{}",
        "[]",
        "released",
        "invalidated",
        "failed:no",
        "%s",
        "true",
    ] {
        let key = t.key(value);
        t.put(&key, value).await?;
        t.holds(&key, Some(value)).await?;
    }
    Ok(())
}

async fn the_last_put_wins(t: &Trial) -> Verdict {
    let key = t.key("a");
    for value in ["a long first value", "2", "", "the last"] {
        t.put(&key, value).await?;
    }
    t.holds(&key, Some("the last")).await
}

async fn keys_are_apart(t: &Trial) -> Verdict {
    let beside = t.space_beside("-beside")?;
    let ids = ["a", "A", "ab", "b", "a ", " a", "a:a"];
    for id in ids {
        t.put(&t.key(id), id).await?;
    }
    for id in ids {
        t.holds(&t.key(id), Some(id)).await?;
        let other = beside
            .key(id)
            .map_err(|error| super::Stop::failed(format!("an ordinary id is refused: {error}")))?;
        t.holds(&other, None).await?;
    }
    t.store.invalidate(&t.key("a")).await?;
    for id in &ids[1..] {
        t.holds(&t.key(id), Some(id)).await?;
    }
    Ok(())
}

async fn put(client: &dyn Backend, key: &memolock_core::Key, value: &Bytes) -> Verdict {
    let put = client.put(key, value.clone(), TTL, PutMode::Override);
    Ok(put.await?)
}
