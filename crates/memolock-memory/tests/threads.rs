//! Many threads at one store: leases exclude, and who hears finds.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use common::{LEASE, TTL, heard, key, ok, value_event};
use memolock_core::{Acquired, Backend, Fulfilled, PutMode, Token};
use memolock_memory::MemoryBackend;

#[test]
fn r1_one_thread_gets_the_lease_and_its_value_is_the_one_that_is_stored() {
    let backend = MemoryBackend::new();
    for round in 0..200_u128 {
        let key = key(&round.to_string());
        let granted = AtomicUsize::new(0);
        thread::scope(|scope| {
            for n in 0..4 {
                let (backend, key, granted) = (backend.clone(), &key, &granted);
                scope.spawn(move || {
                    let token = Token::from_bits(round * 10 + n);
                    if ok(backend.acquire(key, token, LEASE)) == Acquired::Granted {
                        granted.fetch_add(1, Ordering::SeqCst);
                        let value = Bytes::from(token.to_wire());
                        let stored = ok(backend.fulfil(key, token, value, TTL));
                        assert_eq!(stored, Fulfilled::Stored);
                    }
                });
            }
        });
        assert_eq!(granted.load(Ordering::SeqCst), 1);
        assert!(ok(backend.get(&key)).is_some());
    }
}

#[test]
fn the_last_message_is_the_value_that_is_stored() {
    let backend = MemoryBackend::new();
    for round in 0..200 {
        let key = key(&round.to_string());
        let mut subscription = ok(backend.subscribe(&key));
        thread::scope(|scope| {
            for value in ["a", "b", "c", "d"] {
                let (backend, key) = (backend.clone(), &key);
                scope.spawn(move || {
                    let value = Bytes::from_static(value.as_bytes());
                    ok(backend.put(key, value, TTL, PutMode::Override));
                });
            }
        });
        let stored = ok(backend.get(&key)).unwrap();
        let last = heard(&mut subscription).pop().unwrap();
        let same = ["a", "b", "c", "d"].into_iter().find(|v| stored == *v);
        assert_eq!(last, value_event(same.unwrap()));
    }
}
