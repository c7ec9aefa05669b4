//! Who else is at the keys: peers of 2019, and vandals.

use crate::store::{Channel, Millis};

/// A peer that knows the contract of 2019 alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Stranger {
    pub key: usize,
    pub at: Millis,
    pub lasts: Millis,
    /// As the C# one: the lock is deleted after a success.
    pub unlocks: bool,
    /// It is gone before it is done.
    pub crashes: bool,
}

/// Somebody who does what nobody should to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Vandal {
    pub key: usize,
    pub at: Millis,
    pub does: Damage,
    /// When it is mended, if that is needed.
    pub lasts: Millis,
}

/// What damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// A lock that is nobody's and never expires.
    Jam,
    /// Bytes in place of the value that nobody can decode.
    Scribble,
    /// The same, and nobody cleans up.
    Litter,
    /// A list in place of the value.
    Spoil,
    /// Garbage on a channel.
    Shout(Channel),
}
