//! What the store of a fleet does, and how a fault changes it.

use std::time::Duration;

use bytes::Bytes;

use super::{Fault, Fleet};
use crate::machine::tests::fixture::error;
use crate::{
    Acquired, BackendError, ErrorKind, Fulfilled, Message, Notice, Policy, Remaining, Token,
};

impl Fleet {
    /// Time passes, and the heartbeats of living nodes keep their leases.
    pub(super) fn advance(&mut self, step: Duration) {
        self.now = self.now.after(step);
        if let Some((token, until)) = &mut self.lock {
            let live = self.nodes.iter().filter(|n| !n.crashed);
            let mut held = live.filter_map(|n| n.rig.machine.held());
            if held.any(|h| h.token == *token) {
                *until = self.now.after(Policy::default().lease);
            } else if *until <= self.now {
                self.lock = None;
            }
        }
    }

    fn tell(&mut self, message: &Message) {
        for node in &mut self.nodes {
            if node.listening && !node.deaf && !node.crashed {
                node.mail.push_back(message.clone().into());
            }
        }
    }

    fn holds(&self, token: Token) -> bool {
        self.lock.is_some_and(|(t, _)| t == token)
    }

    /// Carries out `effect` as far as the fault lets it.
    pub(super) fn command<R>(
        &mut self,
        fault: Fault,
        effect: impl FnOnce(&mut Self) -> R,
    ) -> Result<R, BackendError> {
        match fault {
            Fault::None => Ok(effect(self)),
            Fault::LostBefore => Err(error(ErrorKind::Timeout)),
            Fault::LostAfter => {
                effect(self);
                Err(error(ErrorKind::Unavailable))
            }
            Fault::Refused => Err(error(ErrorKind::Refused)),
            Fault::Full => Err(error(ErrorKind::OutOfMemory)),
            Fault::UnknownBefore => Err(error(ErrorKind::Unrecognized)),
            Fault::UnknownAfter => {
                effect(self);
                Err(error(ErrorKind::Unrecognized))
            }
        }
    }

    pub(super) fn acquire(&mut self, token: Token, lease: Duration) -> Acquired {
        if let Some(value) = &self.value {
            return Acquired::Value(value.clone());
        }
        match self.lock {
            Some((holder, until)) if holder != token => {
                Acquired::Held(Remaining::Expires(until.since(self.now)))
            }
            _ => {
                self.lock = Some((token, self.now.after(lease)));
                Acquired::Granted
            }
        }
    }

    pub(super) fn fulfil(&mut self, token: Token, value: Bytes) -> Fulfilled {
        if !self.holds(token) {
            return Fulfilled::Lost;
        }
        let number = std::str::from_utf8(&value).unwrap().parse::<u64>().unwrap();
        assert!(number > self.fenced, "R4: compute {number} was fenced off");
        self.lock = None;
        self.tell(&Message::Value(value.clone()));
        self.value = Some(value);
        Fulfilled::Stored
    }

    pub(super) fn release(&mut self, token: Token, notice: Option<Notice>) -> bool {
        let ours = self.holds(token);
        if ours {
            self.lock = None;
            if let Some(notice) = notice {
                self.tell(&Message::Notice(notice));
            }
        }
        ours
    }

    pub(super) fn invalidate(&mut self) {
        self.revoked.extend(self.lock.map(|(token, _)| token));
        (self.value, self.lock) = (None, None);
        self.fenced = self.computes;
        self.tell(&Message::Notice(Notice::Invalidated));
    }
}
