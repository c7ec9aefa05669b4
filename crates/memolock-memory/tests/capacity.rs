//! The limit: what makes way, and what is refused.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{LEASE, OURS, THEIRS, TTL, bytes, heard, key, now, ok, take};
use memolock_core::{Backend, ErrorKind, Fulfilled, Operation, PutMode, Token};
use memolock_memory::{ENTRY_OVERHEAD_BYTES, ManualClock, MemoryBackend};

/// What an entry of a one-letter id of tag `likes` costs beside its payload.
const ENTRY: usize = ENTRY_OVERHEAD_BYTES + "likes".len() + 1;

fn limited(capacity: usize) -> (MemoryBackend, ManualClock) {
    let clock = ManualClock::new();
    let builder = MemoryBackend::builder().capacity_bytes(capacity);
    (builder.clock(clock.clone()).build(), clock)
}

fn put(backend: &MemoryBackend, id: &str, size: usize) {
    let value = Bytes::from(vec![b'x'; size]);
    ok(backend.put(&key(id), value, TTL, PutMode::Override));
}

fn there(backend: &MemoryBackend, ids: &str) -> String {
    let there = |id: &char| ok(backend.inspect(&key(&id.to_string()))).value.is_some();
    ids.chars().filter(there).collect()
}

#[test]
fn names_payload_and_overhead_are_reckoned() {
    let (backend, _) = limited(10_000);
    put(&backend, "a", 100);
    assert_eq!(backend.usage().bytes, ENTRY + 100);
    put(&backend, "a", 10);
    assert_eq!(backend.usage().bytes, ENTRY + 10);
    take(&backend, &key("b"), OURS);
    assert_eq!(backend.usage().bytes, 2 * ENTRY + 10);
    ok(backend.fulfil(&key("b"), OURS, bytes("xx"), TTL));
    assert_eq!(backend.usage().bytes, 2 * ENTRY + 12);
    ok(backend.invalidate(&key("a")));
    ok(backend.invalidate(&key("b")));
    assert_eq!(backend.usage(), Default::default());
}

#[test]
fn the_least_recently_used_value_makes_way() {
    let (backend, _) = limited(3 * (ENTRY + 100));
    for id in ["a", "b", "c"] {
        put(&backend, id, 100);
    }
    assert_eq!(there(&backend, "abc"), "abc", "all three fit exactly");
    ok(backend.get(&key("a")));
    ok(backend.acquire(&key("b"), OURS, LEASE));
    put(&backend, "d", 100);
    assert_eq!(there(&backend, "abcd"), "abd", "a and b were read after c");
}

#[test]
fn inspecting_is_no_use() {
    let (backend, _) = limited(2 * (ENTRY + 100));
    put(&backend, "a", 100);
    put(&backend, "b", 100);
    ok(backend.inspect(&key("a")));
    put(&backend, "c", 100);
    assert_eq!(there(&backend, "abc"), "bc");
}

#[test]
fn expired_values_make_way_first() {
    let (backend, clock) = limited(2 * (ENTRY + 100));
    put(&backend, "a", 100);
    let value = Bytes::from(vec![b'x'; 100]);
    let short = Duration::from_secs(1);
    ok(backend.put(&key("b"), value, short, PutMode::Override));
    clock.advance(short);
    put(&backend, "c", 100);
    assert_eq!(there(&backend, "abc"), "ac");
}

#[test]
fn a_value_is_replaced_in_its_own_room() {
    let (backend, _) = limited(2 * (ENTRY + 100));
    put(&backend, "a", 100);
    put(&backend, "b", 100);
    put(&backend, "b", 100);
    assert_eq!(there(&backend, "ab"), "ab");
}

#[test]
fn a_value_larger_than_everything_is_refused_and_changes_nothing() {
    let (backend, _) = limited(1000);
    put(&backend, "a", 10);
    take(&backend, &key("b"), OURS);
    let mut subscription = ok(backend.subscribe(&key("b")));
    let huge = || Bytes::from(vec![b'x'; 1000]);
    let error = now(backend.fulfil(&key("b"), OURS, huge(), TTL)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    assert_eq!(error.operation(), Operation::Fulfil);
    assert_eq!(error.key(), Some(&key("b")));
    assert!(error.is_outage() && !error.is_ambiguous());
    let error = now(backend.put(&key("b"), huge(), TTL, PutMode::Override)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    assert_eq!(there(&backend, "ab"), "a", "nothing made way for it");
    assert!(ok(backend.release(&key("b"), OURS, None)), "still ours");
    assert_eq!(heard(&mut subscription), []);
}

#[test]
fn locks_push_values_out_and_are_never_pushed_out() {
    let (backend, _) = limited(3 * ENTRY);
    put(&backend, "a", 0);
    put(&backend, "b", 0);
    for id in ["x", "y", "z"] {
        take(&backend, &key(id), OURS);
    }
    assert_eq!(there(&backend, "ab"), "");
    let error = now(backend.acquire(&key("q"), OURS, LEASE)).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::OutOfMemory,
        "locks are bounded too"
    );
    let error = now(backend.put(&key("a"), Bytes::new(), TTL, PutMode::Override)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    for id in ["x", "y", "z"] {
        assert!(ok(backend.release(&key(id), OURS, None)), "{id} is kept");
    }
}

#[test]
fn a_holder_stores_its_value_in_the_room_of_its_lock() {
    let (backend, _) = limited(2 * ENTRY);
    take(&backend, &key("a"), OURS);
    take(&backend, &key("b"), OURS);
    let stored = ok(backend.fulfil(&key("a"), OURS, Bytes::new(), TTL));
    assert_eq!(stored, Fulfilled::Stored);
    assert_eq!(there(&backend, "a"), "a");
}

#[test]
fn expired_locks_do_not_stand_in_the_way() {
    let (backend, clock) = limited(40 * ENTRY);
    for n in 0..40 {
        let id = char::from(b'0' + n).to_string();
        take(&backend, &key(&id), OURS);
    }
    clock.advance(LEASE);
    take(&backend, &key("a"), THEIRS);
    put(&backend, "b", 38 * ENTRY);
    assert_eq!(there(&backend, "b"), "b");
}

#[test]
fn without_any_room_everything_is_refused_and_nothing_panics() {
    let (backend, _) = limited(0);
    let tried = now(backend.acquire(&key("a"), OURS, LEASE));
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::OutOfMemory);
    assert_eq!(ok(backend.get(&key("a"))), None);
    let stored = ok(backend.fulfil(&key("a"), OURS, Bytes::new(), TTL));
    assert_eq!(stored, Fulfilled::Lost);
}

#[test]
fn the_limit_holds_over_a_long_run() {
    let capacity = 20 * ENTRY;
    let (backend, _) = limited(capacity);
    for n in 0..5000_u32 {
        let id = (n * 7919 % 101).to_string();
        let token = Token::from_bits(n.into());
        if ok(backend.acquire(&key(&id), token, LEASE)) == memolock_core::Acquired::Granted {
            let value = Bytes::from(vec![0; (n % 1500) as usize]);
            ok(backend.fulfil(&key(&id), token, value, TTL));
        }
        assert!(backend.usage().bytes <= capacity);
    }
    assert!(backend.usage().values > 3, "and is made use of");
}
