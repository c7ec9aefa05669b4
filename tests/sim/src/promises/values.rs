//! R3, R4, R6 and R8: what is computed, stored and told.

use memolock::core::{Fulfilled, Key, Notice};

use super::Case;
use crate::codec::reads;
use crate::facts::{Facts, Moment, Publication, maker};
use crate::history::End;
use crate::store::{Answer, Channel, Op};

pub(super) fn check(case: &mut Case<'_>) {
    right_values(case);
    a_compute_reaches_its_caller(case);
    fenced_off(case);
    no_older_flight(case);
    only_values_on_notif(case);
}

/// A value is of the key that was asked for, and somebody made it. R8: and whatever stands in the store,
/// nobody gets anything else, nor an error without a reason.
fn right_values(case: &mut Case<'_>) {
    let mut found = Vec::new();
    for (number, call) in &case.facts.calls {
        // Ancestors take what they get, garbage too.
        if !case.is_ours(call.process) && case.is_damaged(call.key) {
            continue;
        }
        let fine = match &call.over {
            Some((_, Some(End::Value(value)))) => match maker(value) {
                Some((key, 'v', n)) if key == call.key => case
                    .facts
                    .computes
                    .get(&n)
                    .is_some_and(|c| c.over.is_some_and(|(_, well)| well)),
                Some((key, 'p' | 'x', _)) => key == call.key,
                _ => false,
            },
            // What came in answer to a trigger is not computed again.
            Some((_, Some(End::Undecodable))) => {
                case.is_damaged(call.key)
                    && (case.is_blocked(call.key) || case.is_external(call.key))
            }
            // What a holder says of its failure can be on its way while another takes the lease and starts a
            // program, and sounds as if the program had failed.
            Some((_, Some(End::Remote))) => {
                case.plan.shares || case.is_damaged(call.key) || case.is_external(call.key)
            }
            Some((_, Some(End::Store(_)))) => case.plan.is_stormy() || case.is_blocked(call.key),
            _ => true,
        };
        // A value of another version of the type is none to a process of ours.
        let own = match case.is_ours(call.process) {
            true => case.plan.version(call.process),
            false => None,
        };
        let read = match &call.over {
            Some((_, Some(End::Value(value)))) => reads(own, value),
            _ => true,
        };
        if !fine || !read {
            let end = call.over.as_ref().map(|(_, end)| end);
            found.push(format!(
                "R8: c{number} asked for k{} and got {end:?}",
                call.key
            ));
        }
    }
    case.broken.extend(found);
}

/// R3: what a compute came to is what its caller gets, stored or not.
fn a_compute_reaches_its_caller(case: &mut Case<'_>) {
    let mut found = Vec::new();
    for (number, compute) in &case.facts.computes {
        let (Some((over, well)), Some(call)) = (compute.over, case.facts.calls.get(&compute.call))
        else {
            continue;
        };
        let closing = case.facts.closed.get(&compute.process);
        let killed = case.facts.is_killed(compute.process);
        let gone = killed || closing.is_some_and(|at| *at <= over);
        let Some((_, Some(end))) = &call.over else {
            continue;
        };
        if gone || !case.is_ours(compute.process) {
            continue;
        }
        let fine = match (well, end) {
            (true, End::Value(value)) => maker(value).is_some_and(|(_, _, n)| n == *number),
            (true, _) => false,
            // Whether it failed or panicked is its plan's affair; a dropped one had no caller.
            (false, End::Value(_) | End::Nothing) => false,
            (false, _) => true,
        };
        if !fine {
            let call = compute.call;
            found.push(format!("R3: v{number} is over, and c{call} gets {end:?}"));
        }
    }
    case.broken.extend(found);
}

/// R4: what began before a put or an invalidation is not stored after it.
fn fenced_off(case: &mut Case<'_>) {
    let facts = &case.facts;
    let mut found = Vec::new();
    for effect in &facts.effects {
        let (Op::Fulfil(key, _, value, _), Answer::Fulfilled(Fulfilled::Stored)) =
            (effect.op, effect.answer)
        else {
            continue;
        };
        let value = String::from_utf8_lossy(value);
        let compute = maker(&value).and_then(|(_, _, number)| facts.computes.get(&number));
        let Some(compute) = compute else {
            found.push(format!("R4: {value} is stored and nobody computed it"));
            continue;
        };
        let between = |at: &Moment| *at > compute.began && *at < effect.when;
        let fenced = facts.fences(key.id()).any(|at| between(&at));
        // A store that forgot the fence may have the old lock again.
        if fenced && !facts.forgot.iter().any(between) {
            found.push(format!(
                "R4: {value} is stored over what came after it began"
            ));
        }
    }
    case.broken.extend(found);
}

/// R4: who asks after a put or an invalidation of its own process gets nothing that began before it.
fn no_older_flight(case: &mut Case<'_>) {
    let (plan, facts) = (case.plan, &case.facts);
    if !facts.forgot.is_empty() {
        return;
    }
    let mut found = Vec::new();
    for write in facts.calls.values() {
        let writes = matches!(write.does, "puts" | "invalidates");
        let Some((written, Some(End::Nothing))) = write.over else {
            continue;
        };
        if !writes {
            continue;
        }
        for (number, call) in &facts.calls {
            let after = call.process == write.process && call.key == write.key;
            let Some((_, Some(End::Value(value)))) = &call.over else {
                continue;
            };
            let Some((_, 'v', n)) = maker(value) else {
                continue;
            };
            let compute = facts.computes.get(&n);
            // Ancestors store without proof: theirs can be as old as they like.
            let old = compute.is_some_and(|compute| {
                compute.began < write.began && compute.process < plan.processes
            });
            if after && call.began > written && old {
                found.push(format!(
                    "R4: c{number} gets {value}, which is older than a write here"
                ));
            }
        }
    }
    case.broken.extend(found);
}

/// R6: what goes on `notif` is the value that was stored just then; what goes on `fail` is a notice, after
/// the lock is gone. What a vandal shouts is its own affair.
fn only_values_on_notif(case: &mut Case<'_>) {
    let facts = &case.facts;
    let mut found = Vec::new();
    for told in &facts.publications {
        let before = facts
            .effects
            .partition_point(|effect| effect.when < told.when);
        let Some(effect) = before.checked_sub(1).map(|nth| &facts.effects[nth]) else {
            continue;
        };
        let stored = match (effect.op, effect.answer) {
            (Op::Fulfil(key, _, value, _), Answer::Fulfilled(Fulfilled::Stored))
            | (Op::Put(key, value, ..), _) => Some((key, value)),
            _ => None,
        };
        let fine = match (effect.op, told.channel) {
            (Op::Shout(..), _) => true,
            (Op::Repeat(key), Channel::Notif) => {
                key == told.key && is_stored(facts, before - 1, key, told)
            }
            (_, Channel::Notif) => {
                stored.is_some_and(|(key, value)| key == told.key && value == told.payload)
            }
            (Op::Release(..) | Op::Invalidate(_), Channel::Fail) => {
                Notice::decode(told.payload).encode() == told.payload
            }
            (_, Channel::Fail) => false,
        };
        if !fine {
            let (payload, at) = (String::from_utf8_lossy(told.payload), told.when.at);
            found.push(format!(
                "R6: {payload} is told on {:?} of {} at {at} ms, and is not what happened",
                told.channel, told.key
            ));
        }
    }
    case.broken.extend(found);
}

/// Whether what a repeated notice says was stored at that moment: the last change before it, as far as is known.
fn is_stored(facts: &Facts<'_>, before: usize, key: &Key, told: &Publication<'_>) -> bool {
    let changes = facts.effects[..before].iter().rev();
    let mut changes = changes.filter_map(|effect| {
        let changed = effect.op.changes(effect.answer);
        let (_, value) = changed.filter(|(changed, _)| *changed == key)?;
        Some((effect.when, value))
    });
    let last = changes.next();
    let since = last.map(|(when, _)| when);
    let forgot = facts.forgot.iter();
    let unknown = forgot
        .clone()
        .any(|at| *at < told.when && since.is_none_or(|since| *at > since));
    unknown || last.is_some_and(|(_, value)| value.is_some_and(|value| value == told.payload))
}
