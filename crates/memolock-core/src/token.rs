//! Lease tokens: the unguessable proof that a lock is ours.

use std::fmt;

/// A lease token, unique to one attempt at one key.
///
/// It is stored as the lock's value, and only its holder may fulfil, renew or release. The caller
/// supplies 128 random bits, from the operating system in production and from a seed in simulation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u128);

impl Token {
    /// Makes a token of 128 random bits.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The token as it stands in the store: 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_wire(self) -> String {
        format!("{:032x}", self.0)
    }
}

/// Shows the first digits only, so that a log line does not hand out the lease.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:08x}..)", self.0 >> 96)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_is_fixed_width() {
        assert_eq!(Token::from_bits(0).to_wire(), "0".repeat(32));
        assert_eq!(Token::from_bits(u128::MAX).to_wire(), "f".repeat(32));
        assert_eq!(Token::from_bits(0xabc).to_wire().len(), 32);
    }

    #[test]
    fn debug_does_not_tell_the_token() {
        let token = Token::from_bits(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
        assert_eq!(format!("{token:?}"), "Token(12345678..)");
    }
}
