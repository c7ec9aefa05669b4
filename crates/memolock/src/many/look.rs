//! The first look for many ids: what is stored is decoded here, and needs no flight.

use std::sync::Arc;

use bytes::Bytes;
use memolock_codec::{Codec, CodecError};
use memolock_core::{BackendError, ErrorKind, Key, Timed};

use crate::Source;
use crate::commands::Found;
use crate::near::{Claim, Ticket};
use crate::settled::{Product, Settled};
use crate::shared::Shared;
use crate::sieve::Judged;
use crate::store::Store;

/// What a look found for one key.
pub(crate) enum Looked<T> {
    /// A value, or bytes that are none.
    Found(Settled<T>),
    /// Nothing.
    Missing(Result<(), BackendError>),
    /// Bytes that are passed over, and why.
    PassedOver(Bytes, CodecError),
}

/// Looks for all keys together, and again, up to `times` in all, for those whose answers were lost.
pub(crate) async fn look<T, C>(shared: &Shared<T, C>, keys: &[Key], times: u8) -> Vec<Looked<T>>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    let store = &*shared.hub.store;
    let began = shared.retirements();
    // Before the command: what moves from here on keeps a copy out of the near cache.
    let tickets: Vec<_> = keys.iter().map(|key| shared.ticket(key.id())).collect();
    let mut replies = ask(store, keys, tickets.iter().any(Option::is_some)).await;
    for _ in 1..times {
        let lost = |reply: &Reply| reply.as_ref().is_err_and(BackendError::is_reply_lost);
        let again: Vec<usize> = (0..keys.len()).filter(|n| lost(&replies[*n])).collect();
        if again.is_empty() {
            break;
        }
        let asked: Vec<Key> = again.iter().map(|n| keys[*n].clone()).collect();
        for (n, reply) in again.into_iter().zip(ask(store, &asked, false).await) {
            replies[n] = reply;
        }
    }
    narrow(store, keys, &mut replies).await;
    if replies.iter().any(Result::is_ok) {
        shared.hub.in_order();
    }
    let looked = keys.iter().zip(replies).zip(tickets);
    let looked = looked.map(|((key, reply), ticket)| sift(shared, key, reply, ticket));
    let looked = looked.collect();
    // Whoever put or invalidated meanwhile has forgotten before we remembered, or sees to it after.
    if shared.retirements() != began {
        keys.iter().for_each(|key| shared.forget(key.id()));
    }
    looked
}

type Reply = Result<Found, BackendError>;

/// An error that is not known fails a command for many, and one of its keys may be the cause. Groups of them are asked
/// for again, and those of the group that fails once more. Two groups that fail are no single key's fault: then it is an
/// outage, and nothing more is asked. So an outage costs two commands, and a thousand keys beside a bad one 70.
async fn narrow(store: &Store, keys: &[Key], replies: &mut [Reply]) {
    let unknown = |reply: &Reply| {
        let error = reply.as_ref().err();
        error.is_some_and(|error| error.kind() == ErrorKind::Unrecognized)
    };
    let mut suspects: Vec<usize> = (0..keys.len()).filter(|n| unknown(&replies[*n])).collect();
    while suspects.len() > 1 {
        let mut failed: Option<Vec<usize>> = None;
        for group in suspects.chunks(suspects.len().isqrt()) {
            let asked: Vec<Key> = group.iter().map(|n| keys[*n].clone()).collect();
            let answers = ask(store, &asked, false).await;
            let fails = answers.iter().all(Result::is_err);
            for (n, answer) in group.iter().zip(answers) {
                replies[*n] = answer;
            }
            match fails {
                true if failed.is_some() => return,
                true => failed = Some(group.to_vec()),
                false => {}
            }
        }
        suspects = failed.unwrap_or_default();
    }
}

/// Asks for the values; for a near cache, also how long they stay.
async fn ask(store: &Store, keys: &[Key], timed: bool) -> Vec<Reply> {
    if timed {
        match store.read_back(keys).await {
            Ok(found) => {
                let timed = |found: Timed| (found.value, Some(found.remaining));
                return found.into_iter().map(|f| Ok(f.map(timed))).collect();
            }
            Err(error) if error.is_outage() => {
                let failed = |key| Err(error.clone().on(key));
                return keys.iter().map(failed).collect();
            }
            // One of them is no value, and must not fail the others.
            Err(_) => {}
        }
    }
    let replies = store.get_many(keys).await.into_iter();
    let plain = |value| Some((value, None));
    replies.map(|reply| Ok(reply?.and_then(plain))).collect()
}

fn sift<T, C>(shared: &Shared<T, C>, key: &Key, reply: Reply, ticket: Option<Ticket>) -> Looked<T>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    let (bytes, remaining) = match reply {
        Ok(Some(found)) => found,
        Ok(None) => return Looked::Missing(Ok(())),
        Err(error) => return Looked::Missing(Err(error)),
    };
    match shared.judge(&bytes) {
        // Who computes takes the lease over these very bytes.
        Judged::PassedOver(error) => Looked::PassedOver(bytes, error),
        Judged::Error(error) => {
            shared.note_unread(key, &error);
            Looked::Found(Settled::Codec(error))
        }
        Judged::Value(value) => {
            shared.hub.counters.hits.add();
            let value = Arc::new(value);
            shared.remember(key, &value);
            let claim = ticket.map(|ticket| Claim::Found(ticket, remaining));
            shared.keep(key, &value, claim);
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
        Looked::Missing(Ok(())) => missed(shared, key),
        Looked::PassedOver(_, error) => {
            shared.note_unread(key, &error);
            missed(shared, key)
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

fn missed<T, C>(shared: &Shared<T, C>, key: &Key) -> Settled<T> {
    shared.hub.counters.misses.add();
    shared.forget(key.id());
    Settled::Absent
}
