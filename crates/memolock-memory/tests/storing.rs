//! Values: get, put, invalidate, inspect.

mod common;

use std::time::Duration;

use common::{LEASE, OURS, TTL, backend, bytes, key, ok, take};
use memolock_core::{Backend, Keyspace, Layout, LockInfo, PutMode, Remaining, Tag, ValueInfo};

#[test]
fn nothing_is_there_at_first() {
    let (backend, _) = backend();
    assert_eq!(ok(backend.get(&key("k"))), None);
    assert_eq!(ok(backend.inspect(&key("k"))), Default::default());
}

#[test]
fn put_stores_and_overwrites_without_a_copy() {
    let (backend, _) = backend();
    let (first, second) = (bytes("first"), bytes("second"));
    ok(backend.put(&key("k"), first, TTL, PutMode::Override));
    ok(backend.put(&key("k"), second.clone(), TTL, PutMode::Override));
    let found = ok(backend.get(&key("k"))).unwrap();
    assert_eq!(found.as_ptr(), second.as_ptr());
}

#[test]
fn the_empty_value_is_a_value() {
    let (backend, _) = backend();
    ok(backend.put(&key("k"), bytes(""), TTL, PutMode::Override));
    assert_eq!(ok(backend.get(&key("k"))), Some(bytes("")));
    let seen = ok(backend.inspect(&key("k")));
    assert_eq!(seen.value.map(|v| v.bytes), Some(0));
}

#[test]
fn a_key_is_its_tag_id_and_layout() {
    let (backend, _) = backend();
    let other = |tag: &str, layout| {
        let space = Keyspace::new(Tag::new(tag).unwrap(), layout).unwrap();
        space.key("k").unwrap()
    };
    ok(backend.put(&key("k"), bytes("v"), TTL, PutMode::Override));
    assert_eq!(
        ok(backend.get(&other("likes", Layout::Classic))),
        Some(bytes("v"))
    );
    assert_eq!(ok(backend.get(&other("views", Layout::Classic))), None);
    assert_eq!(ok(backend.get(&other("likes", Layout::HashTagged))), None);
}

#[test]
fn put_overrides_the_lock_or_leaves_it_to_its_holder() {
    let (backend, _) = backend();
    take(&backend, &key("over"), OURS);
    take(&backend, &key("resolve"), OURS);
    ok(backend.put(&key("over"), bytes("v"), TTL, PutMode::Override));
    ok(backend.put(&key("resolve"), bytes("v"), TTL, PutMode::Resolve));
    assert_eq!(ok(backend.inspect(&key("over"))).lock, None);
    assert!(ok(backend.inspect(&key("resolve"))).lock.is_some());
}

#[test]
fn invalidate_deletes_value_and_lock_of_this_key_only() {
    let (backend, _) = backend();
    for id in ["a", "b"] {
        take(&backend, &key(id), OURS);
        ok(backend.put(&key(id), bytes("v"), TTL, PutMode::Resolve));
    }
    ok(backend.invalidate(&key("a")));
    ok(backend.invalidate(&key("never there")));
    assert_eq!(ok(backend.inspect(&key("a"))), Default::default());
    let other = ok(backend.inspect(&key("b")));
    assert!(other.value.is_some() && other.lock.is_some());
}

#[test]
fn inspect_tells_length_holder_and_what_remains() {
    let (backend, clock) = backend();
    let key = key("k");
    take(&backend, &key, OURS);
    ok(backend.put(&key, bytes("four"), TTL, PutMode::Resolve));
    clock.advance(Duration::from_secs(1));
    let seen = ok(backend.inspect(&key));
    let expected = ValueInfo {
        bytes: 4,
        remaining: Remaining::Expires(TTL - Duration::from_secs(1)),
    };
    assert_eq!(seen.value, Some(expected));
    let expected = LockInfo {
        holder: OURS.to_wire().into(),
        remaining: Remaining::Expires(LEASE - Duration::from_secs(1)),
    };
    assert_eq!(seen.lock, Some(expected));
    assert_eq!(seen.oddities, Vec::<String>::new());
}

#[test]
fn clones_share_the_store() {
    let (backend, _) = backend();
    let other = backend.clone();
    ok(backend.put(&key("k"), bytes("v"), TTL, PutMode::Override));
    assert_eq!(ok(other.get(&key("k"))), Some(bytes("v")));
}
