//! R2, in an outage: a place for a compute without a lease is held by running work alone, and goes at once to
//! whoever waits for it.

use std::collections::BTreeSet;

use super::Case;
use crate::caller::MANY;
use crate::facts::{ComputeFact, Facts};
use crate::history::ProcessId;
use crate::nesting::{INNER, KEYS};
use crate::store::{Millis, Op};

/// How long a place may be free while a call waits for it: some turns of a task, on a clock that stands still.
const AT_ONCE: Millis = 5;

pub(super) fn check(case: &mut Case<'_>) {
    if !case.plan.nests {
        return;
    }
    not_too_many(case);
    no_place_lies_idle(case);
    no_compute_waits_for_its_place_in_vain(case);
}

/// There are as many as there may be, and the spare one.
fn not_too_many(case: &mut Case<'_>) {
    let (facts, most) = (&case.facts, case.plan.local + 1);
    let mut found = Vec::new();
    for (number, compute) in &facts.computes {
        let at = compute.began.at;
        let works = working(facts, compute.process, at);
        if !compute.leased && works > most && case.is_ours(compute.process) {
            found.push(format!(
                "R2: {works} computes work without a lease at {at} ms, when v{number} begins"
            ));
        }
    }
    case.broken.extend(found);
}

/// The compute of a nested call begins as soon as the store has failed and a place is free.
fn no_place_lies_idle(case: &mut Case<'_>) {
    let facts = &case.facts;
    let mut found = Vec::new();
    for (number, compute) in &facts.computes {
        let of_key = |op: &Op| {
            op.keys()
                .any(|key| key.id() == crate::caller::id(compute.key))
        };
        // With a holder somewhere it may have waited for that.
        let tried = |op: &Op| matches!(op, Op::Acquire(..)) && of_key(op);
        let nested = compute.key >= KEYS && !compute.leased && judged(case, compute);
        if !nested || facts.effects.iter().any(|effect| tried(effect.op)) {
            continue;
        }
        let calls = facts.calls.values().filter(|call| {
            let same = call.process == compute.process && call.key == compute.key;
            same && call.does == INNER && call.began < compute.began
        });
        // Who takes over from a caller that was dropped queues again.
        let moments = calls.flat_map(|call| [Some(call.began), call.over.as_ref().map(|o| o.0)]);
        let asks = facts.asks.values();
        let asks = asks.filter(|ask| ask.process == compute.process && of_key(ask.op));
        let told = asks.flat_map(|ask| [Some(ask.when), ask.told.map(|(told, _)| told)]);
        let ready = moments.chain(told).flatten();
        let ready = ready.filter(|when| *when < compute.began);
        let Some(ready) = ready.max() else {
            continue;
        };
        let idle = idle(case, compute.process, ready.at, compute.began.at);
        if idle > AT_ONCE {
            found.push(format!(
                "R2: v{number} of a nested call waits {idle} ms for a place that is free"
            ));
        }
    }
    case.broken.extend(found);
}

/// A compute goes on as soon as its nested call has a value and a place is free.
fn no_compute_waits_for_its_place_in_vain(case: &mut Case<'_>) {
    let facts = &case.facts;
    let mut found = Vec::new();
    for (number, compute) in &facts.computes {
        let Some((began, Some(ended))) = facts.nests.get(number) else {
            continue;
        };
        if compute.leased || !judged(case, compute) {
            continue;
        }
        let inner = facts.computes.values().filter(|inner| {
            let same = inner.process == compute.process && inner.key == compute.key + KEYS;
            same && inner.began > *began
        });
        let made = inner.filter_map(|inner| inner.over.filter(|(over, _)| over < ended));
        let Some(made) = made.map(|(over, _)| over).max() else {
            continue;
        };
        let idle = idle(case, compute.process, made.at, ended.at);
        // A nested call under a lease has its value stored before it ends.
        if idle > AT_ONCE && case.plan.bound + AT_ONCE < idle {
            found.push(format!(
                "R2: v{number} waits {idle} ms to go on, while a place is free"
            ));
        }
    }
    case.broken.extend(found);
}

/// Only what nothing but a lack of places can delay.
fn judged(case: &Case<'_>, compute: &ComputeFact) -> bool {
    use crate::fault::Fault;
    let process = compute.process;
    let paused = case
        .facts
        .faults
        .iter()
        .any(|(_, fault)| matches!(fault, Fault::Pause { process: p, .. } if *p == process));
    case.is_ours(process)
        && !paused
        && !case.facts.is_killed(process)
        && !case.facts.closed.contains_key(&process)
}

/// For how long of this time fewer computes worked than may.
fn idle(case: &Case<'_>, process: ProcessId, from: Millis, until: Millis) -> Millis {
    let works = |at| working(&case.facts, process, at) >= case.plan.local;
    (from..until).filter(|at| !works(*at)).count() as Millis
}

/// How many computes of a process work without a lease in the millisecond that begins now.
fn working(facts: &Facts<'_>, process: ProcessId, at: Millis) -> usize {
    let on = |compute: &ComputeFact| {
        let over = compute.over.map_or(Millis::MAX, |(over, _)| over.at);
        compute.process == process && !compute.leased && compute.began.at <= at && at < over
    };
    let waits = |number| match facts.nests.get(number) {
        Some((began, ended)) => {
            let ended = ended.map_or(Millis::MAX, |ended| ended.at);
            began.at <= at && at < ended
        }
        None => false,
    };
    // What a call for many computes together has one place.
    let together = |compute: &ComputeFact| {
        let call = facts.calls.get(&compute.call)?;
        (call.does == MANY).then_some((call.began.at, compute.began.at))
    };
    let computes = facts.computes.iter();
    let works = computes.filter(|(number, compute)| on(compute) && !waits(*number));
    let mut batches = BTreeSet::new();
    works
        .filter(|(_, compute)| together(compute).is_none_or(|batch| batches.insert(batch)))
        .count()
}
