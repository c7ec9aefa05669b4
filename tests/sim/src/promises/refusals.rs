//! R2, R5 and R11: what is refused for now is sent again, what met an error that is not known is not hammered, and one
//! key's failures are its own.

use memolock::core::{ErrorKind, Key, Token};

use super::{Case, limits};
use crate::caller::id;
use crate::facts::{AskFact, Moment};
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::store::{Millis, Op};
use crate::trouble::UNKNOWN;

pub(super) fn check(case: &mut Case<'_>, ledger: &Ledger<'_>) {
    if !case.plan.refusals_alone {
        return;
    }
    sent_again(case, ledger);
    not_hammered(case);
    others_are_served(case, ledger);
}

/// The first pause of clean-up: 250 ms, or less of a short lease. It doubles twice, and is spread by a quarter.
fn longest_pause(lease: Millis) -> Millis {
    5 * (lease / 8).min(250)
}

/// What clean-up sends: its token, and whether it is a release.
fn cleans(op: &Op) -> Option<(&Key, Token, bool)> {
    match op {
        Op::Fulfil(key, token, ..) => Some((key, *token, false)),
        Op::Release(key, token, _) => Some((key, *token, true)),
        _ => None,
    }
}

/// R2, R5: a fulfil or a release that a store refused for now is sent again, as long as the lease lasts.
fn sent_again(case: &mut Case<'_>, ledger: &Ledger<'_>) {
    // What an open circuit breaker holds back is another matter.
    let fails = |(_, fault): &(Millis, Fault)| matches!(fault, Fault::Fails { .. });
    if case.plan.faults.iter().any(fails) {
        return;
    }
    let (facts, mut found) = (&case.facts, Vec::new());
    let within = longest_pause(case.plan.lease) + 3 * case.plan.latency + 20;
    for (number, ask) in &facts.asks {
        let (Some((key, token, _)), Some((told, Err(ErrorKind::Refused)))) =
            (cleans(ask.op), ask.told)
        else {
            continue;
        };
        let by = told.at + within;
        let lease = ledger.leases.iter().rev().find(|l| l.token == token);
        let stands = lease.is_some_and(|lease| {
            lease.until > by && lease.ended.is_none_or(|(ended, _)| ended.at > by)
        });
        let closed = facts.closed.get(&ask.process);
        if !stands || !case.is_ours(ask.process) || closed.is_some_and(|c| c.at <= by) {
            continue;
        }
        let mut later = facts.asks.range(number + 1..);
        let again = later.any(|(_, later)| {
            cleans(later.op).is_some_and(|(_, other, _)| other == token) && later.when.at <= by
        });
        if !again {
            found.push(format!(
                "R5: what was refused for {key} at {} ms is not sent again by {by} ms",
                told.at
            ));
        }
    }
    case.broken.extend(found);
}

/// R11: a server over its quota is not asked the same again before the circuit breaker would.
fn not_hammered(case: &mut Case<'_>) {
    let (facts, mut found) = (&case.facts, Vec::new());
    for (number, ask) in &facts.asks {
        let Some((told, Err(ErrorKind::Unrecognized))) = ask.told else {
            continue;
        };
        if !case.is_ours(ask.process) {
            continue;
        }
        let mut later = facts.asks.range(number + 1..);
        let Some((_, again)) = later.find(|(_, later)| is_same(ask, later)) else {
            continue;
        };
        // One that has left may not have read its answer, and what was heard is a reason of its own: it may have lain
        // unread while the command was under way.
        let between = |when: Moment| when.at >= told.at.saturating_sub(1) && when <= again.when;
        let of_key = |key: &Key| ask.op.keys().any(|asked| asked == key);
        let left = facts.calls.values().any(|call| {
            let ended = call.over.as_ref();
            call.process == ask.process
                && ended.is_some_and(|(over, end)| end.is_none() && between(*over))
        });
        let began = begun(case, *number, ask);
        let heard = facts.heard.iter().any(|heard| {
            // A recheck is sent in the very moment in which the subscription begins to hear.
            let since = heard.when.at >= began && heard.when <= again.when;
            heard.process == ask.process && of_key(heard.key) && since
        });
        // An answer for the same lease since then shows that the store is at work.
        let mut since = facts.asks.range(number + 1..);
        let answered = since.any(|(_, other)| {
            let well = other
                .told
                .is_some_and(|(at, answer)| at <= again.when && answer.is_ok());
            well && other.process == ask.process && is_for_same_lease(ask.op, other.op)
        });
        let (asked, soonest) = (again.when.at, told.at + UNKNOWN - 1);
        if asked < soonest && !left && !heard && !answered {
            found.push(format!(
                "R11: p{} sends {:?} again at {asked} ms, after an error that is not known at {} ms",
                ask.process, ask.op, told.at
            ));
        }
    }
    case.broken.extend(found);
}

/// When the commands began that were sent for a lease one upon the other's answer, up to this one: a flight reads no
/// message before the last of them is answered.
fn begun(case: &Case<'_>, number: u64, ask: &AskFact<'_>) -> Millis {
    let mut began = ask.when.at;
    let earlier = case.facts.asks.range(..number).rev();
    for (_, earlier) in earlier.filter(|(_, earlier)| is_same(earlier, ask)) {
        match earlier.told {
            Some((told, _)) if told.at == began => began = earlier.when.at,
            // Its caller was dropped, and the next one asks the same again.
            None => began = earlier.when.at,
            Some(_) => break,
        }
    }
    began
}

/// Whether a command is another one again: for the same lease, by the same process.
fn is_same(ask: &AskFact<'_>, later: &AskFact<'_>) -> bool {
    let same = match (ask.op, later.op) {
        (Op::Acquire(_, one, ..), Op::Acquire(_, other, ..)) => one == other,
        (Op::Renew(ones), Op::Renew(others)) => ones
            .iter()
            .any(|one| others.iter().any(|other| other.token == one.token)),
        (one, other) => match (cleans(one), cleans(other)) {
            (Some((_, one, released)), Some((_, other, releases))) => {
                one == other && released == releases
            }
            _ => false,
        },
    };
    same && ask.process == later.process
}

/// Whether two commands prove a lease by the same token.
fn is_for_same_lease(one: &Op, other: &Op) -> bool {
    let tokens = |op: &Op| -> Vec<Token> {
        match op {
            Op::Acquire(_, token, ..) | Op::Fulfil(_, token, ..) | Op::Release(_, token, _) => {
                vec![*token]
            }
            Op::Renew(renewals) => renewals.iter().map(|renewal| renewal.token).collect(),
            _ => Vec::new(),
        }
    };
    let others = tokens(other);
    tokens(one).iter().any(|token| others.contains(token))
}

/// R11: where every command of one key fails, the others are computed under leases, and keep them.
fn others_are_served(case: &mut Case<'_>, ledger: &Ledger<'_>) {
    let (plan, facts, mut found) = (case.plan, &case.facts, Vec::new());
    let mut bad = None;
    for (_, fault) in &plan.faults {
        match fault {
            Fault::Fails { key: Some(key), .. } if bad.is_none_or(|bad| bad == *key) => {
                bad = Some(*key);
            }
            Fault::Calm => {}
            _ => return,
        }
    }
    let Some(bad) = bad else {
        return;
    };
    for (number, compute) in &facts.computes {
        let other = compute.key != bad && !case.is_damaged(compute.key);
        if other && !compute.leased && case.is_ours(compute.process) {
            found.push(format!(
                "R11: v{number} has no lease, though only commands for k{bad} fail"
            ));
        }
    }
    // A renewal that failed is not sent again within a shorter lease.
    let kept = !plan.fixed && plan.lease >= 3 * UNKNOWN;
    for lease in ledger.leases.iter().filter(|_| kept) {
        let of_bad = lease.key.id() == id(bad);
        let works = facts.computes.values().any(|compute| {
            let here = compute.process == lease.process && id(compute.key) == lease.key.id();
            let on = compute.over.is_none_or(|(over, _)| over.at > lease.until);
            // An earlier compute of the process may still hang, whose flight is overdue.
            let under = compute.began > lease.granted && compute.began.at < lease.until;
            here && compute.leased && under && on
        });
        let closed = facts.closed.contains_key(&lease.process);
        let over = closed || limits::is_over(case, lease);
        if works && !of_bad && !over && lease.ended.is_none() && case.is_ours(lease.process) {
            found.push(format!(
                "R11: p{} loses its lease of {}, though only commands for k{bad} fail",
                lease.process, lease.key
            ));
        }
    }
    case.broken.extend(found);
}
