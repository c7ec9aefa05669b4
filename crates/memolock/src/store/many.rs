//! Commands for many keys, of which the circuit breaker may hold some back.

use std::borrow::Cow;

use bytes::Bytes;
use memolock_core::{
    Acquired, Attempt, BackendError, ErrorKind, Fulfilled, Fulfilment, Key, Operation,
};

use super::Store;
use crate::breaker::Breaker;

impl Store {
    pub(crate) async fn get_many(&self, keys: &[Key]) -> Vec<Result<Option<Bytes>, BackendError>> {
        let worth = self.worth(keys, |key| key);
        let call = self.backend().get_many(&worth.sent);
        self.guard_many(Operation::Get, &worth, |key| key, call)
            .await
    }

    pub(crate) async fn acquire_many(
        &self,
        tries: &[Attempt],
    ) -> Vec<Result<Acquired, BackendError>> {
        let worth = self.worth(tries, |t| &t.key);
        let call = self.backend().acquire_many(&worth.sent);
        self.guard_many(Operation::Acquire, &worth, |t| &t.key, call)
            .await
    }

    pub(crate) async fn fulfil_many(
        &self,
        values: &[Fulfilment],
    ) -> Vec<Result<Fulfilled, BackendError>> {
        let worth = self.worth(values, |v| &v.key);
        let call = self.backend().fulfil_many(&worth.sent);
        self.guard_many(Operation::Fulfil, &worth, |v| &v.key, call)
            .await
    }

    /// What of this is worth sending: all of it, but where the breaker is open.
    fn worth<'a, Q: Clone>(&self, asked: &'a [Q], key: impl Fn(&Q) -> &Key) -> Worth<'a, Q> {
        let spared = |one: &Q| !self.breaker.admits(self.backend(), key(one));
        let spared: Vec<bool> = asked.iter().map(spared).collect();
        let sent = match spared.contains(&true) {
            false => Cow::Borrowed(asked),
            true => {
                let sent = asked.iter().zip(&spared).filter(|(_, spared)| !**spared);
                Cow::Owned(sent.map(|(one, _)| one.clone()).collect())
            }
        };
        Worth {
            asked,
            spared,
            sent,
        }
    }

    /// [`guard`](Self::guard) for many keys at once. `call` is for those that are sent.
    async fn guard_many<Q: Clone, R>(
        &self,
        operation: Operation,
        worth: &Worth<'_, Q>,
        key: impl Fn(&Q) -> &Key,
        call: impl Future<Output = Vec<Result<R, BackendError>>>,
    ) -> Vec<Result<R, BackendError>> {
        let answers = match worth.sent.is_empty() {
            true => Vec::new(),
            false => call.await,
        };
        if answers.len() != worth.sent.len() {
            let why = format!("{} answers for {} keys", answers.len(), worth.sent.len());
            let error =
                |one| BackendError::new(ErrorKind::Protocol, operation, why.clone()).on(key(one));
            return worth.asked.iter().map(|one| Err(error(one))).collect();
        }
        let ended = worth.sent.iter().zip(&answers);
        let ended = ended.map(|(one, answer)| (key(one), answer.as_ref().err()));
        self.breaker.note_all(self.backend(), ended);
        if !worth.spared.contains(&true) {
            return answers;
        }
        self.spared.add();
        let mut answers = answers.into_iter();
        let answer = |(one, spared): (&Q, &bool)| {
            match spared {
                true => None,
                false => answers.next(),
            }
            .unwrap_or_else(|| Err(Breaker::refusal(operation, key(one))))
        };
        worth.asked.iter().zip(&worth.spared).map(answer).collect()
    }
}

/// What is asked of many keys, as the breaker has it.
struct Worth<'a, Q: Clone> {
    asked: &'a [Q],
    /// Of each, whether it is not sent.
    spared: Vec<bool>,
    sent: Cow<'a, [Q]>,
}
