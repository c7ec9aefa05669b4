//! R16: what takes too long holds its key no longer than it may, and a dead program neither.

use std::collections::BTreeMap;

use memolock::core::{Acquired, Token, millis};

use super::Case;
use super::calls::paused;
use crate::caller::id;
use crate::facts::{ComputeFact, Moment};
use crate::history::ProcessId;
use crate::ledger::{LeaseFact, Ledger};
use crate::plan::NEVER;
use crate::store::{Answer, Millis, Op};

pub(super) fn check(case: &mut Case<'_>) {
    leases_end(case);
    computes_end(case);
    programs_have_their_time(case);
}

/// No renewal makes a lease last for longer than it may be kept, counted from when it was asked for.
fn leases_end(case: &mut Case<'_>) {
    let max = case.plan.max_lease;
    let mut begun: BTreeMap<(ProcessId, Token), Millis> = BTreeMap::new();
    let mut found = Vec::new();
    for ask in case.facts.asks.values() {
        match (ask.op, ask.told) {
            (Op::Acquire(_, token, _), Some((_, Ok(Answer::Acquired(Acquired::Granted))))) => {
                begun.insert((ask.process, *token), ask.when.at);
            }
            (Op::Renew(renewals), _) => {
                for renewal in renewals {
                    let at = ask.when.at;
                    let Some(since) = begun.get(&(ask.process, renewal.token)) else {
                        continue;
                    };
                    // A millisecond for what is rounded up. A process may be stopped when it is about to send.
                    let late = 1 + paused(case.plan, ask.process);
                    if at + millis(renewal.lease) > since.saturating_add(max) + late {
                        found.push(format!(
                            "R16: p{} renews {} of {since} ms at {at} ms for {:?}",
                            ask.process, renewal.key, renewal.lease
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    case.broken.extend(found);
}

/// A compute that takes longer than it may is cancelled.
fn computes_end(case: &mut Case<'_>) {
    let Some(limit) = case.plan.compute_timeout else {
        return;
    };
    let mut found = Vec::new();
    for (number, compute) in &case.facts.computes {
        if !case.is_ours(compute.process) || case.facts.is_killed(compute.process) {
            continue;
        }
        let over = compute.over.map_or(Millis::MAX, |(over, _)| over.at);
        // A process that is stopped ends nothing; its computes wait until it goes on.
        let most = limit + paused(case.plan, compute.process) + 1;
        if over > compute.began.at + most {
            found.push(format!("R16: v{number} is not cancelled after {limit} ms"));
        }
    }
    case.broken.extend(found);
}

/// R2: a lease is renewed while a program may answer, and no longer.
fn programs_have_their_time(case: &mut Case<'_>) {
    let (plan, facts) = (case.plan, &case.facts);
    let mut found = Vec::new();
    for ask in facts.asks.values() {
        let (Op::Renew(renewals), process) = (ask.op, ask.process) else {
            continue;
        };
        // Looks after a gap, a subscription, a pause: the time of the program is not seen to end meanwhile.
        let slack = 3 * plan.bound + 50 + paused(plan, process);
        for key in 0..plan.keys {
            let renews = renewals.iter().any(|renewal| renewal.key.id() == id(key));
            if !renews || !case.is_external(key) || !case.is_ours(process) {
                continue;
            }
            let at = ask.when.at;
            let works = facts.computes.values().any(|compute| {
                let here = compute.process == process && compute.key == key;
                let over = compute.over.map_or(Millis::MAX, |(over, _)| over.at);
                here && compute.began.at <= at && at <= over + slack
            });
            let hopes = facts.triggered.iter().any(|(when, by, of)| {
                let hopes = when.at + plan.trigger_timeout + slack >= at;
                (*by, *of) == (process, key) && when.at <= at && hopes
            });
            let begins = facts.asks.values().any(|ask| {
                let acquires = matches!(ask.op, Op::Acquire(of, ..) if of.id() == id(key));
                acquires && ask.process == process && ask.when.at <= at && at <= ask.when.at + slack
            });
            if !works && !hopes && !begins {
                found.push(format!(
                    "R2: p{process} still renews k{key} at {at} ms, for a program that did not answer"
                ));
            }
        }
    }
    case.broken.extend(found);
}

/// Whether a lease was kept for as long as it may be.
pub(super) fn is_over(case: &Case<'_>, lease: &LeaseFact<'_>) -> bool {
    let plan = case.plan;
    let until = lease.until + travels(case, lease.process);
    plan.max_lease < NEVER && until >= lease.granted.at + plan.max_lease
}

/// How long a lease may have been asked for before it was granted, which is when it begins to count: the way of the
/// command, and time in which its process was stopped.
fn travels(case: &Case<'_>, process: ProcessId) -> Millis {
    let plan = case.plan;
    let lag = if plan.is_stormy() { 150 } else { 1 };
    plan.latency + lag + paused(plan, process)
}

/// Whether a compute began beside an earlier one of its process whose flight was overdue by then.
pub(super) fn is_beside_overdue(
    case: &Case<'_>,
    ledger: &Ledger<'_>,
    earlier: &ComputeFact,
    compute: &ComputeFact,
) -> bool {
    let plan = case.plan;
    let lease = ledger.of_process(earlier.process, &id(earlier.key), earlier.began);
    let from = match lease.filter(|_| earlier.leased) {
        // The lease may be older than the compute, which was handed over.
        Some(lease) => lease.granted.at.min(earlier.began.at),
        None => earlier.began.at,
    };
    let at = compute.began.at + travels(case, earlier.process);
    at >= from.saturating_add(plan.max_lease)
}

/// Whether a process has an overdue flight to a key beside others: what it asks is then of either.
pub(super) fn has_overdue(case: &Case<'_>, process: ProcessId, key: &str, when: Moment) -> bool {
    let plan = case.plan;
    plan.max_lease < NEVER
        && case.facts.computes.values().any(|compute| {
            let here = compute.process == process && id(compute.key) == key;
            let on = compute
                .over
                .is_none_or(|(over, _)| over.at + 4 * plan.bound >= when.at);
            here && on && compute.began < when
        })
}
