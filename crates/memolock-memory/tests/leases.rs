//! Leases: acquire, fulfil, renew, release.

mod common;

use std::time::Duration;

use common::{LEASE, OURS, THEIRS, TTL, backend, bytes, held, key, ok, take};
use memolock_core::{Acquired, Backend, Fulfilled, Notice, PutMode, Renewal, Token};

#[test]
fn a_free_lock_is_granted_and_a_foreign_one_tells_what_remains() {
    let (backend, clock) = backend();
    let key = key("k");
    take(&backend, &key, OURS);
    clock.advance(Duration::from_secs(2));
    let tried = ok(backend.acquire(&key, THEIRS, LEASE));
    assert_eq!(tried, held(Duration::from_secs(3)));
}

#[test]
fn a_value_comes_first_even_for_the_holder() {
    let (backend, _) = backend();
    let key = key("k");
    take(&backend, &key, OURS);
    ok(backend.put(&key, bytes("v"), TTL, PutMode::Resolve));
    for token in [OURS, THEIRS] {
        let tried = ok(backend.acquire(&key, token, LEASE));
        assert_eq!(tried, Acquired::Value(bytes("v")));
    }
    assert!(ok(backend.inspect(&key)).lock.is_some());
}

#[test]
fn the_empty_value_is_a_value_to_acquire() {
    let (backend, _) = backend();
    ok(backend.put(&key("k"), bytes(""), TTL, PutMode::Override));
    let tried = ok(backend.acquire(&key("k"), OURS, LEASE));
    assert_eq!(tried, Acquired::Value(bytes("")));
    assert_eq!(ok(backend.inspect(&key("k"))).lock, None);
}

#[test]
fn a_stale_value_counts_as_none_and_stays_until_it_is_replaced() {
    let (backend, _) = backend();
    let key = key("k");
    let over = |token, stale: &'static str| {
        let stale = bytes(stale);
        ok(backend.acquire_over(&key, token, LEASE, &stale))
    };
    assert_eq!(over(OURS, "v1"), Acquired::Granted);
    ok(backend.invalidate(&key));
    ok(backend.put(&key, bytes("v1"), TTL, PutMode::Override));
    assert_eq!(over(OURS, ""), Acquired::Value(bytes("v1")));
    assert_eq!(over(OURS, "v1"), Acquired::Granted);
    assert_eq!(over(OURS, "v1"), Acquired::Granted);
    assert_eq!(over(THEIRS, "v1"), held(LEASE));
    assert_eq!(ok(backend.get(&key)), Some(bytes("v1")));
    let fulfilled = ok(backend.fulfil(&key, OURS, bytes("v2"), TTL));
    assert_eq!(fulfilled, Fulfilled::Stored);
    assert_eq!(over(THEIRS, "v1"), Acquired::Value(bytes("v2")));
}

#[test]
fn our_own_token_acquires_again_and_the_lease_begins_anew() {
    let (backend, clock) = backend();
    let key = key("k");
    take(&backend, &key, OURS);
    clock.advance(Duration::from_secs(4));
    take(&backend, &key, OURS);
    clock.advance(Duration::from_secs(4));
    let tried = ok(backend.acquire(&key, THEIRS, LEASE));
    assert_eq!(tried, held(Duration::from_secs(1)));
}

#[test]
fn locks_of_other_keys_are_other_locks() {
    let (backend, _) = backend();
    take(&backend, &key("a"), OURS);
    take(&backend, &key("b"), THEIRS);
    take(&backend, &key(""), THEIRS);
}

#[test]
fn fulfil_stores_and_unlocks() {
    let (backend, _) = backend();
    let key = key("k");
    take(&backend, &key, OURS);
    let stored = ok(backend.fulfil(&key, OURS, bytes("v"), TTL));
    assert_eq!(stored, Fulfilled::Stored);
    assert_eq!(ok(backend.get(&key)), Some(bytes("v")));
    assert_eq!(ok(backend.inspect(&key)).lock, None);
}

#[test]
fn fulfil_overwrites_what_an_external_program_stored_meanwhile() {
    let (backend, _) = backend();
    let key = key("k");
    take(&backend, &key, OURS);
    ok(backend.put(&key, bytes("theirs"), TTL, PutMode::Resolve));
    ok(backend.fulfil(&key, OURS, bytes("ours"), TTL));
    assert_eq!(ok(backend.get(&key)), Some(bytes("ours")));
}

#[test]
fn fulfil_without_the_lease_is_lost_and_changes_nothing() {
    let (backend, clock) = backend();
    let key = key("k");
    let fulfil = |token| ok(backend.fulfil(&key, token, bytes("v"), TTL));
    assert_eq!(fulfil(OURS), Fulfilled::Lost, "never held");
    take(&backend, &key, THEIRS);
    assert_eq!(fulfil(OURS), Fulfilled::Lost, "held by another");
    assert_eq!(ok(backend.acquire(&key, OURS, LEASE)), held(LEASE));
    clock.advance(LEASE);
    assert_eq!(fulfil(THEIRS), Fulfilled::Lost, "expired");
    assert_eq!(ok(backend.get(&key)), None);
}

#[test]
fn a_second_fulfil_is_lost() {
    let (backend, _) = backend();
    let key = key("k");
    take(&backend, &key, OURS);
    ok(backend.fulfil(&key, OURS, bytes("v"), TTL));
    let again = ok(backend.fulfil(&key, OURS, bytes("w"), TTL));
    assert_eq!(again, Fulfilled::Lost);
    assert_eq!(ok(backend.get(&key)), Some(bytes("v")));
}

#[test]
fn r4_put_and_invalidate_fence_the_holder_off() {
    let (backend, _) = backend();
    let key = key("k");
    take(&backend, &key, OURS);
    ok(backend.put(&key, bytes("new"), TTL, PutMode::Override));
    let late = ok(backend.fulfil(&key, OURS, bytes("old"), TTL));
    assert_eq!(late, Fulfilled::Lost);
    assert_eq!(ok(backend.get(&key)), Some(bytes("new")));

    ok(backend.invalidate(&key));
    take(&backend, &key, OURS);
    ok(backend.invalidate(&key));
    let late = ok(backend.fulfil(&key, OURS, bytes("old"), TTL));
    assert_eq!(late, Fulfilled::Lost);
    assert_eq!(ok(backend.get(&key)), None);
}

#[test]
fn renewals_are_answered_one_by_one_and_in_order() {
    let (backend, clock) = backend();
    take(&backend, &key("held"), OURS);
    take(&backend, &key("foreign"), THEIRS);
    take(&backend, &key("also"), OURS);
    clock.advance(Duration::from_secs(4));
    let renewal = |id, lease| Renewal {
        key: key(id),
        token: OURS,
        lease,
    };
    let renewed = ok(backend.renew(&[
        renewal("held", Duration::from_secs(9)),
        renewal("foreign", LEASE),
        renewal("free", LEASE),
        renewal("also", Duration::from_secs(1)),
    ]));
    assert_eq!(renewed, [true, false, false, true]);
    let left = |id| ok(backend.acquire(&key(id), Token::from_bits(3), LEASE));
    assert_eq!(left("held"), held(Duration::from_secs(9)));
    assert_eq!(left("foreign"), held(Duration::from_secs(1)), "untouched");
    assert_eq!(left("also"), held(Duration::from_secs(1)), "shortened");
    assert_eq!(left("free"), Acquired::Granted, "a renewal takes nothing");
    assert_eq!(ok(backend.renew(&[])), Vec::<bool>::new());
}

#[test]
fn an_expired_lease_cannot_be_renewed() {
    let (backend, clock) = backend();
    take(&backend, &key("k"), OURS);
    clock.advance(LEASE);
    let renewal = Renewal {
        key: key("k"),
        token: OURS,
        lease: LEASE,
    };
    assert_eq!(ok(backend.renew(&[renewal])), [false]);
}

#[test]
fn r5_only_the_holder_releases() {
    let (backend, clock) = backend();
    let key = key("k");
    let release = |token| ok(backend.release(&key, token, Some(Notice::Released)));
    assert!(!release(OURS), "never held");
    take(&backend, &key, OURS);
    assert!(!release(THEIRS), "foreign");
    assert_eq!(ok(backend.acquire(&key, THEIRS, LEASE)), held(LEASE));
    assert!(release(OURS));
    assert!(!release(OURS), "released already");
    take(&backend, &key, THEIRS);
    clock.advance(LEASE);
    assert!(!release(THEIRS), "expired");
}

#[test]
fn release_leaves_the_value_alone() {
    let (backend, _) = backend();
    let key = key("k");
    take(&backend, &key, OURS);
    ok(backend.put(&key, bytes("v"), TTL, PutMode::Resolve));
    assert!(ok(backend.release(&key, OURS, None)));
    assert_eq!(ok(backend.get(&key)), Some(bytes("v")));
}
