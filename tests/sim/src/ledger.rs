//! The ledger of leases: who was granted which lock, until when, and how that ended, as the store's answers
//! say. What an answer says that cannot be so goes into its complaints.

use std::collections::{BTreeMap, BTreeSet};

use memolock::core::{Acquired, Fulfilled, Key, PutMode, Token, millis};

use crate::facts::{EffectFact, Facts, Moment};
use crate::history::ProcessId;
use crate::store::{Answer, Millis, Op};

/// One lease, from its grant on.
#[derive(Debug, Clone)]
pub(crate) struct LeaseFact<'a> {
    pub(crate) key: &'a Key,
    pub(crate) token: Token,
    pub(crate) process: ProcessId,
    pub(crate) granted: Moment,
    /// Until when it stands by itself.
    pub(crate) until: Millis,
    pub(crate) ended: Option<(Moment, Ending)>,
}

/// What ended a lease before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its holder, by its token: the value is stored, or the lock given back.
    Given,
    /// A put or an invalidation.
    Fenced,
    /// Somebody who knows nothing of tokens.
    Robbed,
    /// The store forgot.
    Forgotten,
}

/// All leases of a history.
#[derive(Debug, Default)]
pub(crate) struct Ledger<'a> {
    /// In the order in which they were granted.
    pub(crate) leases: Vec<LeaseFact<'a>>,
    /// Answers that break the promises, whoever asked.
    pub(crate) complaints: Vec<String>,
    /// The last lease of each key.
    last: BTreeMap<&'a Key, usize>,
    /// Keys of which a store that failed over may know an older lease.
    unsure: BTreeSet<&'a Key>,
}

impl<'a> Ledger<'a> {
    pub(crate) fn of(facts: &Facts<'a>) -> Self {
        let mut ledger = Self::default();
        let mut forgot = facts.forgot.iter().peekable();
        for effect in &facts.effects {
            while let Some(when) = forgot.next_if(|when| **when < effect.when) {
                ledger.forget(*when, facts.emptied.contains(when));
            }
            ledger.read(effect);
        }
        forgot.for_each(|when| ledger.forget(*when, true));
        ledger
    }

    /// The lease under which a process works on a key at a moment, as it must believe.
    pub(crate) fn of_process(
        &self,
        process: ProcessId,
        id: &str,
        when: Moment,
    ) -> Option<&LeaseFact<'a>> {
        let theirs = |lease: &&LeaseFact<'_>| {
            lease.process == process && lease.key.id() == id && lease.granted < when
        };
        self.leases.iter().rev().find(theirs)
    }

    fn read(&mut self, effect: &EffectFact<'a>) {
        let EffectFact {
            when,
            process,
            op,
            answer,
        } = *effect;
        match (op, answer) {
            (Op::Acquire(key, token, lease, _), Answer::Acquired(acquired)) => {
                let until = when.at.saturating_add(millis(*lease));
                match acquired {
                    Acquired::Granted => self.grant(key, *token, process, when, until),
                    Acquired::Held(_) => self.refused(key, *token, when, "a rival's"),
                    Acquired::Value(_) => {}
                }
            }
            (Op::Lock(key, token, lease), Answer::Flag(true)) => {
                let until = when.at.saturating_add(millis(*lease));
                self.grant(key, *token, process, when, until);
            }
            (Op::Renew(renewals), Answer::Renewed(renewed)) => {
                for (renewal, renewed) in renewals.iter().zip(renewed) {
                    let (key, token) = (&renewal.key, renewal.token);
                    if !renewed {
                        self.refused(key, token, when, "lost");
                    } else if let Some(lease) = self.holder(key, token, when, "R5: renewed") {
                        lease.until = when.at.saturating_add(millis(renewal.lease));
                    }
                }
            }
            (Op::Fulfil(key, token, ..), Answer::Fulfilled(Fulfilled::Stored)) => {
                if let Some(lease) = self.holder(key, *token, when, "R4: stored") {
                    lease.ended = Some((when, Ending::Given));
                }
            }
            (Op::Release(key, token, _), Answer::Flag(true)) => {
                if let Some(lease) = self.holder(key, *token, when, "R5: released") {
                    lease.ended = Some((when, Ending::Given));
                }
            }
            (Op::Fulfil(key, token, ..), _) | (Op::Release(key, token, _), Answer::Flag(false)) => {
                self.refused(key, *token, when, "lost");
            }
            (Op::Put(key, _, _, PutMode::Override) | Op::Invalidate(key), _) => {
                self.end(key, when, Ending::Fenced);
                self.unsure.remove(key);
            }
            (Op::Unlock(key) | Op::Jam(key), _) => self.end(key, when, Ending::Robbed),
            _ => {}
        }
    }

    fn grant(
        &mut self,
        key: &'a Key,
        token: Token,
        process: ProcessId,
        when: Moment,
        until: Millis,
    ) {
        self.unsure.remove(key);
        if let Some(lease) = self.standing(key, when) {
            if lease.token == token {
                lease.until = until;
                return;
            }
            let rival = lease.process;
            self.complaints.push(format!(
                "R1: p{process} is granted {key} at {} ms while the lease of p{rival} stands",
                when.at
            ));
        }
        self.last.insert(key, self.leases.len());
        self.leases.push(LeaseFact {
            key,
            token,
            process,
            granted: when,
            until,
            ended: None,
        });
    }

    /// The lease of a token, which acts on it by right.
    fn holder(
        &mut self,
        key: &'a Key,
        token: Token,
        when: Moment,
        what: &str,
    ) -> Option<&mut LeaseFact<'a>> {
        let unsure = self.unsure.contains(key);
        let ours = self
            .standing(key, when)
            .is_some_and(|lease| lease.token == token);
        if !ours {
            if !unsure {
                let at = when.at;
                self.complaints
                    .push(format!("{what} at {at} ms, {key} by who does not hold it"));
            }
            return None;
        }
        self.standing(key, when)
    }

    /// A token is told that its lease is not its own.
    fn refused(&mut self, key: &'a Key, token: Token, when: Moment, whose: &str) {
        let ours = self
            .standing(key, when)
            .is_some_and(|lease| lease.token == token);
        if ours && !self.unsure.contains(key) {
            self.complaints.push(format!(
                "R7: who holds {key} is told at {} ms that it is {whose}",
                when.at
            ));
        }
    }

    fn standing(&mut self, key: &Key, when: Moment) -> Option<&mut LeaseFact<'a>> {
        let lease = self.leases.get_mut(*self.last.get(key)?)?;
        (lease.ended.is_none() && lease.until > when.at).then_some(lease)
    }

    fn end(&mut self, key: &Key, when: Moment, how: Ending) {
        if let Some(lease) = self.standing(key, when) {
            lease.ended = Some((when, how));
        }
    }

    fn forget(&mut self, when: Moment, everything: bool) {
        let keys: Vec<_> = self.last.keys().copied().collect();
        for key in keys {
            self.end(key, when, Ending::Forgotten);
            if !everything {
                self.unsure.insert(key);
            }
        }
    }
}
