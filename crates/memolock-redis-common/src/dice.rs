//! Where the jitter of reconnecting comes from.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use memolock_core::Entropy;

/// Random numbers for jitter. Clones share their source.
#[derive(Clone, Default)]
pub struct Dice(Option<Arc<Mutex<dyn Entropy + Send>>>);

impl Dice {
    /// Of this source, which simulations seed.
    pub fn of(entropy: impl Entropy + Send + 'static) -> Self {
        Self(Some(Arc::new(Mutex::new(entropy))))
    }

    /// The next number. By default good enough for jitter and no more: the standard library seeds its hashers.
    #[must_use]
    pub fn roll(&self) -> u64 {
        match &self.0 {
            Some(entropy) => {
                let mut entropy = entropy.lock().unwrap_or_else(PoisonError::into_inner);
                #[allow(clippy::cast_possible_truncation)] // Any bits will do.
                let bits = entropy.bits() as u64;
                bits
            }
            None => RandomState::new().hash_one(0),
        }
    }
}

impl fmt::Debug for Dice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "given" } else { "system" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(u128);

    impl Entropy for Counter {
        fn bits(&mut self) -> u128 {
            self.0 += 1;
            self.0
        }
    }

    #[test]
    fn jitter_differs_by_default() {
        assert_ne!(Dice::default().roll(), Dice::default().roll());
    }

    #[test]
    fn what_is_given_is_used_and_shared() {
        let dice = Dice::of(Counter(0));
        assert_eq!([dice.roll(), dice.clone().roll(), dice.roll()], [1, 2, 3]);
    }
}
