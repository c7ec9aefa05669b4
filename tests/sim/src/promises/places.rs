//! R2, in an outage: computes that work hold the places for computes without a lease, and a free place goes at once to
//! a nested call or to a compute that goes on.

use std::collections::BTreeSet;

use super::Case;
use crate::caller::{APART, MANY, id};
use crate::facts::{CallFact, ComputeFact, Moment};
use crate::fault::Fault;
use crate::history::{CallId, ComputeId, End, ProcessId};
use crate::nesting::{CALLS, INNER, INNER_APART, KEYS};
use crate::plan::Does;
use crate::store::{Millis, Op};

/// How long a place may be free while a call waits for it: some turns of a task, on a clock that stands still.
const AT_ONCE: Millis = 5;

pub(super) fn check(case: &mut Case<'_>) {
    if !case.plan.nests {
        return;
    }
    not_too_many(case);
    a_nested_call_begins(case);
    a_compute_goes_on(case);
    no_nested_call_is_left_out(case);
}

/// At most as many computes work as there are places; one more, in the spare place, if a call has queued for too long.
fn not_too_many(case: &mut Case<'_>) {
    let (facts, local) = (&case.facts, case.plan.local);
    let mut found = Vec::new();
    for (number, compute) in &facts.computes {
        if !compute.placed || !case.is_ours(compute.process) {
            continue;
        }
        let went_on = facts.nests.get(number).and_then(|(_, ended)| *ended);
        for (when, does) in [(Some(compute.began), "begins"), (went_on, "goes on")] {
            let Some(when) = when else {
                continue;
            };
            let works = working(case, compute.process, when);
            let spare = is_stuck(case, compute.process, when) || is_handed(case, compute, when);
            if works > local + usize::from(spare) {
                let at = when.at;
                found.push(format!(
                    "R2: {works} computes work without a lease at {at} ms, when v{number} {does}"
                ));
            }
        }
    }
    case.broken.extend(found);
}

/// The compute of a nested call begins as soon as the store has failed and a place is free, before those of new calls.
fn a_nested_call_begins(case: &mut Case<'_>) {
    let facts = &case.facts;
    let mut found = Vec::new();
    for (number, compute) in &facts.computes {
        let nested = compute.key >= KEYS && compute.placed && is_judged(case, compute.process);
        if !nested || is_tried(case, compute.key) {
            continue;
        }
        let (process, began) = (compute.process, compute.began);
        let ready = ready(case, process, compute.key, began);
        let idle = idle(case, process, ready, began.at);
        if idle > AT_ONCE {
            found.push(format!(
                "R2: v{number} of a nested call waits {idle} ms for a place that is free"
            ));
        }
        let is_new = |other: &ComputeFact| other.key < KEYS;
        // Who calls under a lease gave no place up, and is no sooner than others.
        if !gave_its_place_up(case, compute) {
            continue;
        }
        if let Some(other) = overtaker(case, process, (ready, began), is_new) {
            found.push(format!(
                "R2: v{other} of a new call begins before v{number} of a nested one, which waits"
            ));
        }
    }
    case.broken.extend(found);
}

/// A compute goes on as soon as its nested call has a value and a place is free, before any other begins.
fn a_compute_goes_on(case: &mut Case<'_>) {
    let facts = &case.facts;
    let mut found = Vec::new();
    for (number, compute) in &facts.computes {
        let Some((began, Some(ended))) = facts.nests.get(number) else {
            continue;
        };
        let (process, key) = (compute.process, compute.key + KEYS);
        if !compute.placed || !is_judged(case, process) {
            continue;
        }
        let made = facts.computes.values().filter_map(|inner| {
            let same = inner.process == process && inner.key == key && inner.began > *began;
            let (over, _) = inner.over.filter(|(over, _)| same && over < ended)?;
            Some(over.at)
        });
        let Some(made) = made.max() else {
            continue;
        };
        // What was made under a lease is stored before the nested call ends.
        let ready = made.max(ready(case, process, key, *ended));
        let idle = idle(case, process, ready, ended.at);
        if idle > AT_ONCE {
            found.push(format!(
                "R2: v{number} waits {idle} ms to go on, while a place is free"
            ));
        }
        let handed = facts.computes.values().find_map(|inner| {
            let own = inner.call == compute.call + CALLS && inner.placed;
            // In a task of its own it leaves the place to the queue.
            let call = facts.calls.get(&inner.call);
            let here = call.is_some_and(|call| call.does == INNER);
            inner.over.filter(|_| own && here)
        });
        // The place of a nested compute is handed back: nothing comes between.
        let between = |other: &ComputeFact| {
            handed.is_some_and(|(over, well)| {
                well && other.process == process && other.began > over && other.began < *ended
            })
        };
        if facts.computes.values().any(between) {
            found.push(format!(
                "R2: v{number} does not go on in the place of its nested call"
            ));
        }
        if let Some(other) = overtaker(case, process, (ready, *ended), |_| true) {
            found.push(format!(
                "R2: v{other} begins before v{number}, which waits to go on"
            ));
        }
    }
    case.broken.extend(found);
}

/// No nested call times out that waits for a place: a free one is its own, and so is the spare place, after a quarter of
/// its time.
fn no_nested_call_is_left_out(case: &mut Case<'_>) {
    let mut found = Vec::new();
    for (number, call) in &case.facts.calls {
        let Some((over, Some(End::TimedOut))) = call.over else {
            continue;
        };
        let judged = is_nested(call) && is_judged(case, call.process);
        if !judged || is_tried(case, call.key) || asks(case, call.process, call.key, over) {
            continue;
        }
        let ready = ready(case, call.process, call.key, over);
        let idle = idle(case, call.process, ready, over.at);
        if idle > AT_ONCE {
            found.push(format!(
                "R2: c{number} of a compute times out, while a place is free for {idle} ms"
            ));
        }
    }
    case.broken.extend(found);
}

/// Whether a call may have queued for so long that there is one place more: for a quarter of its time.
fn is_stuck(case: &Case<'_>, process: ProcessId, when: Moment) -> bool {
    let facts = &case.facts;
    let began = |number| {
        let mut computes = facts.computes.iter();
        computes.any(|(compute, fact)| {
            let nests = facts.nests.get(compute);
            let waits = nests.is_some_and(|(began, ended)| {
                *began < when && ended.is_none_or(|ended| when <= ended)
            });
            fact.call == number && fact.began < when && !waits
        })
    };
    facts.calls.iter().any(|(number, call)| {
        // Detached work goes on without its caller.
        let over = call.over.as_ref();
        let apart = matches!(call.does, APART | INNER_APART);
        let over = over.filter(|(_, end)| end.is_some() || !apart);
        call.process == process
            && call.began.at + case.plan.wait / 4 <= when.at
            // One that ends as it is given the spare place hands it on.
            && over.is_none_or(|(over, _)| over.at >= when.at)
            && !began(*number)
    })
}

/// Whether the place of a nested compute may be this compute's, which goes on at that moment: it may be the spare one.
fn is_handed(case: &Case<'_>, outer: &ComputeFact, when: Moment) -> bool {
    let mut computes = case.facts.computes.values();
    computes.any(|inner| {
        let ends = inner.over.is_some_and(|(over, _)| over.at == when.at);
        let nested = inner.process == outer.process && inner.key == outer.key + KEYS;
        nested && inner.placed && ends && outer.began < inner.began
    })
}

/// A compute that begins in a place while another one waits for it that goes before: not in the moment in which that
/// one begins to wait. Those of a call for many may begin in a place that the call has.
fn overtaker(
    case: &Case<'_>,
    process: ProcessId,
    (from, until): (Millis, Moment),
    goes_after: impl Fn(&ComputeFact) -> bool,
) -> Option<ComputeId> {
    let mut computes = case.facts.computes.iter();
    let other = computes.find(|(_, other)| {
        let between = other.began.at > from + AT_ONCE && other.began < until;
        let alone = together(case, other.call).is_none();
        other.process == process && other.placed && between && alone && goes_after(other)
    });
    other.map(|(number, _)| *number)
}

/// Only what nothing but a lack of places can delay.
fn is_judged(case: &Case<'_>, process: ProcessId) -> bool {
    let stops = |fault: &Fault| matches!(fault, Fault::Pause { process: it, .. } if *it == process);
    let facts = &case.facts;
    case.is_ours(process)
        && !facts.faults.iter().any(|(_, fault)| stops(fault))
        && !facts.is_killed(process)
        && !facts.closed.contains_key(&process)
}

/// Whether the store took a try for the lease of a key: a call may have waited for its holder.
fn is_tried(case: &Case<'_>, key: usize) -> bool {
    let mut effects = case.facts.effects.iter();
    effects.any(|effect| matches!(effect.op, Op::Acquire(..)) && of_key(effect.op, key))
}

/// Whether a command for the key has no answer yet at that moment: a call may wait for that.
fn asks(case: &Case<'_>, process: ProcessId, key: usize, at: Moment) -> bool {
    let mut asks = case.facts.asks.values();
    asks.any(|ask| {
        let open = ask.when < at && ask.told.is_none_or(|(told, _)| told >= at);
        open && ask.process == process && of_key(ask.op, key)
    })
}

/// Whether a compute runs for a nested call of one that had a place.
fn gave_its_place_up(case: &Case<'_>, inner: &ComputeFact) -> bool {
    let mut nests = case.facts.nests.iter();
    nests.any(|(number, (began, ended))| {
        let on = *began < inner.began && ended.is_none_or(|ended| inner.began < ended);
        let outer = case.facts.computes.get(number).filter(|_| on);
        outer.is_some_and(|outer| {
            outer.placed && (outer.process, outer.key + KEYS) == (inner.process, inner.key)
        })
    })
}

/// From when on a nested call of this key can only have waited for a place, before a moment.
fn ready(case: &Case<'_>, process: ProcessId, key: usize, before: Moment) -> Millis {
    let facts = &case.facts;
    let calls = facts.calls.values().filter(|call: &&CallFact| {
        (call.process, call.key) == (process, key) && is_nested(call) && call.began < before
    });
    // A call that takes over from one that was dropped queues again.
    let moments = calls.flat_map(|call| [Some(call.began), call.over.as_ref().map(|o| o.0)]);
    let asks = facts.asks.values();
    let asks = asks.filter(|ask| ask.process == process && of_key(ask.op, key));
    let told = asks.flat_map(|ask| [Some(ask.when), ask.told.map(|(told, _)| told)]);
    let ready = moments.chain(told).flatten().filter(|when| *when < before);
    ready.max().map_or(before.at, |ready| ready.at)
}

/// For how long a call that waits for a place from one moment until another did so although one was free. After a
/// quarter of its time, the spare place is free for it, too.
fn idle(case: &Case<'_>, process: ProcessId, from: Millis, until: Millis) -> Millis {
    let spare = from + case.plan.wait / 4;
    let most = |at| case.plan.local + usize::from(at > spare);
    let free = |at: &Millis| held(case, process, *at) < most(*at);
    (from..until).filter(free).count() as Millis
}

/// How many computes of a process work without a lease at a moment.
fn working(case: &Case<'_>, process: ProcessId, when: Moment) -> usize {
    let waits = |number| match case.facts.nests.get(number) {
        Some((began, ended)) => *began <= when && ended.is_none_or(|ended| when < ended),
        None => false,
    };
    let on = |compute: &ComputeFact| {
        compute.began <= when && compute.over.is_none_or(|(over, _)| when < over)
    };
    let computes = case.facts.computes.iter();
    places(
        case,
        computes.filter_map(|(number, compute)| {
            let works = compute.process == process && on(compute) && !waits(number);
            works.then_some((*number, compute))
        }),
    )
}

/// How many places of a process are held in the millisecond that begins at a time. A compute keeps its place while its
/// nested call asks the store.
fn held(case: &Case<'_>, process: ProcessId, at: Millis) -> usize {
    let facts = &case.facts;
    let asks = |key| {
        facts.asks.values().any(|ask| {
            let told = ask.told.map_or(Millis::MAX, |(told, _)| told.at);
            ask.process == process && of_key(ask.op, key) && ask.when.at <= at && at < told
        })
    };
    let waits = |number, compute: &ComputeFact| match facts.nests.get(number) {
        Some((began, ended)) => {
            let ended = ended.map_or(Millis::MAX, |ended| ended.at);
            began.at <= at && at < ended && !asks(compute.key + KEYS)
        }
        None => false,
    };
    let on = |compute: &ComputeFact| {
        let over = compute.over.map_or(Millis::MAX, |(over, _)| over.at);
        compute.began.at <= at && at < over
    };
    let computes = facts.computes.iter();
    places(
        case,
        computes.filter_map(|(number, compute)| {
            let holds = compute.process == process && on(compute) && !waits(number, compute);
            holds.then_some((*number, compute))
        }),
    )
}

/// How many places these have: one each, but for computes of one call for many, which has one for all its batches.
fn places<'a>(case: &Case<'_>, computes: impl Iterator<Item = (usize, &'a ComputeFact)>) -> usize {
    let alone = case.plan.calls.len();
    let place = |(number, compute): (usize, &ComputeFact)| match together(case, compute.call) {
        Some(call) => call,
        None => alone + number,
    };
    let placed = computes.filter(|(_, compute)| compute.placed);
    placed.map(place).collect::<BTreeSet<_>>().len()
}

/// The call for many that a call is part of.
fn together(case: &Case<'_>, call: CallId) -> Option<CallId> {
    let is_many = case.facts.calls.get(&call)?.does == MANY;
    let calls = case.plan.calls.get(..=call).filter(|_| is_many)?;
    calls
        .iter()
        .rposition(|call| matches!(call.does, Does::Many { .. }))
}

fn is_nested(call: &CallFact) -> bool {
    matches!(call.does, INNER | INNER_APART)
}

fn of_key(op: &Op, key: usize) -> bool {
    op.keys().any(|of| of.id() == id(key))
}
