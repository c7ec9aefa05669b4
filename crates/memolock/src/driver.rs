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
//! | queueing for a place | none: a place that was granted passes to the next | queues itself | nothing to do |
//! | computing | half-done work of the caller | computes under the same lease | releases |
//! | triggering | as above | triggers under the same lease | releases |
//! | fulfilling | the value stored, the lock gone | fulfils again: lost, or stored | fulfils again |
//! | fulfilling with a large value | it is on its way | waits for it (`transfer`) | waits for it |
//! | releasing | the lock gone | releases again: not ours, harmless | releases again |
//!
//! Clean-up is tried again in the background while the lease lasts (`machine/cleaning.rs` in the core). No caller waits
//! for it. It belongs to the memolock, not to a caller: it ends with the lease, with a close, or with the runtime.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memolock_codec::Codec;
use memolock_core::{
    Acquired, BackendError, Completion, Event, Held, Input, Key, Message, Notice, Output, Phase,
    Token,
};
use tokio::time::Instant;

use crate::Lease;
use crate::called::Late;
use crate::commands::Commands;
use crate::crew::{Controls, Pilot};
use crate::engine::Engine;
use crate::hub::{Hub, until};
use crate::landing::{completion, settle, took_too_long};
use crate::nesting::{Nested, Place};
use crate::settled::{Product, Settled};
use crate::shared::{Shared, Terms};
use crate::sieve::Heard;
use crate::transfer;
use crate::work::{Ended, Work};

/// After so many turns of waiting without a rest others have theirs.
const TURNS: u32 = 64;

/// Why a caller drives no more before the end of the flight, which goes on under another one, or is cleaned up.
pub(crate) enum Stopped {
    /// Its time ran out.
    TimedOut(Late),
    /// It has made way for one that can compute, or for those who went on without the flight, and begins again: in all
    /// likelihood it joins.
    MadeWay,
}

/// Drives a flight to its end.
pub(crate) async fn fly<T, C, W, R>(
    mut pilot: Pilot<'_, T, C>,
    work: &mut W,
    commands: &R,
    deadline: Instant,
    terms: Terms,
    nested: &Nested,
) -> Result<Settled<T>, Stopped>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
    W: Work<T>,
    R: Commands,
{
    // A place among the computes that run without a lease. The compute gives it back.
    let mut place: Option<Arc<Place>> = None;
    let mut turns = 0_u32;
    loop {
        let Controls {
            shared,
            flight,
            engine,
        } = pilot.controls();
        let (hub, key) = (&*shared.hub, flight.key());
        if engine.has_outcome() {
            let settled = settle(shared, key, engine);
            if let Some(place) = &place {
                nested.takes(place);
            }
            return Ok(pilot.land(settled));
        }
        // What is done is stored first.
        let leaves = || hub.turns_away() && engine.phase() != Phase::Finishing;
        // Closed. What was computed is its caller's all the same.
        if let Some(end) = flight.end(leaves) {
            return Ok(engine.salvage().unwrap_or(end));
        }
        if serve_last(shared, key, engine) {
            continue;
        }
        // Others may be computing without this flight by now, and there is no lease to keep the two apart.
        if flight.is_overdue() && matches!(engine.output(), Output::Compute { lease: None }) {
            return Err(Stopped::MadeWay);
        }
        // The program of the trigger before did not answer. Who can compute does better than the next one.
        if engine.triggers_again() && pilot.makes_way() {
            return Err(Stopped::MadeWay);
        }
        let Controls {
            shared,
            flight,
            engine,
        } = pilot.controls();
        let (hub, key) = (&*shared.hub, flight.key());
        let crowded = place.is_none() && matches!(engine.output(), Output::Compute { lease: None });
        let phase = if crowded {
            Phase::Queueing
        } else {
            engine.phase()
        };
        if matches!(phase, Phase::Queueing | Phase::Waiting | Phase::Working) {
            nested.waits();
        }
        // A caller's patience does not end its own work.
        let patience = match phase {
            Phase::Working | Phase::Finishing => None,
            _ => Some(deadline),
        };
        if phase == Phase::Waiting {
            // A subscription that always has something to say must not keep the deadline from being
            // seen, nor other tasks from running: also where the task has no budget.
            turns = turns.wrapping_add(1);
            if turns.is_multiple_of(TURNS) {
                tokio::task::yield_now().await;
            }
            if patience.is_some_and(|at| at <= Instant::now()) {
                return Err(Stopped::TimedOut(Late::of(flight, phase)));
            }
        }
        let input = tokio::select! {
            // The step first: what a compute has come to must not be lost to a close at the same moment.
            biased;
            got = commands.place(&hub.places, terms.wait_timeout), if crowded => {
                place = Some(got);
                continue;
            }
            input = step(shared, key, engine, work, commands, (&place, terms.ttl)), if !crowded => input,
            _ = flight.ended(|| phase != Phase::Finishing && hub.turns_away()) => continue,
            () = until(patience) => return Err(Stopped::TimedOut(Late::of(flight, phase))),
        };
        // Who has no time left begins nothing: who takes over is woken by the same deadline.
        if input == Input::Elapsed && patience.is_some_and(|at| at <= Instant::now()) {
            return Err(Stopped::TimedOut(Late::of(flight, phase)));
        }
        if let Input::Acquired(Ok(acquired)) = &input {
            flight.tried(acquired);
        }
        engine.handle(hub, key, input);
    }
}

/// Begins a flight with what has been found for it already, in place of its probe.
pub(crate) fn begin<T, C>(pilot: &mut Pilot<'_, T, C>, found: Result<Option<Bytes>, BackendError>)
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    let Controls {
        shared,
        flight,
        engine,
    } = pilot.controls();
    let input = probed(shared, flight.key(), engine, found);
    engine.handle(&shared.hub, flight.key(), input);
}

/// What a probe found: what is passed over counts as none.
fn probed<T, C>(
    shared: &Shared<T, C>,
    key: &Key,
    engine: &mut Engine<T>,
    mut reply: Result<Option<Bytes>, BackendError>,
) -> Input
where
    T: Send + Sync + 'static,
    C: Codec<T>,
{
    if matches!(&reply, Ok(Some(value)) if !engine.sieve().passes(shared, key, value)) {
        reply = Ok(None);
    }
    match &reply {
        Ok(Some(_)) if engine.sieve().has_value() => shared.hub.counters.hits.add(),
        // The error of the call.
        Ok(Some(_)) => {}
        Ok(None) => shared.hub.counters.misses.add(),
        Err(_) => {}
    }
    Input::Probed(reply)
}

/// Where a compute would run without a lease, and there is something to serve in its place, serves it.
fn serve_last<T, C>(shared: &Shared<T, C>, key: &Key, engine: &mut Engine<T>) -> bool {
    let hub = &*shared.hub;
    let Some(cause) = engine.cause() else {
        return false;
    };
    let Some(value) = shared.last(key) else {
        return false;
    };
    hub.outage(cause);
    engine.produced(Product::Last(value));
    engine.handle(hub, key, Input::Computed(Completion::Unstored));
    true
}

/// One output becomes one input.
async fn step<T, C, W, R>(
    shared: &Shared<T, C>,
    key: &Key,
    engine: &mut Engine<T>,
    work: &mut W,
    commands: &R,
    (place, ttl): (&Option<Arc<Place>>, Duration),
) -> Input
where
    T: Send + Sync + 'static,
    C: Codec<T>,
    W: Work<T>,
    R: Commands,
{
    let hub = &*shared.hub;
    let store = &*hub.store;
    match engine.output() {
        Output::Probe => {
            let reply = probe(shared, key, engine, commands).await;
            probed(shared, key, engine, reply)
        }
        Output::Acquire { token, lease } => {
            Input::Acquired(acquire(shared, key, engine, commands, token, lease).await)
        }
        Output::Subscribe => {
            engine.notes().listens(shared.ticket(key.id()));
            match store.subscribe(key).await {
                Ok(subscription) => {
                    engine.subscribed(subscription);
                    Input::Subscribed(Ok(()))
                }
                Err(error) => Input::Subscribed(Err(error)),
            }
        }
        Output::Listen => match engine.listen(hub).await {
            Input::Heard(Event::Message(Message::Value(value))) => {
                match engine.sieve().hears(shared, key, &value) {
                    Heard::Value => {
                        engine.notes().heard();
                        Input::Heard(Event::Message(Message::Value(value)))
                    }
                    Heard::OtherVersion { known } => Input::PassedOver { known },
                    // As after a gap: what is known of a holder stays known.
                    Heard::Unclear => Input::Heard(Event::Resumed),
                }
            }
            input @ Input::Heard(Event::Message(Message::Notice(Notice::Invalidated))) => {
                shared.forget(key.id());
                input
            }
            input => input,
        },
        Output::Pause => engine.pause(hub).await,
        Output::Compute { lease } => {
            hub.counters.computes.add();
            if lease.is_none() {
                hub.counters.degraded.add();
            }
            let handle = lease_handle(hub, key, engine, lease);
            // It holds its key in this process, if nowhere else.
            let _holds = lease.is_none().then(|| engine.keep_unleased(hub, key));
            // Under a lease none is needed.
            let place = place.clone().filter(|_| lease.is_none());
            let ended = work.compute(handle, place).await;
            if engine.lost().is_cancelled() {
                engine.note_loss(hub);
            }
            Input::Computed(completion(shared, key, engine, ended, ttl))
        }
        Output::Trigger => {
            hub.counters.computes.add();
            match work.trigger().await {
                Ended::Ok(()) => {
                    engine.sieve().triggered();
                    Input::Triggered(Ok(()))
                }
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
                Ended::TimedOut(after) => {
                    hub.counters.failures.add();
                    engine.produced(Product::TimedOut(after));
                    Input::Triggered(Err(took_too_long(after)))
                }
            }
        }
        Output::Fulfil { token, value, ttl } => {
            engine.notes().stores(shared.ticket(key.id()), ttl);
            if store.is_large(&value) {
                let sent = (token, value, ttl);
                return Input::Fulfilled(transfer::with_callers(hub, key, engine, sent).await);
            }
            Input::Fulfilled(commands.fulfil(key, token, value, ttl).await)
        }
        Output::Release { token, notice } => {
            Input::Released(store.release(key, token, notice).await)
        }
        // At rest there is nothing to do, and nobody asks.
        _ => Input::Abandoned,
    }
}

/// Looks at what is stored; for a near cache, also at how long it stays.
async fn probe<T, C, R: Commands>(
    shared: &Shared<T, C>,
    key: &Key,
    engine: &mut Engine<T>,
    commands: &R,
) -> Result<Option<Bytes>, BackendError> {
    let ticket = shared.ticket(key.id());
    if ticket.is_none() {
        engine.notes().found(None, None);
        return commands.get(key).await;
    }
    let found = commands.get_timed(key).await?;
    let remaining = found.as_ref().and_then(|(_, remaining)| *remaining);
    engine.notes().found(ticket, remaining);
    Ok(found.map(|(value, _)| value))
}

/// Tries for the lease; over bytes that were passed over, if there were any. Others of the kind that have come
/// since are found here, and the try repeated over those.
async fn acquire<T, C, R>(
    shared: &Shared<T, C>,
    key: &Key,
    engine: &mut Engine<T>,
    commands: &R,
    token: Token,
    lease: Duration,
) -> Result<Acquired, BackendError>
where
    T: Send + Sync + 'static,
    C: Codec<T>,
    R: Commands,
{
    let store = &*shared.hub.store;
    loop {
        let passed_over = engine.sieve().passed_over().cloned();
        engine.notes().found(shared.ticket(key.id()), None);
        let reply = match &passed_over {
            None => commands.acquire(key, token, lease).await,
            Some(bytes) => store.acquire_over(key, token, lease, bytes).await,
        };
        match reply {
            // The very value that it was to be acquired over: this backend cannot, and callers get the error.
            Ok(Acquired::Value(value)) if passed_over.as_ref() == Some(&value) => {
                return Ok(Acquired::Value(value));
            }
            Ok(Acquired::Value(value)) if !engine.sieve().passes(shared, key, &value) => {}
            reply => return reply,
        }
    }
}

fn lease_handle<T>(hub: &Hub, key: &Key, engine: &Engine<T>, held: Option<Held>) -> Lease {
    let held = held.map(|h| (h.token, Arc::clone(&hub.heartbeat)));
    Lease::new(key.clone(), held, engine.lost(), Arc::clone(&hub.store))
}
