//! The store of the model: one key, as the scripts have it, and what promises are judged by.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use memolock::core::{Acquired, Fulfilled, PutMode, Remaining, Timestamp, Token};

/// Who stands in a value as its maker when it was put from outside.
const OUTSIDE: u8 = 0xff;

/// Who stands in a value of a version that nobody in the model reads.
const FOREIGN: u8 = 0xfe;

/// The value and the lock of one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Store {
    pub(super) value: Option<Bytes>,
    pub(super) lock: Option<Lock>,
    /// How often everything older was declared void: by a put, or by an invalidation.
    pub(super) epoch: u8,
    /// Tokens that the store took the lock from, by expiry or because it was told to.
    pub(super) lost: BTreeSet<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Lock {
    pub(super) token: Token,
    pub(super) expires: Timestamp,
}

/// What the bytes of a value tell: who made it, and in which epoch that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) by: u8,
    pub(super) epoch: u8,
}

impl Made {
    pub(super) fn outside(epoch: u8) -> Self {
        Self { by: OUTSIDE, epoch }
    }

    pub(super) fn foreign() -> Self {
        Self {
            by: FOREIGN,
            epoch: 0,
        }
    }

    pub(super) fn is_foreign(self) -> bool {
        self.by == FOREIGN
    }

    pub(super) fn is_outside(self) -> bool {
        self.by == OUTSIDE
    }

    pub(super) fn bytes(self) -> Bytes {
        Bytes::copy_from_slice(&[self.by, self.epoch])
    }

    /// None if nobody in the model made these bytes.
    pub(super) fn of(bytes: &Bytes) -> Option<Self> {
        match bytes[..] {
            [by, epoch] => Some(Self { by, epoch }),
            _ => None,
        }
    }
}

impl Store {
    /// `over`: a value that counts as none.
    pub(super) fn acquire(
        &mut self,
        now: Timestamp,
        token: Token,
        lease: Duration,
        over: Option<&Bytes>,
    ) -> Acquired {
        if let Some(value) = self.value.as_ref().filter(|value| Some(*value) != over) {
            return Acquired::Value(value.clone());
        }
        match self.lock {
            Some(lock) if lock.token != token => {
                Acquired::Held(Remaining::Expires(lock.expires.since(now)))
            }
            _ => {
                let expires = now.after(lease);
                self.lock = Some(Lock { token, expires });
                Acquired::Granted
            }
        }
    }

    pub(super) fn fulfil(&mut self, token: Token, value: &Bytes) -> Fulfilled {
        if !self.is_held_by(token) {
            return Fulfilled::Lost;
        }
        self.value = Some(value.clone());
        self.lock = None;
        Fulfilled::Stored
    }

    pub(super) fn renew(&mut self, now: Timestamp, token: Token, lease: Duration) -> bool {
        let ours = self.is_held_by(token);
        if ours {
            let expires = now.after(lease);
            self.lock = Some(Lock { token, expires });
        }
        ours
    }

    pub(super) fn release(&mut self, token: Token) -> bool {
        let ours = self.is_held_by(token);
        if ours {
            self.lock = None;
        }
        ours
    }

    pub(super) fn put(&mut self, value: Bytes, mode: PutMode) {
        if mode == PutMode::Override {
            self.unlock();
        }
        self.value = Some(value);
    }

    pub(super) fn invalidate(&mut self) {
        self.epoch += 1;
        self.value = None;
        self.unlock();
    }

    /// Takes the lock from whoever has it.
    pub(super) fn unlock(&mut self) {
        self.lost.extend(self.lock.take().map(|lock| lock.token));
    }

    /// What has come to its end by `now` is gone.
    pub(super) fn expire(&mut self, now: Timestamp) {
        if self.lock.is_some_and(|lock| lock.expires <= now) {
            self.unlock();
        }
    }

    pub(super) fn is_held_by(&self, token: Token) -> bool {
        self.lock.is_some_and(|lock| lock.token == token)
    }
}
