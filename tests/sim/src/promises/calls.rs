//! R2, R10 and R11: whoever waits has somebody to wait for, a close ends what is under way, and trouble passes.

use super::Case;
use super::deadlines::paused;
use crate::caller::{APART, MANY, id};
use crate::codec::reads;
use crate::facts::{CallFact, Facts, Moment};
use crate::fault::Fault;
use crate::history::{End, ProcessId};
use crate::store::{Answer, Millis, Op};

/// What an outage adds: the pause between attempts, and reconnecting.
const RECOVERY: Millis = 1_500;
/// How long an ancestor's lock may stand in the way.
const ANCESTORS_LOCK: Millis = 400;
/// How many commands a call may still need when its time is over: a value is stored twice at most, and a
/// lease given back.
pub(super) const LAST_COMMANDS: Millis = 4;
/// A close is this patient with what is under way.
pub(super) const CLOSING: Millis = 5_000;

pub(super) fn check(case: &mut Case<'_>) {
    nobody_sleeps_in_vain(case);
    nobody_sleeps_by_a_value(case);
    closed_is_closed(case);
    detached_work_ends(case);
    other_work_ends_at_once(case);
    trouble_passes(case);
}

/// How long nobody may be at a key for which somebody waits, though somebody could: some messages there and
/// back, the jitter of a take-over; and a lock that is nobody's.
fn patience(case: &Case<'_>, call: &CallFact) -> Millis {
    let plan = case.plan;
    let mut patience = 60 + 12 * plan.latency;
    if plan
        .strangers
        .iter()
        .any(|stranger| stranger.key == call.key || call.does == MANY)
    {
        patience += ANCESTORS_LOCK;
    }
    // What broke before still has its lease, or pauses.
    if plan.is_stormy() && call.began.at < plan.settled {
        patience += plan.lease + RECOVERY;
    }
    patience
}

/// Whether a call may wait for its turn among the computes without a lease, which were begun in an outage. A
/// flight in that queue computes without a lease even if the store is back when its turn comes.
fn is_queued(case: &Case<'_>, call: &CallFact) -> bool {
    let over = call.over.as_ref().map_or(Millis::MAX, |(over, _)| over.at);
    let mut computes = case.facts.computes.values();
    let on = computes.any(|compute| {
        let ended = compute.over.map_or(Millis::MAX, |(ended, _)| ended.at);
        let here = compute.process == call.process && !compute.leased;
        here && compute.began.at <= over && ended >= call.began.at
    });
    case.plan.local == 1 && on
}

/// R2: while somebody waits for a compute, somebody is at it, or could not be.
fn nobody_sleeps_in_vain(case: &mut Case<'_>) {
    let (plan, facts) = (case.plan, &case.facts);
    if plan.is_stormy() && facts.calm.is_none() {
        return;
    }
    let mut found = Vec::new();
    for (number, call) in &facts.calls {
        let Some((over, _)) = &call.over else {
            continue;
        };
        // Many end together: while they wait, somebody is at one of them.
        let keys = match call.does {
            MANY => 0..plan.keys,
            _ => call.key..call.key + 1,
        };
        let judged = (call.does.starts_with("computes") || call.does == MANY)
            && !facts.is_killed(call.process)
            && case.is_ours(call.process)
            // Other programs and vandals may hold a lock without being at it.
            && !keys.clone().any(|key| case.is_external(key) || case.is_damaged(key))
            && !is_queued(case, call);
        if !judged {
            continue;
        }
        let patience = patience(case, call);
        let from = call.began.at.max(facts.calm.map_or(0, |calm| calm.at));
        let mut idle = from;
        let computes = facts.computes.values();
        for compute in computes.filter(|compute| keys.contains(&compute.key)) {
            // R16: one that goes on for too long is no reason to wait any more, but for its own caller.
            let own = facts.calls.get(&compute.call).is_some_and(|caller| {
                let together = call.does == MANY && caller.does == MANY;
                let same = caller.process == call.process && caller.began.at == call.began.at;
                compute.call == *number || (together && same)
            });
            let overdue = match own {
                true => Millis::MAX,
                false => compute.began.at.saturating_add(plan.max_lease),
            };
            let ended = compute.over.map_or(Millis::MAX, |(over, _)| over.at);
            let ended = ended.min(overdue);
            if compute.began.at > over.at || ended < idle {
                continue;
            }
            if compute.began.at > idle.saturating_add(patience) {
                break;
            }
            idle = idle.max(ended);
        }
        if over.at > idle.saturating_add(patience) {
            let since = over.at - idle;
            found.push(format!(
                "R2: c{number} waits, and nobody was at it for {since} ms"
            ));
        }
    }
    case.broken.extend(found);
}

/// R2: who waits is told of the value when it is stored, or finds it when its connection is back.
fn nobody_sleeps_by_a_value(case: &mut Case<'_>) {
    /// A try that failed is tried again after 250 ms; an open circuit breaker looks every 500 ms whether the
    /// store is back.
    const AGAIN: Millis = 300 + 500;
    let (plan, facts) = (case.plan, &case.facts);
    let mut found = Vec::new();
    for (number, call) in &facts.calls {
        let Some((over, Some(_))) = &call.over else {
            continue;
        };
        let judged = call.does.starts_with("computes")
            && case.is_ours(call.process)
            && !facts.is_killed(call.process)
            && !case.is_external(call.key)
            && !case.is_damaged(call.key)
            && !is_queued(case, call)
            && facts.forgot.is_empty();
        let works = facts.computes.values().any(|compute| {
            let here = compute.process == call.process && compute.key == call.key;
            here && compute.over.is_none_or(|(ended, _)| ended >= call.began)
        });
        if !judged || works {
            continue;
        }
        let id = id(call.key);
        let stored = facts.effects.iter().rev().find_map(|effect| {
            use memolock::core::Fulfilled::Stored;
            let of_key = effect.op.keys().any(|key| key.id() == id);
            let is = match (effect.op, effect.answer) {
                (Op::Fulfil(_, _, value, _), Answer::Fulfilled(Stored))
                | (Op::Put(_, value, ..), _) => {
                    let own = plan.version(call.process);
                    Some(reads(own, &String::from_utf8_lossy(value)))
                }
                (Op::Invalidate(_), _) => Some(false),
                _ => None,
            };
            is.filter(|_| of_key && effect.when < *over)
                .map(|is| (is, effect.when.at))
        });
        let Some((true, stored)) = stored else {
            continue;
        };
        let trouble = case.trouble.last(call.process, over.at);
        let from = stored.max(call.began.at).max(trouble);
        if over.at > from + 60 + 12 * plan.latency + AGAIN {
            let at = over.at;
            found.push(format!(
                "R2: c{number} waits until {at} ms for a value that is there since {stored} ms"
            ));
        }
    }
    case.broken.extend(found);
}

/// R10: who calls after a close gets `Closed`; who was waiting gets it at once, unless its own compute had
/// come to a value. While a close waits for detached work, it may also get what that comes to.
fn closed_is_closed(case: &mut Case<'_>) {
    let facts = &case.facts;
    let mut found = Vec::new();
    for (number, call) in &facts.calls {
        let (Some(closed), Some((over, Some(end)))) = (facts.closed.get(&call.process), &call.over)
        else {
            continue;
        };
        let made = facts
            .computes
            .values()
            .any(|compute| compute.call == *number);
        let fine = match end {
            End::Closed => true,
            End::Value(_) | End::Failed(_) | End::Panicked if made && call.began < *closed => true,
            // One of many may have its end before the close, and be told with the others.
            _ if call.does == MANY && call.began < *closed => true,
            // It was over, and the caller only had to be told.
            _ if call.began < *closed && over.at <= closed.at => true,
            _ => call.began < *closed && is_waited_for(facts, call.process, *closed),
        };
        if !fine && !facts.is_killed(call.process) {
            found.push(format!(
                "R10: c{number} ends with {end:?} at {} ms, after a close at {} ms",
                over.at, closed.at
            ));
        }
    }
    case.broken.extend(found);
}

/// Whether a close at that moment found detached work to wait for.
fn is_waited_for(facts: &Facts<'_>, process: ProcessId, closed: Moment) -> bool {
    facts.calls.values().any(|call| {
        // The work may outlive its caller.
        let gone = matches!(call.over, Some((over, Some(_))) if over < closed);
        call.does == APART && call.process == process && call.began < closed && !gone
    })
}

/// R10: a close lets detached work end that began before, for as long as it is patient.
fn detached_work_ends(case: &mut Case<'_>) {
    let facts = &case.facts;
    let mut found = Vec::new();
    for (number, call) in &facts.calls {
        let Some(closed) = facts.closed.get(&call.process) else {
            continue;
        };
        if call.does != APART || call.began > *closed || facts.is_killed(call.process) {
            continue;
        }
        let during = closed.at..closed.at + CLOSING;
        let refused =
            matches!(&call.over, Some((over, Some(End::Closed))) if during.contains(&over.at));
        if refused {
            found.push(format!(
                "R10: c{number} is detached, and a close refuses it"
            ));
        }
    }
    for (number, left) in &facts.left {
        let Some(fact) = facts.computes.get(number) else {
            continue;
        };
        let Some(closed) = facts.closed.get(&fact.process) else {
            continue;
        };
        let apart = facts
            .calls
            .get(&fact.call)
            .is_some_and(|call| call.does == APART);
        let during = *left > *closed && left.at < closed.at + CLOSING;
        // It is cancelled by its own time-out, close or none. While its process is stopped its time goes by.
        let limit = case.plan.compute_timeout;
        let stopped = paused(case.plan, fact.process);
        let cancelled = limit.is_some_and(|limit| left.at + stopped >= fact.began.at + limit);
        if apart && during && !cancelled && !facts.is_killed(fact.process) {
            found.push(format!(
                "R10: v{number} is detached work, and a close drops it"
            ));
        }
    }
    case.broken.extend(found);
}

/// R10: work that is not detached ends when its memolock closes, and none begins after that.
fn other_work_ends_at_once(case: &mut Case<'_>) {
    let facts = &case.facts;
    let mut found = Vec::new();
    for (number, compute) in &facts.computes {
        let Some(closed) = facts.closed.get(&compute.process) else {
            continue;
        };
        let does = facts.calls.get(&compute.call).map(|call| call.does);
        // Of many, one compute may be for ids that wait for detached work and for others.
        let judged = does.is_some_and(|does| does != APART && does != MANY);
        if !judged || facts.is_killed(compute.process) {
            continue;
        }
        // A process that was stopped goes on with what it was about to begin, and the close ends it at once.
        let was_stopped = compute.began.at == closed.at && is_stopped(facts, compute.process);
        if compute.began > *closed && !was_stopped {
            found.push(format!("R10: v{number} begins after a close"));
        } else if compute.over.is_none_or(|(over, _)| over.at > closed.at) {
            found.push(format!("R10: v{number} goes on after a close"));
        }
    }
    case.broken.extend(found);
}

/// R11: once all is well again, calls are served, and computes run under leases.
fn trouble_passes(case: &mut Case<'_>) {
    let (plan, facts) = (case.plan, &case.facts);
    if !plan.is_stormy() {
        return;
    }
    let mut found = Vec::new();
    for (number, call) in &facts.calls {
        let judged = call.began.at >= plan.settled
            && case.is_ours(call.process)
            && !facts.is_killed(call.process)
            && !facts.closed.contains_key(&call.process)
            // Its own compute may take longer than it may.
            && plan.compute_timeout.is_none()
            && !case.is_external(call.key)
            && !case.is_blocked(call.key)
            && !is_queued(case, call);
        let Some((over, Some(end))) = &call.over else {
            continue;
        };
        // Work that began before may be long, and may fail.
        let mut computes = facts.computes.values();
        let older = computes.any(|compute| {
            // A lease that is being given back keeps its flight for those who come.
            let giving = LAST_COMMANDS * plan.bound;
            let on = compute
                .over
                .is_none_or(|(ended, _)| ended.at + giving >= call.began.at);
            on && compute.key == call.key && compute.began < *over && compute.call != *number
        });
        if judged && !older && !matches!(end, End::Value(_)) {
            found.push(format!("R11: all is well, and c{number} gets {end:?}"));
        }
    }
    for (number, compute) in &facts.computes {
        let queued = plan.local == 1;
        let late = compute.began.at >= plan.settled && !queued && !case.is_blocked(compute.key);
        if late && !compute.leased && !facts.is_killed(compute.process) {
            found.push(format!("R11: all is well, and v{number} has no lease"));
        }
    }
    case.broken.extend(found);
}

fn is_stopped(facts: &Facts<'_>, process: ProcessId) -> bool {
    let stops = |fault: &Fault| matches!(fault, Fault::Pause { process: it, .. } if *it == process);
    facts.faults.iter().any(|(_, fault)| stops(fault))
}
