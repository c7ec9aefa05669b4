//! R16: what takes too long holds its key no longer than it may, and a dead program neither.

use std::collections::BTreeMap;

use memolock::core::{Acquired, Token, millis};

use super::Case;
use super::deadlines::paused;
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
            (Op::Acquire(_, token, ..), Some((_, Ok(Answer::Acquired(Acquired::Granted))))) => {
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
    let max = case.plan.max_lease;
    max < NEVER && lease.until >= counts_from(case, lease) + max
}

/// From when on a lease counts: from the first try with its token, which is on its way for a time before the lease is
/// granted. A process that is stopped tries later than it means to.
fn counts_from(case: &Case<'_>, lease: &LeaseFact<'_>) -> Millis {
    let first = case.facts.asks.values().find(|ask| {
        let of_token = matches!(ask.op, Op::Acquire(_, token, ..) if *token == lease.token);
        of_token && ask.process == lease.process
    });
    let first = first.map_or(lease.granted.at, |ask| ask.when.at);
    first.saturating_sub(paused(case.plan, lease.process))
}

/// Whether a compute began beside an earlier one of its process whose flight was overdue by then.
pub(super) fn is_beside_overdue(
    case: &Case<'_>,
    ledger: &Ledger<'_>,
    earlier: &ComputeFact,
    compute: &ComputeFact,
) -> bool {
    compute.began.at >= overdue_from(case, ledger, earlier)
}

/// Whether a process has an overdue flight to a key beside others: what it asks is then of either.
pub(super) fn has_overdue(
    case: &Case<'_>,
    ledger: &Ledger<'_>,
    process: ProcessId,
    key: &str,
    when: Moment,
) -> bool {
    let plan = case.plan;
    plan.max_lease < NEVER
        && case.facts.computes.values().any(|compute| {
            let here = compute.process == process && id(compute.key) == key;
            // Its lease is given back after it.
            let over = compute.over.map_or(Millis::MAX, |(over, _)| over.at);
            let on = over.saturating_add(4 * plan.bound) >= when.at;
            here && on && overdue_from(case, ledger, compute) <= when.at
        })
}

/// From when on others go on without a compute: its flight is overdue.
fn overdue_from(case: &Case<'_>, ledger: &Ledger<'_>, compute: &ComputeFact) -> Millis {
    let began = compute.began.at;
    let lease = ledger.of_process(compute.process, &id(compute.key), compute.began);
    let from = match lease.filter(|_| !compute.placed) {
        // The lease may be older than the compute, which was handed over, and over by then.
        Some(lease) => counts_from(case, lease).min(began),
        // It may have had one, which was lost before the process was stopped no longer.
        None => began.saturating_sub(paused(case.plan, compute.process)),
    };
    from.saturating_add(case.plan.max_lease)
}
