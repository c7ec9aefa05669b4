//! The driver: the only file that knows both the machine and a backend. It does what the machine says
//! and tells it what came of it.
//!
//! Every await here is a point at which the caller may be dropped. What the machine does not know of is
//! then repeated by the next driver, or undone by clean-up:
//!
//! | dropped while | the effect may be | the next driver | without one |
//! |---|---|---|---|
//! | probing | none | probes again | nothing to do |
//! | acquiring | a lease with our token | acquires with the same token | releases the token |
//! | subscribing | a subscription | subscribes | dropped with the future |
//! | listening | none | listens on | the subscription is dropped |
//! | computing | half-done work of the caller | computes under the same lease | releases |
//! | triggering | as above | triggers under the same lease | releases |
//! | fulfilling | the value stored, the lock gone | fulfils again: lost, or stored | fulfils again |
//! | releasing | the lock gone | releases again: not ours, harmless | releases again |

use std::sync::Arc;
use std::time::Duration;

use memolock_codec::Codec;
use memolock_core::{Completion, Held, Input, Key, Origin, Outcome, Output, Phase, Storage};
use tokio::time::Instant;

use crate::client::Shared;
use crate::crew::{Controls, Pilot};
use crate::engine::Engine;
use crate::hub::{Hub, until};
use crate::settled::{Product, Settled};
use crate::work::{Ended, Work};
use crate::{Computed, Lease, Source};

/// Drives a flight to its end. Without a result the caller's time ran out, in the phase that is named;
/// the flight goes on under another caller, or is cleaned up.
pub(crate) async fn fly<T, C, W>(
    mut pilot: Pilot<T, C>,
    mut work: W,
    deadline: Option<Instant>,
    ttl: Duration,
) -> Result<Settled<T>, Phase>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
    W: Work<T>,
{
    // Held until the flight is over: a place among the computes that run without a lease.
    let mut place = None;
    loop {
        let Controls {
            shared,
            flight,
            engine,
        } = pilot.controls();
        let (hub, key) = (&*shared.hub, flight.key());
        if engine.has_outcome() {
            let settled = settle(shared, key, engine);
            return Ok(pilot.land(settled));
        }
        let phase = engine.phase();
        let crowded = place.is_none() && matches!(engine.output(), Output::Compute { lease: None });
        // A caller's patience does not end its own work.
        let patience = match phase {
            Phase::Working if crowded => deadline,
            Phase::Working | Phase::Finishing => None,
            _ => deadline,
        };
        let input = tokio::select! {
            biased;
            got = Arc::clone(&hub.local).acquire_owned(), if crowded => {
                place = Some(got);
                continue;
            }
            input = step(shared, key, engine, &mut work, ttl), if !crowded => input,
            () = flight.ended() => return Ok(Settled::Closed),
            () = until(patience) => return Err(phase),
        };
        engine.handle(hub, key, input);
    }
}

/// One output becomes one input.
async fn step<T, C, W>(
    shared: &Shared<T, C>,
    key: &Key,
    engine: &mut Engine<T>,
    work: &mut W,
    ttl: Duration,
) -> Input
where
    T: Send + Sync + 'static,
    C: Codec<T>,
    W: Work<T>,
{
    let hub = &*shared.hub;
    let backend = &*hub.backend;
    match engine.output() {
        Output::Probe => {
            let reply = backend.get(key).await;
            match &reply {
                Ok(Some(_)) => hub.counters.hits.add(),
                Ok(None) => hub.counters.misses.add(),
                Err(_) => {}
            }
            Input::Probed(reply)
        }
        Output::Acquire { token, lease } => {
            Input::Acquired(backend.acquire(key, token, lease).await)
        }
        Output::Subscribe => match backend.subscribe(key).await {
            Ok(subscription) => {
                engine.subscribed(subscription);
                Input::Subscribed(Ok(()))
            }
            Err(error) => Input::Subscribed(Err(error)),
        },
        Output::Listen => engine.listen(hub).await,
        Output::Pause => engine.pause(hub).await,
        Output::Compute { lease } => {
            hub.counters.computes.add();
            let handle = lease_handle(hub, key, engine, lease);
            let ended = work.compute(handle).await;
            Input::Computed(completion(shared, key, engine, ended, ttl))
        }
        Output::Trigger => {
            hub.counters.computes.add();
            match work.trigger().await {
                Ended::Ok(()) => Input::Triggered(Ok(())),
                Ended::Failed { error, message } => {
                    hub.counters.failures.add();
                    let told = message.to_string();
                    engine.produced(Product::Failed { error, message });
                    Input::Triggered(Err(told))
                }
                Ended::Panicked(message) => {
                    hub.counters.failures.add();
                    engine.produced(Product::Panicked(message));
                    Input::Triggered(Err("panicked".to_owned()))
                }
            }
        }
        Output::Fulfil { token, value, ttl } => {
            Input::Fulfilled(backend.fulfil(key, token, value, ttl).await)
        }
        Output::Release { token, notice } => {
            Input::Released(backend.release(key, token, notice).await)
        }
        // At rest there is nothing to do, and nobody asks.
        _ => Input::Abandoned,
    }
}

/// Carries out what remains when callers are gone or have their answer: a value to store, a lease to
/// give back.
pub(crate) fn clean_up<T>(hub: &Arc<Hub>, key: &Key, mut engine: Box<Engine<T>>)
where
    T: Send + Sync + 'static,
{
    engine.handle(hub, key, Input::Abandoned);
    if engine.output() == Output::Rest {
        return;
    }
    let (task_hub, key) = (Arc::clone(hub), key.clone());
    let task = async move {
        let hub = &*task_hub;
        loop {
            let input = match engine.output() {
                Output::Fulfil { token, value, ttl } => {
                    Input::Fulfilled(hub.backend.fulfil(&key, token, value, ttl).await)
                }
                Output::Release { token, notice } => {
                    Input::Released(hub.backend.release(&key, token, notice).await)
                }
                // An outage: whoever closes meanwhile need not wait for its end.
                Output::Pause => tokio::select! {
                    () = hub.closing.cancelled() => return,
                    input = engine.pause(hub) => input,
                },
                _ => return,
            };
            engine.handle(hub, &key, input);
        }
    };
    // Detached on purpose: a close waits for it through the tracker.
    drop(hub.tracker.spawn_on(task, &hub.runtime));
}

/// What callers get of the machine's outcome; the value is decoded here, once for all of them.
fn settle<T, C>(shared: &Shared<T, C>, key: &Key, engine: &mut Engine<T>) -> Settled<T>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    let hub = &*shared.hub;
    let counters = &hub.counters;
    let (outcome, product) = engine.outcome();
    match (outcome, product) {
        (Some(Outcome::Value { value, origin }), _) => {
            hub.in_order();
            let source = match origin {
                Origin::Hit => Source::Hit,
                Origin::Awaited => {
                    counters.awaited.add();
                    Source::Awaited
                }
            };
            match shared.codec.decode(&value) {
                Ok(value) => Settled::Value {
                    value: Arc::new(value),
                    source,
                },
                Err(error) => Settled::Codec(error),
            }
        }
        (Some(Outcome::Computed { storage }), Some(product)) => {
            stored(hub, key, &storage);
            product.into_settled()
        }
        (Some(Outcome::Failed | Outcome::Panicked), Some(product)) => product.into_settled(),
        (Some(Outcome::Absent), _) => {
            hub.in_order();
            Settled::Absent
        }
        (Some(Outcome::Remote(message)), _) => Settled::Remote(message.into()),
        (Some(Outcome::Backend(error)), _) => {
            if error.is_outage() {
                hub.outage(&error);
            }
            Settled::Backend(error)
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
            hub.counters.lost_leases.add();
            hub.counters.unstored.add();
            tracing::warn!(%key, "value not stored: the lease was lost before it was ready");
        }
        Storage::Degraded(error) => {
            hub.counters.degraded.add();
            hub.counters.unstored.add();
            hub.outage(error);
        }
        Storage::Failed(error) => {
            hub.counters.unstored.add();
            tracing::warn!(%key, %error, "value not stored");
        }
        // Declined by the compute itself, or counted where encoding failed; or, most likely, stored.
        _ => {}
    }
}

fn lease_handle<T>(hub: &Hub, key: &Key, engine: &Engine<T>, held: Option<Held>) -> Lease {
    let held = held.map(|h| (h.token, Arc::clone(&hub.heartbeat)));
    Lease::new(key.clone(), held, engine.lost(), Arc::clone(&hub.backend))
}

/// Keeps what the compute produced and says how it ended.
fn completion<T, C>(
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
            match shared.codec.encode(&value) {
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
    }
}
