//! The broken client's answers for many keys: one after another, but for what is wrong with it.

use bytes::Bytes;
use memolock_core::{Acquired, Attempt, Backend, Fulfilled, Fulfilment, Key};

use crate::backend::{Answer, Broken};
use crate::faults::Fault;
use crate::store::now;

impl Broken {
    pub(crate) async fn values_of(&self, keys: &[Key]) -> Vec<Answer<Option<Bytes>>> {
        let mut values = Vec::new();
        for key in keys {
            values.push(self.get(key).await);
        }
        if self.has(Fault::ManyValuesComeBackwards) {
            values.reverse();
        }
        values
    }

    pub(crate) async fn try_all(&self, tries: &[Attempt]) -> Vec<Answer<Acquired>> {
        let mut answers = Vec::new();
        for (n, Attempt { key, token, lease }) in tries.iter().enumerate() {
            answers.push(match self.store.fault {
                Fault::ManyTriesStopAt500 if n >= 500 => Ok(Acquired::Granted),
                _ => self.acquire(key, *token, *lease).await,
            });
        }
        let spoilt = answers.iter().find_map(|answer| answer.clone().err());
        match spoilt {
            Some(error) if self.has(Fault::OneOfManySpoilsAll) => {
                tries.iter().map(|_| Err(error.clone())).collect()
            }
            _ => answers,
        }
    }

    pub(crate) async fn store_all(&self, values: &[Fulfilment]) -> Vec<Answer<Fulfilled>> {
        let mut answers = Vec::new();
        for Fulfilment {
            key,
            token,
            value,
            ttl,
        } in values
        {
            let proof = self.proof(key, *token, Fault::ManyStoresIgnoreTokens);
            answers.push(match self.store.fault {
                Fault::ManyStoresTellNobody => {
                    now(self.store.memory.fulfil(key, proof, value.clone(), *ttl))
                }
                _ => self.fulfil(key, proof, value.clone(), *ttl).await,
            });
        }
        answers
    }
}
