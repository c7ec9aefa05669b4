//! Values that say whose they are and who made them, and show when they were damaged.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

/// Longer than any header.
const HEADER: usize = 128;

/// What a value says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// The number of its key.
    pub(crate) key: u32,
    /// Whose it is.
    pub(crate) maker: Maker,
    /// So that a value that is made twice would be two values.
    pub(crate) nonce: u64,
}

/// Which value it is: the incarnation of a process, and that one's number for it. Computes and writes share numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Maker {
    /// Which incarnation of which process.
    pub(crate) process: u32,
    /// Its how manieth value.
    pub(crate) number: u64,
}

impl Stamp {
    /// A value of about `size` bytes.
    #[must_use]
    pub(crate) fn sealed(self, size: usize) -> String {
        let line = format!("{:016x}", self.nonce);
        let padding = line.repeat(size.saturating_sub(HEADER) / line.len());
        let seal = self.seal(&padding);
        let Self { key, maker, nonce } = self;
        let Maker { process, number } = maker;
        format!("{key} {process} {number} {nonce:x} {seal:x} {padding}")
    }

    /// What a value says of itself: none if it is not one of ours, or not whole.
    #[must_use]
    pub(crate) fn read(value: &str) -> Option<Self> {
        let mut words = value.splitn(6, ' ');
        let mut word = || words.next();
        let key = word()?.parse().ok()?;
        let process = word()?.parse().ok()?;
        let number = word()?.parse().ok()?;
        let nonce = u64::from_str_radix(word()?, 16).ok()?;
        let seal = u64::from_str_radix(word()?, 16).ok()?;
        let maker = Maker { process, number };
        let stamp = Self { key, maker, nonce };
        (stamp.seal(word()?) == seal).then_some(stamp)
    }

    /// The same for every process of one program, which is all that read it.
    fn seal(self, padding: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self, padding).hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        key: 7,
        maker: Maker {
            process: 3,
            number: 41,
        },
        nonce: 0xfeed,
    };

    #[test]
    fn a_value_says_who_made_it_whatever_its_size() {
        for size in [0, 1, 200, 70_000] {
            let value = STAMP.sealed(size);
            assert_eq!(Stamp::read(&value), Some(STAMP), "{size} bytes");
            assert!(value.len() <= size.max(2 * HEADER), "{size} bytes");
        }
    }

    #[test]
    fn a_damaged_value_is_seen() {
        let value = STAMP.sealed(300);
        for at in 0..value.len() {
            let mut bytes = value.clone().into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            let damaged = String::from_utf8(bytes).unwrap();
            assert_ne!(Stamp::read(&damaged), Some(STAMP), "byte {at}");
        }
        for length in 0..value.len() {
            assert_eq!(Stamp::read(&value[..length]), None, "{length} bytes of it");
        }
        assert_eq!(Stamp::read(&format!("{value}0")), None);
    }
}
