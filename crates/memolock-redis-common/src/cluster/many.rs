//! Many ids of one slot in one command, and which of them may travel so.

use bytes::Bytes;
use memolock_core::redis::cluster::key_slot;
use memolock_core::redis::{Fault, calls, reply};
use memolock_core::{
    Acquired, Attempt, Backend, BackendError, ErrorKind, Fulfilled, Fulfilment, Key, Operation,
    Renewal, Timed,
};

use super::backend::Cluster;
use super::batches::by_slot;
use super::node::{Opener, Request};
use super::spread;
use crate::repeats::Storing;

impl<O: Opener> Cluster<O> {
    pub(crate) async fn get_some(
        &self,
        slot: u16,
        keys: &[Key],
    ) -> Vec<Result<Option<Bytes>, BackendError>> {
        if let [key] = keys {
            return vec![self.get(key).await];
        }
        let names = keys.iter().map(|key| key.value_name().into());
        let words: Vec<Bytes> = [Bytes::from_static(b"MGET")]
            .into_iter()
            .chain(names)
            .collect();
        let answer = self.shared().carry(slot, Request::Words(&words)).await;
        let keys: Vec<&Key> = keys.iter().collect();
        let answers = answer.and_then(|answer| reply::values(answer, keys.len()));
        reply::on_each(answers, Operation::Get, &keys)
    }

    pub(crate) async fn acquire_some(
        &self,
        slot: u16,
        tries: &[Attempt],
    ) -> Vec<Result<Acquired, BackendError>> {
        if let [Attempt { key, token, lease }] = tries {
            return vec![self.acquire(key, *token, *lease).await];
        }
        let call = calls::acquire_many(tries);
        let keys: Vec<&Key> = tries.iter().map(|t| &t.key).collect();
        let answer = self.shared().carry(slot, Request::Call(&call)).await;
        let answers = answer.and_then(|answer| reply::acquired_many(answer, keys.len()));
        reply::on_each(answers, Operation::Acquire, &keys)
    }

    pub(crate) async fn fulfil_some(
        &self,
        slot: u16,
        values: &[Fulfilment],
    ) -> Vec<Result<Fulfilled, BackendError>> {
        if let [
            Fulfilment {
                key,
                token,
                value,
                ttl,
            },
        ] = values
        {
            return vec![self.fulfil(key, *token, value.clone(), *ttl).await];
        }
        let mut answers = Vec::with_capacity(values.len());
        for some in calls::parcels(values) {
            let call = calls::fulfil_many(some);
            let keys: Vec<&Key> = some.iter().map(|v| &v.key).collect();
            let storing = Storing::each(self.repeats(), &keys);
            let answer = self.shared().carry(slot, Request::Call(&call)).await;
            let stored = answer.and_then(|answer| reply::fulfilled_many(answer, keys.len()));
            let stored = reply::on_each(stored, Operation::Fulfil, &keys);
            Storing::all_ended(storing, &stored);
            answers.extend(stored);
        }
        answers
    }

    pub(crate) async fn timed_some(
        &self,
        slot: u16,
        keys: &[Key],
    ) -> Result<Vec<Option<Timed>>, BackendError> {
        let call = calls::timed(keys);
        let answer = self.shared().carry(slot, Request::Call(&call)).await;
        let answers = answer.and_then(|answer| reply::timed(answer, keys.len()));
        answers.map_err(|fault| match keys {
            [key] => fault.on(Operation::Get, key),
            _ => fault.outward(Operation::Get),
        })
    }

    pub(crate) async fn renew_some(
        &self,
        slot: u16,
        renewals: &[Renewal],
    ) -> Vec<Result<bool, BackendError>> {
        let call = calls::renew(renewals);
        let answer = self.shared().carry(slot, Request::Call(&call)).await;
        match answer.and_then(|answer| reply::renewed(answer, renewals.len())) {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            // The leases at other masters are none the worse for it.
            Err(fault) => vec![Err(fault.outward(Operation::Renew)); renewals.len()],
        }
    }
}

/// In which group it is: those of one slot travel together if each is atomic there.
fn group(key: &Key, alone: usize) -> (u16, Option<usize>) {
    (key_slot(key), (!spread::is_together(key)).then_some(alone))
}

pub(crate) fn missing<A>(operation: Operation, key: &Key) -> Result<A, BackendError> {
    let fault = Fault::new(ErrorKind::Protocol, "too few answers");
    Err(fault.on(operation, key))
}

/// Groups of one slot whose items are atomic there, and each other item alone.
pub(crate) fn together_or_alone<T>(
    items: &[T],
    key: impl Fn(&T) -> &Key,
) -> Vec<(u16, Vec<usize>)> {
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for (at, item) in items.iter().enumerate() {
        match group(key(item), at) {
            (_, None) => together.push(at),
            (slot, Some(at)) => alone.push((slot, vec![at])),
        }
    }
    let groups = by_slot(&together, |at| key_slot(key(&items[*at])));
    let groups = groups.into_iter().map(|(slot, places)| {
        let at = places.into_iter().map(|place| together[place]);
        (slot, at.collect())
    });
    groups.chain(alone).collect()
}
