//! Random bits: from the operating system, unless a test brings its own.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memolock_core::Entropy;

/// The operating system's randomness: what lease tokens need to be unguessable.
///
/// It is asked anew for each token and nothing is kept, so a process that was forked or restored from a snapshot
/// does not repeat what the original drew.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn bits(&mut self) -> u128 {
        let mut bytes = [0; 16];
        match getrandom::fill(&mut bytes) {
            Ok(()) => u128::from_le_bytes(bytes),
            Err(error) => {
                static TOLD: Once = Once::new();
                TOLD.call_once(|| {
                    tracing::warn!(%error, "no randomness: lease tokens are distinct, and can be guessed");
                });
                distinct()
            }
        }
    }
}

/// Without randomness: bits that no other call has, here or elsewhere, which is what correctness needs. A system
/// like that cannot run TLS or hash maps either, and a cache is no reason to panic.
fn distinct() -> u128 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Relaxed);
    let time = std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_nanos());
    // The stack's place differs from process to process where the system shuffles addresses.
    let place = (&raw const call) as usize as u64;
    let high = (u64::from(std::process::id()) << 32) ^ call;
    // An odd factor, so that two times never become one.
    (u128::from(high) << 64) ^ time.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u128::from(place)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn drawn(threads: usize, draw: fn() -> u128) -> HashSet<u128> {
        let crowd: Vec<_> = (0..threads)
            .map(|_| std::thread::spawn(move || (0..1000).map(|_| draw()).collect::<Vec<_>>()))
            .collect();
        let all = crowd.into_iter().map(|one| one.join().unwrap());
        all.flatten().collect()
    }

    #[test]
    fn tokens_do_not_repeat() {
        assert_eq!(drawn(8, || OsEntropy.bits()).len(), 8000);
    }

    #[test]
    fn every_bit_is_drawn() {
        let drawn = drawn(1, || OsEntropy.bits());
        let (all, any) = drawn
            .iter()
            .fold((u128::MAX, 0), |(all, any), bits| (all & bits, any | bits));
        // A bit that stands still in a thousand draws is none.
        assert_eq!((all, any), (0, u128::MAX));
    }

    #[test]
    fn nothing_is_kept_that_a_fork_could_repeat() {
        assert_eq!(size_of::<OsEntropy>(), 0);
    }

    #[test]
    fn without_randomness_they_are_distinct_all_the_same() {
        assert_eq!(drawn(8, distinct).len(), 8000);
    }
}
