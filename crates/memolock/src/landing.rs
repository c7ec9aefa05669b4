//! From what the work and the machine say to what callers get.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memolock_codec::{Codec, CodecError};
use memolock_core::{
    BackendError, Completion, ErrorKind, Fulfilled, Key, Origin, Outcome, Storage,
};

use crate::engine::Engine;
use crate::hub::Hub;
use crate::settled::{Product, Settled};
use crate::shared::Shared;
use crate::work::Ended;
use crate::{Computed, Source};

/// Keeps what the compute produced and says how it ended.
pub(crate) fn completion<T, C>(
    shared: &Shared<T, C>,
    key: &Key,
    engine: &mut Engine<T>,
    ended: Ended<Computed<T>>,
    ttl: Duration,
) -> Completion
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    let counters = &shared.hub.counters;
    match ended {
        Ended::Ok(computed) => {
            let ttl = computed.ttl.unwrap_or(ttl);
            let value = Arc::new(computed.value);
            engine.produced(Product::Value(Arc::clone(&value)));
            if !computed.store || ttl.is_zero() {
                return Completion::Unstored;
            }
            match encoded(shared, key, &value) {
                Ok(value) if value.len() > shared.hub.max_value_bytes => {
                    counters.unstored.add();
                    let (bytes, most) = (value.len(), shared.hub.max_value_bytes);
                    tracing::warn!(%key, bytes, most, "value not stored: it is larger than max_value_bytes");
                    Completion::Unstored
                }
                Ok(value) => Completion::Value { value, ttl },
                Err(error) => {
                    counters.unstored.add();
                    tracing::warn!(%key, %error, "value not stored");
                    Completion::Unstored
                }
            }
        }
        Ended::Failed { error, message } => {
            counters.failures.add();
            let told = message.to_string();
            engine.produced(Product::Failed { error, message });
            Completion::Failed(told)
        }
        Ended::Panicked(message) => {
            counters.failures.add();
            engine.produced(Product::Panicked(message));
            Completion::Panicked
        }
        Ended::TimedOut(after) => {
            counters.failures.add();
            engine.produced(Product::TimedOut(after));
            Completion::Failed(took_too_long(after))
        }
    }
}

/// What others hear of work that was cancelled.
pub(crate) fn took_too_long(after: Duration) -> String {
    format!("it took longer than {after:?}")
}

/// What callers get of the machine's outcome; the value is decoded here, once for all of them.
pub(crate) fn settle<T, C>(shared: &Shared<T, C>, key: &Key, engine: &mut Engine<T>) -> Settled<T>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    let hub = &*shared.hub;
    let counters = &hub.counters;
    let claim = engine.notes().claim();
    let (outcome, product) = engine.outcome();
    match (outcome, product) {
        (Some(Outcome::Value { value, origin }), _) => {
            hub.in_order();
            let source = match origin {
                Origin::Hit => Source::Hit,
                Origin::Awaited => Source::Awaited,
            };
            match engine.sieve().value(&shared.codec, &value) {
                Ok(value) => {
                    if source == Source::Awaited {
                        counters.awaited.add();
                    }
                    let value = Arc::new(value);
                    shared.remember(key, &value);
                    shared.keep(key, &value, claim);
                    Settled::Value { value, source }
                }
                Err(error) => Settled::Codec(error),
            }
        }
        (Some(Outcome::Computed { storage }), Some(product)) => {
            if storage == Storage::LeaseLost {
                engine.note_loss(hub);
            }
            match &storage {
                Storage::Failed(_) if engine.transfer().is_under_way() => {
                    tracing::debug!(%key, "a large value is still being stored: its callers do not wait");
                    engine.transfer().leave();
                }
                storage => stored(hub, key, storage),
            }
            match (&product, storage) {
                // Somebody has put or invalidated meanwhile: this is older than that.
                (_, Storage::LeaseLost) => shared.forget(key.id()),
                // What is not to be kept is not kept here either.
                (_, Storage::Declined) => {}
                (Settled::Value { value, .. }, storage) => {
                    shared.remember(key, value);
                    if storage == Storage::Stored {
                        shared.keep(key, value, claim);
                    }
                }
                _ => {}
            }
            product
        }
        (Some(Outcome::Failed | Outcome::Panicked), Some(product)) => product,
        (Some(Outcome::Absent), _) => {
            hub.in_order();
            shared.forget(key.id());
            Settled::Absent
        }
        (Some(Outcome::Remote(message)), _) => Settled::Remote(message.into()),
        (Some(Outcome::Backend(error)), _) => {
            if !error.is_outage() {
                return Settled::Backend(error);
            }
            hub.outage(&error);
            match shared.last(key) {
                Some(value) => Product::Last(value).into_settled(Source::Stale),
                None => Settled::Backend(error),
            }
        }
        // Abandoned flights have no callers, and work that ended left its product.
        _ => Settled::Closed,
    }
}

/// Counts and logs what became of storing a value.
fn stored(hub: &Hub, key: &Key, storage: &Storage) {
    match storage {
        Storage::Stored => hub.in_order(),
        Storage::LeaseLost => {
            hub.counters.unstored.add();
            tracing::warn!(%key, "value not stored: the lease was lost before it was ready");
        }
        Storage::Degraded(error) => {
            hub.counters.unstored.add();
            hub.outage(error);
        }
        Storage::Failed(error) => {
            hub.counters.unstored.add();
            match error.is_ambiguous() || error.kind() == ErrorKind::Refused {
                true => tracing::warn!(
                    %key, %error,
                    "value not stored yet: it is tried again in the background while the lease lasts"
                ),
                false => tracing::warn!(%key, %error, "value not stored"),
            }
        }
        Storage::Uncertain => {
            tracing::debug!(%key, "value most likely stored: the reply to an earlier try was lost");
        }
        // Declined by the compute itself, or counted where encoding failed.
        _ => {}
    }
}

/// Counts and logs what became of storing a large value whose callers did not wait for it.
pub(crate) fn stored_behind<T>(
    hub: &Hub,
    key: &Key,
    engine: &mut Engine<T>,
    reply: Option<Result<Fulfilled, BackendError>>,
) {
    let storage = match reply {
        Some(Ok(Fulfilled::Stored)) => Storage::Stored,
        // The first sending may have stored it, and its reply was lost.
        Some(Ok(Fulfilled::Lost)) if engine.transfer().was_repeated() => Storage::Uncertain,
        Some(Ok(Fulfilled::Lost)) => {
            engine.note_loss(hub);
            Storage::LeaseLost
        }
        Some(Err(error)) => {
            hub.counters.unstored.add();
            tracing::warn!(%key, %error, "value not stored");
            return;
        }
        None => return,
    };
    stored(hub, key, &storage);
}

/// A codec is the user's code: its panic must not make every joined caller run into it in turn.
pub(crate) fn encoded<T, C: Codec<T>>(
    shared: &Shared<T, C>,
    key: &Key,
    value: &T,
) -> Result<Bytes, CodecError> {
    let codec = &shared.codec;
    let encoded = catch_unwind(AssertUnwindSafe(|| codec.encode(value)));
    let bytes = encoded.unwrap_or_else(|_| Err(CodecError::encode(codec.name(), "it panicked")))?;
    shared.codec_check.look(key, codec, value, &bytes);
    Ok(bytes)
}

pub(crate) fn decoded<T, C: Codec<T>>(codec: &C, bytes: &Bytes) -> Result<T, CodecError> {
    let decoded = catch_unwind(AssertUnwindSafe(|| codec.decode(bytes)));
    decoded.unwrap_or_else(|_| Err(CodecError::decode(codec.name(), "it panicked")))
}
