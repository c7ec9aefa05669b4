//! Hostile ids and tags: whatever a stranger chooses is a name like any other.

use futures_util::future::try_join_all;
use memolock_core::{Fulfilled, Key, Keyspace, MAX_ID_BYTES, MAX_TAG_BYTES};

use super::case::{Stop, Verdict, cases, ensure, equal};
use super::trial::Trial;

cases!("ids":
    any_id_is_a_name,
    ids_are_never_taken_for_each_other,
    any_tag_is_a_name,
    the_longest_id_is_a_name,
);

const HOSTILE: [&str; 36] = [
    "",
    " ",
    "\0",
    "a\0b",
    "\n",
    "\r\n",
    "a\r\nDEL b\r\n",
    "\t",
    "\u{7f}",
    "\u{1b}[31m",
    "{",
    "}",
    "{}",
    "{a}",
    "}{",
    "a{b}c",
    "*",
    "?",
    "[a-z]",
    "a*",
    "\\",
    "\\*",
    "%",
    "_",
    "'",
    "\"",
    "'; DROP TABLE memolock; --",
    "$1",
    "$(reboot)",
    "../../etc/passwd",
    "a/lock:b",
    "lock:a",
    "ünïcødé ☃ 🦀",
    "\u{202e}rtl",
    "\u{feff}",
    "e\u{301}",
];

/// The keys that the layout allows: the hash-tagged one refuses a few ids.
fn hostile(space: &Keyspace) -> Vec<Key> {
    HOSTILE.iter().filter_map(|id| space.key(id).ok()).collect()
}

/// Everything that is done with a key.
async fn walk_through(t: &Trial, key: &Key, value: &str) -> Verdict {
    let mut ear = t.listen_by(&*t.peer, key).await?;
    let token = t.take(key).await?;
    equal!(
        t.renew_one(key, token, super::trial::LEASE).await?,
        true,
        "renewal for {key}"
    );
    equal!(
        t.fulfil(key, token, value).await?,
        Fulfilled::Stored,
        "fulfil for {key}"
    );
    ear.hears_value(value).await?;
    t.holds(key, Some(value)).await?;
    let seen = t.inspect(key).await?;
    ensure!(
        seen.value.is_some() && seen.lock.is_none(),
        "inspect of {key}: {seen:?}"
    );
    t.silent(key, &mut ear).await?;
    t.store.invalidate(key).await?;
    t.holds(key, None).await
}

async fn any_id_is_a_name(t: &Trial) -> Verdict {
    for key in hostile(&t.space) {
        if let Err(Stop::Failed(why)) = walk_through(t, &key, "v").await {
            return Err(Stop::failed(format!("id {:?}: {why}", key.id())));
        }
    }
    Ok(())
}

async fn ids_are_never_taken_for_each_other(t: &Trial) -> Verdict {
    let keys = hostile(&t.space);
    let mut ears = Vec::new();
    for key in &keys {
        ears.push(t.listen_by(&*t.peer, key).await?);
    }
    try_join_all(keys.iter().map(|key| t.put(key, key.id()))).await?;
    for (key, ear) in keys.iter().zip(&mut ears) {
        t.holds(key, Some(key.id())).await?;
        ear.hears_value(key.id()).await?;
        t.silent(key, ear).await?;
    }
    Ok(())
}

async fn any_tag_is_a_name(t: &Trial) -> Verdict {
    let used = t.space.tag().as_str().len();
    let longest = "x".repeat(MAX_TAG_BYTES - used);
    for more in [
        "*?[a]", "\0\n\r\n", " a b ", "/lock/x", "'\"\\%_", "ü☃", &longest,
    ] {
        let space = t.space_beside(more)?;
        let key = space
            .key("a")
            .map_err(|error| Stop::failed(error.to_string()))?;
        if let Err(Stop::Failed(why)) = walk_through(t, &key, "v").await {
            return Err(Stop::failed(format!(
                "a tag that ends in {more:.20?}: {why}"
            )));
        }
    }
    Ok(())
}

async fn the_longest_id_is_a_name(t: &Trial) -> Verdict {
    let mut id = "x".repeat(MAX_ID_BYTES - 1);
    // The same but for the last letter.
    let keys = ["a", "b"].map(|last| t.space.key(&format!("{id}{last}")));
    let [Ok(a), Ok(b)] = keys else {
        return Err(Stop::failed("a key of the greatest length was refused"));
    };
    t.put(&b, "b").await?;
    walk_through(t, &a, "a").await?;
    t.holds(&b, Some("b")).await?;
    id.truncate(MAX_ID_BYTES / 2);
    t.holds(&t.key(&id), None).await
}
