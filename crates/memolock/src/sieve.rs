//! The sieve: what a flight finds is decoded as it comes in, and what is of another version of the type
//! counts as no value from there on. The machine never hears of it.
//!
//! Two releases may run side by side over the same keys. To each, the other's values are stale. So that they
//! get on:
//!
//! * a stale value is left where it is until a value of ours replaces it: those who can read it do;
//! * the lease is tried for *over* the very bytes that were found stale
//!   ([`Backend::acquire_over`](memolock_core::Backend::acquire_over)), so a value that came meanwhile is
//!   never passed over unseen;
//! * there is one lock for both, so one compute at a time, and none twice within a version;
//! * a stale value that is heard ends a wait as a release does: the lease is free, so try for it.
//!
//! Nothing loops by itself: each turn takes a value that somebody else has stored since, that is, a
//! compute of the other version that ended.

use bytes::Bytes;
use memolock_codec::{Codec, CodecError};

use crate::landing::decoded;

/// What a flight has decoded, and what it has passed over.
#[derive(Debug)]
pub(crate) struct Sieve<T> {
    stale: Option<Bytes>,
    /// The last value that passed, so that it is decoded once.
    passed: Option<(Bytes, Result<T, CodecError>)>,
}

impl<T> Sieve<T> {
    pub(crate) fn new() -> Self {
        Self {
            stale: None,
            passed: None,
        }
    }

    /// Decodes what was found. False if it is of another version: then it counts as no value. Bytes that
    /// do not decode for other reasons pass, and are an error in the end.
    pub(crate) fn passes<C: Codec<T>>(&mut self, codec: &C, bytes: &Bytes) -> bool {
        match decoded(codec, bytes) {
            Err(error) if error.is_miss() => {
                self.stale = Some(bytes.clone());
                false
            }
            decoded => {
                self.passed = Some((bytes.clone(), decoded));
                true
            }
        }
    }

    /// The bytes that the lease is tried for over.
    pub(crate) fn stale(&self) -> Option<&Bytes> {
        self.stale.as_ref()
    }

    /// The value of the bytes that the flight ended with.
    pub(crate) fn value<C: Codec<T>>(&mut self, codec: &C, bytes: &Bytes) -> Result<T, CodecError> {
        match self.passed.take() {
            Some((passed, decoded)) if is_same(&passed, bytes) => decoded,
            _ => decoded(codec, bytes),
        }
    }
}

/// Whether they are one and the same, without looking at each byte.
fn is_same(a: &Bytes, b: &Bytes) -> bool {
    a.as_ptr() == b.as_ptr() && a.len() == b.len()
}
