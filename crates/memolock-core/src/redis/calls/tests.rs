//! What each call sends.

use super::*;
use crate::{Keyspace, Layout, Tag};

fn key(id: &str) -> Key {
    let space = Keyspace::new(Tag::new("likes").unwrap(), Layout::Classic).unwrap();
    space.key(id).unwrap()
}

#[test]
fn each_script_stands_at_its_number() {
    for (at, script) in Script::ALL.into_iter().enumerate() {
        assert_eq!(script as usize, at);
        assert!(script.text().starts_with("-- KEYS:"), "{script:?}");
    }
}

#[test]
fn keys_and_arguments_are_those_of_the_scripts_heads() {
    let second = Duration::from_secs(1);
    let token = Token::from_bits(1);
    let wire = token.to_wire();
    let call = acquire(&key("a"), token, second);
    assert_eq!(call.keys, ["likes:a", "likes/lock:a"]);
    assert_eq!(call.args, [wire.as_bytes(), b"1000"]);
    let call = fulfil(&key("a"), token, "v".into(), second);
    let notif = b"likes/notif:a";
    assert_eq!(call.args, [wire.as_bytes(), b"1000", b"v", notif]);
    let call = release(&key("a"), token, None);
    assert_eq!(call.keys, ["likes/lock:a"]);
    assert_eq!(call.args, [wire.as_bytes(), b"likes/fail:a", b""]);
    let call = put(&key("a"), "v".into(), second, PutMode::Resolve);
    assert_eq!(call.args, [&b"1000"[..], b"v", notif, b"0"]);
    assert_eq!(call.keys, ["likes:a"]);
    let call = put(&key("a"), "v".into(), second, PutMode::Override);
    assert_eq!(call.args, [&b"1000"[..], b"v", notif, b"1"]);
    assert_eq!(call.keys, ["likes:a", "likes/lock:a"]);
    let call = invalidate(&key("a"));
    assert_eq!(call.args, [&b"likes/fail:a"[..], b"invalidated"]);
    assert!(inspect(&key("a")).args.is_empty());
    let call = timed(&[key("a"), key("b")]);
    assert_eq!(call.keys, ["likes:a", "likes:b"]);
    let call = repeat(&[key("a"), key("b")]);
    assert_eq!(call.keys, ["likes:a", "likes:b"]);
    let other = b"likes/notif:b";
    let bounds = [&b"8388608"[..], b"1048576"];
    assert_eq!(call.args, [bounds[0], bounds[1], notif, b"", other, b""]);
}

#[test]
fn each_database_has_channels_of_its_own() {
    let second = Duration::from_secs(1);
    let (a, b, token) = (key("a"), key("b"), Token::from_bits(1));
    let sent = |call: Call| {
        let old = call.clone();
        assert_eq!(old.clone().in_database(0, &[&a, &b]), old);
        let new = call.in_database(3, &[&a, &b]);
        assert_eq!((&new.keys, new.args.len()), (&old.keys, old.args.len()));
        let changed = old.args.into_iter().zip(new.args).filter(|(o, n)| o != n);
        let changed = changed.map(|(old, new)| [old, new]);
        changed.collect::<Vec<_>>().concat()
    };
    let notif = [&b"likes/notif:a"[..], b"likes/notif@3:a"];
    let fail = [&b"likes/fail:a"[..], b"likes/fail@3:a"];
    assert_eq!(sent(fulfil(&a, token, "v".into(), second)), notif);
    for mode in [PutMode::Override, PutMode::Resolve] {
        assert_eq!(sent(put(&a, "v".into(), second, mode)), notif);
    }
    assert_eq!(sent(release(&a, token, Some(&Notice::Released))), fail);
    assert_eq!(sent(invalidate(&a)), fail);
    let values = [&a, &b].map(|key| Fulfilment {
        key: key.clone(),
        token,
        value: "v".into(),
        ttl: second,
    });
    let both = [&notif[..], &[b"likes/notif:b", b"likes/notif@3:b"]].concat();
    assert_eq!(sent(fulfil_many(&values)), both);
    assert_eq!(sent(repeat(&[a.clone(), b.clone()])), both);
    assert!(sent(acquire(&a, token, second)).is_empty());
    assert!(sent(inspect(&a)).is_empty() && sent(timed(&[key("a")])).is_empty());
}

#[test]
fn many_travel_together_in_order() {
    let second = Duration::from_secs(1);
    let token = Token::from_bits;
    let tries = [1, 2].map(|n| Attempt {
        key: key(&n.to_string()),
        token: token(n),
        lease: second,
    });
    let call = acquire_many(&tries);
    let names = ["likes:1", "likes/lock:1", "likes:2", "likes/lock:2"];
    assert_eq!(call.keys, names);
    let (one, two) = (token(1).to_wire(), token(2).to_wire());
    let args = [one.as_bytes(), b"1000", two.as_bytes(), b"1000"];
    assert_eq!(call.args, args);
    let values = tries.map(|t| Fulfilment {
        value: t.key.id().to_owned().into(),
        key: t.key,
        token: t.token,
        ttl: second,
    });
    let call = fulfil_many(&values);
    assert_eq!(call.keys, names);
    let one = fulfil(&key("1"), token(1), "1".into(), second).args;
    let two = fulfil(&key("2"), token(2), "2".into(), second).args;
    assert_eq!((&call.args[..4], &call.args[5..9]), (&one[..], &two[..]));
    assert_eq!((&call.args[4][..], &call.args[9][..]), (&b""[..], &b""[..]));
}

#[test]
fn scripts_that_publish_are_told_how_unless_it_is_the_classic_way() {
    let second = Duration::from_secs(1);
    let token = Token::from_bits(1);
    for (notifications, word) in [
        (Notifications::Sharded, "sharded"),
        (Notifications::Both, "both"),
    ] {
        let space = key("a").space().clone().with_notifications(notifications);
        let key = space.key("a").unwrap();
        for call in [
            fulfil(&key, token, "v".into(), second),
            put(&key, "v".into(), second, PutMode::Override),
            put(&key, "v".into(), second, PutMode::Resolve),
            invalidate(&key),
            release(&key, token, None),
        ] {
            assert_eq!(call.args.last().unwrap(), word, "{call:?}");
        }
    }
}

#[test]
fn parcels_hold_all_values_in_order_and_are_bounded() {
    let of = |bytes: usize| Fulfilment {
        key: key("a"),
        token: Token::from_bits(1),
        value: vec![0; bytes].into(),
        ttl: Duration::from_secs(1),
    };
    let sizes = |values: &[Fulfilment]| parcels(values).map(<[_]>::len).collect::<Vec<_>>();
    assert!(sizes(&[]).is_empty());
    assert_eq!(sizes(&vec![of(1); LOCKS_PER_CALL + 1]), [LOCKS_PER_CALL, 1]);
    let half = BYTES_PER_CALL / 2;
    let values = [of(half), of(half), of(1), of(2 * half + 1), of(0)];
    assert_eq!(sizes(&values), [2, 1, 1, 1]);
    let again: Vec<Fulfilment> = parcels(&values).flatten().cloned().collect();
    assert_eq!(again, values);
}

#[test]
fn renewals_travel_together_in_order() {
    let renewals = [1, 2].map(|n| Renewal {
        key: key(&n.to_string()),
        token: Token::from_bits(n),
        lease: Duration::from_millis(500),
    });
    let call = renew(&renewals);
    assert_eq!(call.keys, ["likes/lock:1", "likes/lock:2"]);
    let tokens = renewals.map(|r| r.token.to_wire());
    let [one, two] = tokens.each_ref().map(String::as_bytes);
    assert_eq!(call.args, [one, b"500", two, b"500"]);
}

/// Only what a token fences may overtake others on its key.
#[test]
fn only_fulfils_of_more_than_a_mebibyte_are_large() {
    let (second, token) = (Duration::from_secs(1), Token::from_bits(1));
    let value = |bytes| Bytes::from(vec![7; bytes]);
    let fulfil = |bytes| fulfil(&key("a"), token, value(bytes), second);
    assert!(!fulfil(1000).is_large_fulfil());
    assert!(fulfil(LARGE_BYTES + 1).is_large_fulfil());
    assert!(fulfil(LARGE_BYTES + 1).bytes() > LARGE_BYTES);
    let half = Fulfilment {
        key: key("a"),
        token,
        value: value(LARGE_BYTES / 2 + 1),
        ttl: second,
    };
    assert!(!fulfil_many(std::slice::from_ref(&half)).is_large_fulfil());
    assert!(fulfil_many(&[half.clone(), half]).is_large_fulfil());
    let put = put(&key("a"), value(2 * LARGE_BYTES), second, PutMode::Override);
    assert!(!put.is_large_fulfil());
}
