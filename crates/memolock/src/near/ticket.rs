//! What must not have moved between a command and the insertion of what it gave.

/// The low bits of the word; above them is the number of the flush.
pub(super) const STATE: u64 = 0b11;
pub(super) const FLUSH: u64 = 0b100;

/// What may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Deaf = 0,
    Live = 1,
    Aged = 2,
    Closed = 3,
}

/// Taken before a command is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(super) word: u64,
    pub(super) stripe: Stripe,
    pub(super) at: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stripe {
    /// Local writes that have ended.
    pub(super) writes: u64,
    /// Changes heard.
    pub(super) changes: u64,
}

/// Whether anything is kept under this word.
pub(super) fn keeps(word: u64) -> bool {
    matches!(word & STATE, 1 | 2)
}
