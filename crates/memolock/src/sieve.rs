//! The sieve: what a flight finds is decoded as it comes in. Bytes of another version of the type, and bytes that
//! cannot be decoded, are passed over: they count as no value from there on, and the machine never hears of them.
//!
//! Two releases may run side by side over the same keys. To each, the other's values are stale. So that they
//! get on:
//!
//! * a value that is passed over is left where it is until a value of ours replaces it: those who can read it do;
//! * the lease is tried for *over* the very bytes that were passed over
//!   ([`Backend::acquire_over`](memolock_core::Backend::acquire_over)), so a value that came meanwhile is
//!   never passed over unseen;
//! * there is one lock for both, so one compute at a time, and none twice within a version;
//! * a stale value that is heard ends a wait as a release does: the lease may be free, so try for it. That is so for the
//!   very bytes that were passed over before, too: a notice may have been repeated, so what was known of a holder stays
//!   known, and a new value may have equal bytes, so the store is asked again;
//! * undecodable bytes that are heard may have been stored or only published: the store is asked again, and what was
//!   known of a holder stays known.
//!
//! **No loop.** Each turn takes bytes that a peer stored or published since. A flight computes once at most, whatever
//! becomes of its value: where a codec cannot read what it wrote itself, each call computes once and has its value.
//! A program that was triggered has answered once it has stored something, so undecodable bytes in the store are the
//! end of the flight then, an error: a second trigger would bring the same.
//!
//! | undecodable bytes | before a trigger | after it |
//! |---|---|---|
//! | found by a probe or a try for the lease | passed over | the error of the call, unless passed over before |
//! | heard, others than those passed over | passed over; the store is asked again | the store is asked again |
//! | heard, those passed over | the store is asked again | the program stored the same again: the error of the call |

use bytes::Bytes;
use memolock_codec::{Codec, CodecError};
use memolock_core::Key;

use crate::landing::decoded;
use crate::shared::Shared;
use crate::undecodable::UndecodablePolicy;

/// What bytes of the store mean to this memolock.
pub(crate) enum Judged<T> {
    Value(T),
    /// None to this memolock, and why.
    PassedOver(CodecError),
    /// The error of the call.
    Error(CodecError),
}

/// What bytes on the channel mean to a flight.
pub(crate) enum Heard {
    /// The end of the flight: a value, or the error of the call.
    Value,
    /// A value of another version: its holder may have released the lease. `known`: it is what was passed over before.
    OtherVersion { known: bool },
    /// Only the store knows what they are.
    Unclear,
}

impl<T, C: Codec<T>> Shared<T, C> {
    /// Decodes bytes of the store.
    pub(crate) fn judge(&self, bytes: &Bytes) -> Judged<T> {
        match decoded(&self.codec, bytes) {
            Ok(value) => Judged::Value(value),
            Err(error) if error.is_miss() => Judged::PassedOver(error),
            Err(error) => match self.unreadable.policy() {
                UndecodablePolicy::Recompute => Judged::PassedOver(error),
                UndecodablePolicy::Fail => Judged::Error(error),
            },
        }
    }
}

impl<T, C> Shared<T, C> {
    /// Counts bytes that are no value of ours, and logs those that cannot be decoded.
    pub(crate) fn note_unread(&self, key: &Key, error: &CodecError) {
        let counters = &self.hub.counters;
        if error.is_miss() {
            counters.stale.add();
            tracing::debug!(%key, "a value of another version is taken for none");
        } else {
            counters.undecodable.add();
            self.unreadable.warn(key, error);
        }
    }
}

/// What a flight has decoded, and what it has passed over.
#[derive(Debug)]
pub(crate) struct Sieve<T> {
    passed_over: Option<Bytes>,
    /// The last value that passed, so that it is decoded once.
    passed: Option<(Bytes, Result<T, CodecError>)>,
    /// A program was triggered, and its answer is awaited.
    triggered: bool,
}

impl<T> Sieve<T> {
    pub(crate) fn new() -> Self {
        Self {
            passed_over: None,
            passed: None,
            triggered: false,
        }
    }

    /// A program was started that will store a value.
    pub(crate) fn triggered(&mut self) {
        self.triggered = true;
    }

    /// Decodes what was found in the store. False if it is passed over: then it counts as no value. Bytes that are the
    /// error of the call pass, and are that in the end.
    pub(crate) fn passes<C>(&mut self, shared: &Shared<T, C>, key: &Key, bytes: &Bytes) -> bool
    where
        C: Codec<T>,
    {
        let decoded = match shared.judge(bytes) {
            Judged::Value(value) => Ok(value),
            Judged::PassedOver(error) => {
                shared.note_unread(key, &error);
                if error.is_miss() || !self.triggered {
                    self.passed_over = Some(bytes.clone());
                    return false;
                }
                Err(error)
            }
            Judged::Error(error) => {
                shared.note_unread(key, &error);
                Err(error)
            }
        };
        self.passed = Some((bytes.clone(), decoded));
        true
    }

    /// Decodes what was heard.
    pub(crate) fn hears<C>(&mut self, shared: &Shared<T, C>, key: &Key, bytes: &Bytes) -> Heard
    where
        C: Codec<T>,
    {
        match shared.judge(bytes) {
            Judged::Value(value) => {
                self.passed = Some((bytes.clone(), Ok(value)));
                Heard::Value
            }
            Judged::PassedOver(error) if error.is_miss() => {
                shared.note_unread(key, &error);
                let before = self.passed_over.replace(bytes.clone());
                let known = before.as_ref() == Some(bytes);
                Heard::OtherVersion { known }
            }
            Judged::PassedOver(_) if self.triggered && self.passed_over.as_ref() != Some(bytes) => {
                // Counted when the store says that it has them.
                Heard::Unclear
            }
            Judged::PassedOver(error) if !self.triggered => {
                shared.note_unread(key, &error);
                self.passed_over = Some(bytes.clone());
                Heard::Unclear
            }
            Judged::PassedOver(error) | Judged::Error(error) => {
                shared.note_unread(key, &error);
                self.passed = Some((bytes.clone(), Err(error)));
                Heard::Value
            }
        }
    }

    /// The bytes that the lease is tried for over.
    pub(crate) fn passed_over(&self) -> Option<&Bytes> {
        self.passed_over.as_ref()
    }

    /// Whether the last bytes that passed are a value, and not the error of the call.
    pub(crate) fn has_value(&self) -> bool {
        matches!(&self.passed, Some((_, Ok(_))))
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
