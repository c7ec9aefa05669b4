//! R1, R5 and R7: one at a time, given back, and never mistaken.

use std::collections::BTreeMap;

use memolock::core::{Acquired, ErrorKind, Remaining, Token, millis};

use super::deadlines::paused;
use super::{Case, limits};
use crate::caller::id;
use crate::facts::{ComputeFact, Moment};
use crate::fault::Fault;
use crate::history::ProcessId;
use crate::ledger::{Ending, LeaseFact, Ledger};
use crate::plan::Weather;
use crate::store::{Answer, Millis, Op};

pub(super) fn check(case: &mut Case<'_>, ledger: &Ledger<'_>) {
    one_at_a_time(case, ledger);
    none_beside_a_holder(case, ledger);
    one_flight_a_process(case, ledger);
    one_compute_in_all(case);
    given_back(case, ledger);
    own_tokens(case);
    sent_again(case, ledger);
}

/// R1: a compute under a lease begins beside another only if the other's lease was lost, and that has a reason.
fn one_at_a_time(case: &mut Case<'_>, ledger: &Ledger<'_>) {
    let mut found = Vec::new();
    for (number, compute) in &case.facts.computes {
        if !compute.leased {
            let excused = case.plan.is_stormy() || case.is_damaged(compute.key);
            if !excused {
                found.push(format!(
                    "R1: v{number} is computed without a lease in fair weather"
                ));
            }
            continue;
        }
        let lease_of = |c: &ComputeFact| ledger.of_process(c.process, &id(c.key), c.began);
        let Some(lease) = lease_of(compute) else {
            found.push(format!(
                "R1: v{number} is computed under a lease that was never granted"
            ));
            continue;
        };
        for (other, earlier) in case.facts.computes.range(..number) {
            let beside = earlier.over.is_none_or(|(over, _)| over > compute.began);
            let apart = earlier.process != compute.process;
            if earlier.key != compute.key || !earlier.leased || !beside || !apart {
                continue;
            }
            // With flights beside each other, it is not known whose lease is whose.
            if [earlier, compute].iter().any(|c| has_written(case, c)) {
                continue;
            }
            let lost = lease_of(earlier).is_none_or(|earlier| {
                let apart = earlier.token != lease.token;
                // Either may have been lost before its holder could know.
                apart
                    && [earlier, lease]
                        .iter()
                        .any(|lease| is_lost_for_a_reason(case, lease))
            });
            if !lost {
                found.push(format!(
                    "R1: v{number} is computed while v{other} is, under its lease"
                ));
            }
        }
    }
    case.broken.extend(found);
}

/// R1: an outage is no reason to compute while a holder is known to be at it: until its lease is over, or
/// something is said, or the flight is another one.
fn none_beside_a_holder(case: &mut Case<'_>, ledger: &Ledger<'_>) {
    let facts = &case.facts;
    let mut found = Vec::new();
    for (number, compute) in &facts.computes {
        let id = id(compute.key);
        let beside = has_written(case, compute)
            || limits::has_overdue(case, ledger, compute.process, &id, compute.began);
        if compute.leased || !case.is_ours(compute.process) || beside {
            continue;
        }
        let theirs = facts.asks.values().rev().filter(|ask| {
            let of_key = ask.op.keys().any(|key| key.id() == id);
            of_key && ask.process == compute.process && ask.when < compute.began
        });
        // An open circuit breaker keeps a flight from asking anything: what was asked before any caller came
        // who is there now was another one's.
        let here = facts.calls.values().filter(|call| {
            let of_key = call.process == compute.process && call.key == compute.key;
            let there = call
                .over
                .as_ref()
                .is_none_or(|(over, _)| *over > compute.began);
            // A call whose wait time-out is over no longer waits for this key. A call for many may still go on for others.
            let waits = call.began.at + case.plan.wait + paused(case.plan, call.process);
            of_key && there && call.began < compute.began && compute.began.at <= waits
        });
        let Some(came) = here.map(|call| call.began).min() else {
            continue;
        };
        let theirs = theirs.take_while(|ask| ask.when > came);
        // Back to the probe with which the flight began.
        let mut flight = theirs.take_while(|ask| !matches!(ask.op, Op::Get(_) | Op::Timed(_)));
        let held = flight.by_ref().find_map(|ask| match (ask.op, ask.told) {
            (Op::Acquire(_, token, ..), Some((told, Ok(Answer::Acquired(acquired))))) => {
                Some((ask.when, told.at, token, acquired))
            }
            _ => None,
        });
        // The last word on a holder counts: it may have been us since, and nobody knows how long one without
        // an expiry is at it.
        let Some((asked, told, token, Acquired::Held(Remaining::Expires(left)))) = held else {
            continue;
        };
        let until = told + millis(*left);
        // What an earlier holder said may have been under way, or lain unread while the flight asked: a
        // notice does not tell whose it is.
        // A try with the same token is the same one, asked again by whoever took over.
        let mut before =
            flight.filter(|ask| !matches!(ask.op, Op::Acquire(_, other, ..) if other == token));
        let since = before.next().map_or(asked, |before| before.when);
        let mut said = facts.heard.iter();
        let said = said.any(|told| {
            told.process == compute.process && told.key.id() == id && told.when > since
        });
        if until > compute.began.at && !said {
            let at = compute.began.at;
            found.push(format!(
                "R1: v{number} is computed at {at} ms without a lease, beside a holder until {until} ms"
            ));
        }
    }
    case.broken.extend(found);
}

/// Whether the process of a compute put or invalidated its key before.
fn has_written(case: &Case<'_>, compute: &ComputeFact) -> bool {
    writes_before(case, compute.process, &id(compute.key), compute.began)
}

/// Whether a process began to put or invalidate a key before: a call that was dropped before it asked the
/// store for anything has retired the flights of its process all the same.
fn writes_before(case: &Case<'_>, process: ProcessId, of: &str, when: Moment) -> bool {
    case.facts.calls.values().any(|call| {
        let writes = matches!(call.does, "puts" | "invalidates");
        let here = call.process == process && id(call.key) == of;
        writes && here && call.began < when
    })
}

/// Whether a lease ended in spite of a holder that would have kept it.
fn is_lost_for_a_reason(case: &Case<'_>, lease: &LeaseFact<'_>) -> bool {
    match lease.ended {
        Some((_, Ending::Given)) => false,
        Some((_, Ending::Fenced | Ending::Robbed | Ending::Forgotten)) => true,
        None => !is_kept(case, lease),
    }
}

/// Whether a heartbeat that is well would have renewed it to its end.
fn is_kept(case: &Case<'_>, lease: &LeaseFact<'_>) -> bool {
    let (plan, process) = (case.plan, lease.process);
    let from = lease.until.saturating_sub(plan.lease);
    let hindered = plan.fixed
        || limits::is_over(case, lease)
        || !case.is_ours(process)
        || case.facts.is_killed(process)
        || case.facts.closed.contains_key(&process)
        || case.trouble.between(process, from, lease.until);
    !hindered
}

/// R1: one process computes a key once at a time, unless it put or invalidated the value itself: flights that
/// were under way then go on beside later ones.
fn one_flight_a_process(case: &mut Case<'_>, ledger: &Ledger<'_>) {
    let mut found = Vec::new();
    for (number, compute) in &case.facts.computes {
        let process = compute.process;
        let retired = has_written(case, compute);
        let earlier = case.facts.computes.range(..number).find(|(_, other)| {
            let same = other.key == compute.key && other.process == process;
            same && other.over.is_none_or(|(over, _)| over > compute.began)
                && !limits::is_beside_overdue(case, ledger, other, compute)
        });
        let closed = case.facts.closed.contains_key(&process);
        if let Some((other, _)) = earlier
            && !retired
            && !closed
            && case.is_ours(process)
        {
            found.push(format!("R1: p{process} computes v{number} beside v{other}"));
        }
    }
    case.broken.extend(found);
}

/// R1: in calm weather a key is computed once, whoever asks.
fn one_compute_in_all(case: &mut Case<'_>) {
    if case.plan.weather != Weather::Calm {
        return;
    }
    for key in 0..case.plan.keys {
        let computes = case.facts.computes.values();
        let computes = computes.filter(|compute| compute.key == key).count();
        let mut calls = case.facts.calls.values();
        let asked = calls.any(|call| call.key == key && !call.does.starts_with("looks"));
        // An ancestor that looks before a value comes, and locks after it went, computes again.
        let strangers = case.plan.strangers.iter();
        let most = 1 + strangers.filter(|stranger| stranger.key == key).count();
        // To each version the other's value is none: there is one after the other.
        let too_many = computes > most && !case.plan.is_mixed();
        if too_many || (asked && computes == 0) {
            case.broken(format!("R1: k{key} is computed {computes} times"));
        }
    }
}

/// R5: a lease is given back on success, error, panic and cancellation, and not left to expire. While
/// something is broken it may be; and by design where another program is at it.
fn given_back(case: &mut Case<'_>, ledger: &Ledger<'_>) {
    let mut found = Vec::new();
    for lease in &ledger.leases {
        let from = lease.granted.at;
        let judged = case.is_ours(lease.process) && lease.ended.is_none() && is_kept(case, lease);
        let external = (0..case.plan.keys).any(|k| id(k) == lease.key.id() && case.is_external(k));
        let stormy = case.plan.is_stormy() && from < case.plan.settled;
        if judged && !external && !stormy {
            found.push(format!(
                "R5: a lease of p{} from {from} ms is left to expire at {} ms",
                lease.process, lease.until
            ));
        }
    }
    case.broken.extend(found);
}

/// R5: tokens are their maker's alone.
fn own_tokens(case: &mut Case<'_>) {
    let mut makers: BTreeMap<Token, ProcessId> = BTreeMap::new();
    let mut found = Vec::new();
    for ask in case.facts.asks.values() {
        let process = ask.process;
        let mut uses = |token: Token| {
            let maker = *makers.entry(token).or_insert(process);
            if maker != process {
                found.push(format!("R5: p{process} uses a token of p{maker}"));
            }
        };
        match ask.op {
            Op::Acquire(_, token, ..) | Op::Fulfil(_, token, ..) | Op::Release(_, token, _) => {
                uses(*token);
            }
            Op::Renew(renewals) => renewals.iter().for_each(|renewal| uses(renewal.token)),
            _ => {}
        }
    }
    case.broken.extend(found);
}

/// R7: a token whose reply was lost may hold the lease: its process sends it again, or gives it back, before
/// it tries with another. A flight beside it, after a put or an invalidation here, knows nothing of it.
fn sent_again(case: &mut Case<'_>, ledger: &Ledger<'_>) {
    /// How much later a clean-up in the background may come.
    const BEHIND: Millis = 1;
    let external: Vec<_> = (0..case.plan.keys)
        .filter(|key| case.is_external(*key))
        .map(id)
        .collect();
    // Clean-up is held back while a proxy fails, and given up when the lease must be over.
    let fails = |(_, fault): &(Millis, Fault)| matches!(fault, Fault::Fails { .. });
    let over = case
        .plan
        .faults
        .iter()
        .any(fails)
        .then_some(case.plan.lease);
    let mut doubts: BTreeMap<(ProcessId, &str), (Token, Millis)> = BTreeMap::new();
    let mut found = Vec::new();
    for ask in case.facts.asks.values() {
        let Some(key) = ask.op.keys().next() else {
            continue;
        };
        // The lease of another program's work is left to expire, in doubt or not.
        if external.iter().any(|external| external == key.id()) {
            continue;
        }
        let place = (ask.process, key.id());
        match ask.op {
            Op::Acquire(_, token, ..) => {
                if let Some((doubted, since)) = doubts.remove(&place)
                    && doubted != *token
                    && ask.when.at > since + BEHIND
                    && over.is_none_or(|lease| ask.when.at <= since + lease)
                    && !writes_before(case, ask.process, key.id(), ask.when)
                    && !limits::has_overdue(case, ledger, ask.process, key.id(), ask.when)
                {
                    found.push(format!(
                        "R7: p{} asks for {key} at {} ms with a new token, though an earlier one may hold it",
                        ask.process, ask.when.at
                    ));
                }
                // One that was dropped is its clean-up's affair: R5.
                if let Some((
                    when,
                    Err(ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Unrecognized),
                )) = ask.told
                {
                    doubts.insert(place, (*token, when.at));
                }
            }
            Op::Fulfil(_, token, ..) | Op::Release(_, token, _) => {
                doubts.retain(|of, (doubted, _)| *of != place || doubted != token);
            }
            _ => {}
        }
    }
    case.broken.extend(found);
}
