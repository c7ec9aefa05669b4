//! Near caches: what they serve was never older than it may be.
//!
//! A value is *over* when another one is stored, or it is deleted. One that is over may be served for as long
//! as the word of that is under way, and no longer:
//!
//! * once it has reached the process, or the connection for it was lost, the value is gone within the same
//!   moment. If it was stored or awaited by this very process, the word may have been its own echo: it is gone
//!   when the read-back has come, or failed (time in which the process was stopped aside);
//! * once a local write has ended that came after it, it is gone at once, whatever was told.

use std::collections::BTreeMap;

use super::Case;
use crate::caller::id;
use crate::facts::{CallFact, Moment};
use crate::fault::Fault;
use crate::history::End;
use crate::store::{Millis, Op};

/// From when on a key has which value; nothing if that is not known.
type Reign<'a> = (Moment, Option<Option<&'a [u8]>>);

pub(super) fn check(case: &mut Case<'_>) {
    let reigns = reigns(case);
    let mut found = Vec::new();
    for (when, number) in &case.facts.near {
        let Some(call) = case.facts.calls.get(number) else {
            continue;
        };
        let Some((_, Some(End::Value(value)))) = &call.over else {
            continue;
        };
        let none = Vec::new();
        let reigns = reigns.get(&id(call.key)).unwrap_or(&none);
        if let Some(sentence) = too_old(case, reigns, call, value, *when) {
            found.push(format!("near: c{number} gets {value}, {sentence}"));
        }
    }
    case.broken.extend(found);
}

/// What is wrong with a value that a near cache served.
fn too_old(
    case: &Case<'_>,
    reigns: &[Reign<'_>],
    call: &CallFact,
    value: &str,
    when: Moment,
) -> Option<String> {
    let before = &reigns[..reigns.partition_point(|(since, _)| *since < when)];
    let is_it = |(_, reign): &Reign<'_>| reign.is_none_or(|is| is == Some(value.as_bytes()));
    let Some(last) = before.iter().rposition(is_it) else {
        return Some("which was never stored".to_owned());
    };
    // Still the last: it is stored now.
    let (over, _) = before.get(last + 1)?;
    let slack = match is_own(case, call, value) {
        true => case.plan.bound + 1 + stopped(case, call, when),
        false => 0,
    };
    let facts = &case.facts;
    let told = facts.changed.iter().find(|(heard, sent)| {
        heard.process == call.process && heard.key.id() == id(call.key) && *sent > over.nth
    });
    if let Some((heard, _)) = told
        && heard.when.at + slack < when.at
    {
        let (over, told) = (over.at, heard.when.at);
        return Some(format!(
            "which was over at {over} ms, as it was told at {told} ms"
        ));
    }
    let mut gaps = facts.deaf.iter();
    let gap = gaps.find(|(gap, process)| *process == call.process && gap > over);
    if let Some((gap, _)) = gap
        && gap.at < when.at
    {
        let (over, gap) = (over.at, gap.at);
        return Some(format!(
            "which was over at {over} ms, before a gap at {gap} ms"
        ));
    }
    let write = facts.calls.values().find(|write| {
        let here = write.process == call.process && write.key == call.key;
        here && matches!(write.does, "puts" | "invalidates")
            && overtakes(case, write, *over, call.began)
    });
    let at = write?.began.at;
    Some(format!("which is older than the write here at {at} ms"))
}

/// How long a process was stopped until a moment, at most: a read-back does not go on meanwhile.
fn stopped(case: &Case<'_>, call: &CallFact, when: Moment) -> Millis {
    let pauses = case.facts.faults.iter().map(|(at, fault)| match fault {
        Fault::Pause { process, lasts } if *process == call.process && *at < when => *lasts,
        _ => 0,
    });
    pauses.sum()
}

/// Whether a local write took effect when a value was over, or after that, and had ended before a call began.
fn overtakes(case: &Case<'_>, write: &CallFact, over: Moment, began: Moment) -> bool {
    let Some((ended, Some(End::Nothing))) = &write.over else {
        return false;
    };
    // The first of its effects that may be this call's.
    let effect = case.facts.effects.iter().find(|effect| {
        let writes = match effect.op {
            Op::Put(key, ..) | Op::Invalidate(key) => key.id() == id(write.key),
            _ => false,
        };
        writes && effect.process == write.process && effect.when > write.began
    });
    *ended < began && effect.is_some_and(|effect| effect.when >= over && effect.when < *ended)
}

/// Whether a process has stored the value itself, or may have heard it on its channel.
fn is_own(case: &Case<'_>, call: &CallFact, value: &str) -> bool {
    let facts = &case.facts;
    let stored = facts.effects.iter().any(|effect| {
        let is_it = effect.op.changes(effect.answer);
        effect.process == call.process
            && is_it.is_some_and(|(_, stored)| stored.is_some_and(|b| b == value.as_bytes()))
    });
    let heard = facts
        .heard
        .iter()
        .any(|heard| heard.process == call.process && heard.key.id() == id(call.key));
    stored || heard
}

/// The values of each key, one after the other.
fn reigns<'a>(case: &Case<'a>) -> BTreeMap<String, Vec<Reign<'a>>> {
    let mut reigns: BTreeMap<String, Vec<Reign<'a>>> = BTreeMap::new();
    for effect in &case.facts.effects {
        if let Some((key, value)) = effect.op.changes(effect.answer) {
            let reign = (effect.when, Some(value.map(|value| &**value)));
            reigns.entry(key.id().to_owned()).or_default().push(reign);
        }
    }
    // What a store has that forgot is not known until it is told anew.
    for forgot in &case.facts.forgot {
        for reigns in reigns.values_mut() {
            let at = reigns.partition_point(|(since, _)| since < forgot);
            reigns.insert(at, (*forgot, None));
        }
    }
    reigns
}
