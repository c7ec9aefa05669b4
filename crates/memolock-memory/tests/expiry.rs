//! Time: when values and leases end, and that what has ended does not pile up.

mod common;

use std::time::Duration;

use common::{LEASE, OURS, THEIRS, TTL, backend, bytes, held, key, ok, take};
use memolock_core::{Backend, Fulfilled, MAX_TTL, PutMode, Renewal, Token};
use memolock_memory::MemoryBackend;

const INSTANT: Duration = Duration::from_nanos(1);

/// The step of tokio's timers.
const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn a_value_ends_exactly_after_its_ttl() {
    let (backend, clock) = backend();
    ok(backend.put(&key("k"), bytes("v"), TTL, PutMode::Override));
    clock.advance(TTL - INSTANT);
    assert_eq!(ok(backend.get(&key("k"))), Some(bytes("v")));
    clock.advance(INSTANT);
    assert_eq!(ok(backend.get(&key("k"))), None);
    assert_eq!(ok(backend.inspect(&key("k"))).value, None);
}

#[test]
fn a_lease_ends_exactly_after_its_time_so_that_a_waiter_is_never_told_zero() {
    let (backend, clock) = backend();
    take(&backend, &key("k"), OURS);
    clock.advance(LEASE - INSTANT);
    assert_eq!(ok(backend.acquire(&key("k"), THEIRS, LEASE)), held(INSTANT));
    clock.advance(INSTANT);
    take(&backend, &key("k"), THEIRS);
    let late = ok(backend.fulfil(&key("k"), OURS, bytes("v"), TTL));
    assert_eq!(late, Fulfilled::Lost);
}

#[test]
fn fulfil_gives_the_value_its_own_ttl() {
    let (backend, clock) = backend();
    take(&backend, &key("k"), OURS);
    clock.advance(Duration::from_secs(4));
    ok(backend.fulfil(&key("k"), OURS, bytes("v"), TTL));
    clock.advance(TTL - INSTANT);
    assert!(ok(backend.get(&key("k"))).is_some());
    clock.advance(INSTANT);
    assert!(ok(backend.get(&key("k"))).is_none());
}

#[test]
fn durations_are_whole_milliseconds_as_on_the_wire() {
    let (backend, clock) = backend();
    let zero = Duration::ZERO;
    ok(backend.put(&key("k"), bytes("v"), zero, PutMode::Override));
    assert_eq!(ok(backend.get(&key("k"))), Some(bytes("v")));
    clock.advance(Duration::from_millis(1));
    assert_eq!(ok(backend.get(&key("k"))), None);
}

#[test]
fn absurd_durations_are_clamped() {
    let (backend, clock) = backend();
    let forever = Duration::MAX;
    ok(backend.acquire(&key("lock"), OURS, forever));
    ok(backend.put(&key("k"), bytes("v"), forever, PutMode::Override));
    clock.advance(MAX_TTL - INSTANT);
    assert_eq!(ok(backend.get(&key("k"))), Some(bytes("v")));
    clock.advance(INSTANT);
    assert_eq!(ok(backend.get(&key("k"))), None);
    take(&backend, &key("lock"), THEIRS);
    clock.advance(forever);
    ok(backend.put(&key("k"), bytes("v"), TTL, PutMode::Override));
}

#[test]
fn a_crowd_of_expired_entries_goes_as_others_are_asked_for() {
    let (backend, clock) = backend();
    for n in 0..500 {
        let id = n.to_string();
        take(&backend, &key(&id), OURS);
        ok(backend.put(&key(&id), bytes("v"), TTL, PutMode::Resolve));
    }
    assert_eq!((backend.usage().values, backend.usage().locks), (500, 500));
    clock.advance(TTL);
    for _ in 0..125 {
        ok(backend.get(&key("another")));
    }
    assert_eq!(backend.usage(), Default::default());
}

#[test]
fn entries_that_are_never_asked_for_again_do_not_pile_up() {
    let (backend, clock) = backend();
    let step = Duration::from_secs(1);
    for n in 0..10_000 {
        let (id, token) = (n.to_string(), Token::from_bits(n));
        take(&backend, &key(&id), token);
        let died = n % 2 == 1;
        if !died {
            ok(backend.fulfil(&key(&id), token, bytes("v"), TTL));
        }
        clock.advance(step);
        let usage = backend.usage();
        assert!(usage.values <= 32 && usage.locks <= 8, "{usage:?}");
    }
}

#[test]
fn renewals_leave_nothing_behind() {
    let (backend, clock) = backend();
    take(&backend, &key("k"), OURS);
    let before = backend.usage();
    let renewal = Renewal {
        key: key("k"),
        token: OURS,
        lease: LEASE,
    };
    for _ in 0..1000 {
        clock.advance(LEASE / 3);
        assert_eq!(ok(backend.renew(std::slice::from_ref(&renewal))), [true]);
    }
    assert_eq!(backend.usage(), before);
    clock.advance(LEASE);
    ok(backend.get(&key("k")));
    assert_eq!(backend.usage(), Default::default());
}

/// The default clock is tokio's: a test that pauses its time moves TTLs and leases by it.
#[tokio::test(start_paused = true)]
async fn paused_time_moves_ttls_and_leases() {
    let backend = MemoryBackend::new();
    take(&backend, &key("k"), OURS);
    tokio::time::sleep(LEASE - MILLISECOND).await;
    assert_eq!(
        ok(backend.acquire(&key("k"), THEIRS, LEASE)),
        held(MILLISECOND)
    );
    tokio::time::sleep(MILLISECOND).await;
    take(&backend, &key("k"), THEIRS);
    let stored = ok(backend.fulfil(&key("k"), THEIRS, bytes("v"), TTL));
    assert_eq!(stored, Fulfilled::Stored);
    tokio::time::advance(TTL - MILLISECOND).await;
    assert_eq!(ok(backend.get(&key("k"))), Some(bytes("v")));
    tokio::time::advance(MILLISECOND).await;
    assert_eq!(ok(backend.get(&key("k"))), None);
}
