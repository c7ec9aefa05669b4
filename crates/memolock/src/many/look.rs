//! The first look for many ids: what is stored is decoded here, and needs no flight.

use bytes::Bytes;
use memolock_codec::Codec;
use memolock_core::{BackendError, Key};
use std::sync::Arc;

use crate::Source;
use crate::landing::decoded;
use crate::settled::{Product, Settled};
use crate::shared::Shared;

/// What a look found for one key.
pub(crate) enum Looked<T> {
    /// A value, or bytes that are none.
    Found(Settled<T>),
    /// Nothing that means anything to this memolock; the reply as it was.
    Missing(Result<Option<Bytes>, BackendError>),
}

/// Looks for all keys together, and again, up to `times` in all, for those whose answers were lost.
pub(crate) async fn look<T, C>(shared: &Shared<T, C>, keys: &[Key], times: u8) -> Vec<Looked<T>>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    let store = &*shared.hub.store;
    let began = shared.retirements();
    let mut replies = store.get_many(keys).await;
    for _ in 1..times {
        let lost =
            |reply: &Result<_, BackendError>| reply.as_ref().is_err_and(BackendError::is_ambiguous);
        let again: Vec<usize> = (0..keys.len()).filter(|n| lost(&replies[*n])).collect();
        if again.is_empty() {
            break;
        }
        let asked: Vec<Key> = again.iter().map(|n| keys[*n].clone()).collect();
        for (n, reply) in again.into_iter().zip(store.get_many(&asked).await) {
            replies[n] = reply;
        }
    }
    if replies.iter().any(Result::is_ok) {
        shared.hub.in_order();
    }
    let looked = keys.iter().zip(replies);
    let looked = looked
        .map(|(key, reply)| sift(shared, key, reply))
        .collect();
    // Whoever put or invalidated meanwhile has forgotten before we remembered, or sees to it after.
    if shared.retirements() != began {
        keys.iter().for_each(|key| shared.forget(key.id()));
    }
    looked
}

fn sift<T, C>(
    shared: &Shared<T, C>,
    key: &Key,
    reply: Result<Option<Bytes>, BackendError>,
) -> Looked<T>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    let Ok(Some(bytes)) = &reply else {
        return Looked::Missing(reply);
    };
    match decoded(&shared.codec, bytes) {
        // Of another version: who computes takes the lease over these very bytes.
        Err(error) if error.is_miss() => Looked::Missing(reply),
        Err(error) => {
            shared.hub.counters.hits.add();
            Looked::Found(Settled::Codec(error))
        }
        Ok(value) => {
            shared.hub.counters.hits.add();
            let value = Arc::new(value);
            shared.remember(key, &value);
            let source = Source::Hit;
            Looked::Found(Settled::Value { value, source })
        }
    }
}

/// What a mere look makes of it: a miss is the end.
pub(crate) fn read<T, C>(shared: &Shared<T, C>, key: &Key, looked: Looked<T>) -> Settled<T> {
    let hub = &*shared.hub;
    match looked {
        Looked::Found(settled) => settled,
        Looked::Missing(Ok(stale)) => {
            if stale.is_some() {
                hub.counters.stale.add();
            }
            hub.counters.misses.add();
            shared.forget(key.id());
            Settled::Absent
        }
        Looked::Missing(Err(error)) => {
            if !error.is_outage() {
                return Settled::Backend(error);
            }
            hub.outage(&error);
            match shared.last(key) {
                Some(value) => Product::Last(value).into_settled(Source::Stale),
                None => Settled::Backend(error),
            }
        }
    }
}
