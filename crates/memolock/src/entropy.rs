//! Random bits: from the operating system, unless a test brings its own.

use memolock_core::Entropy;

/// The operating system's randomness: what lease tokens need to be unguessable.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn bits(&mut self) -> u128 {
        let mut bytes = [0; 16];
        // A system without randomness cannot run TLS or hash maps either. Mixing an address and the
        // time keeps tokens distinct there, which is what correctness needs; only guessing gets easier.
        if getrandom::fill(&mut bytes).is_err() {
            let time = std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_nanos());
            let place = (&raw const bytes) as usize as u128;
            return time.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) ^ (place << 64);
        }
        u128::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_do_not_repeat() {
        let drawn: std::collections::HashSet<_> = (0..1000).map(|_| OsEntropy.bits()).collect();
        assert_eq!(drawn.len(), 1000);
    }
}
