//! R2 and R11: every call ends in time.

use super::Case;
use super::calls::{CLOSING, LAST_COMMANDS};
use crate::history::ProcessId;
use crate::nesting::CALLS;
use crate::plan::{Call, Does, Plan};
use crate::store::Millis;

/// Every call ends by its deadline, whatever is broken. Time that its own compute takes comes on top, and time in which
/// its process was stopped.
pub(super) fn check(case: &mut Case<'_>) {
    let (plan, mut found) = (case.plan, Vec::new());
    for (number, call) in &case.facts.calls {
        if case.facts.is_killed(call.process) || !case.is_ours(call.process) {
            continue;
        }
        let Some((over, _)) = &call.over else {
            found.push(format!("R2: c{number} never ends"));
            continue;
        };
        let own = match plan.calls.get(*number) {
            Some(call) => own_time(plan, call),
            None => nested_time(plan, *number),
        };
        let limit = call.began.at
            + plan.wait
            + own
            + paused(plan, call.process)
            + LAST_COMMANDS * plan.bound
            + 50;
        if over.at > limit {
            let at = over.at;
            found.push(format!(
                "R2: c{number} ends at {at} ms and not by {limit} ms"
            ));
        }
    }
    case.broken.extend(found);
}

/// Time in which a process was stopped.
pub(super) fn paused(plan: &Plan, process: ProcessId) -> Millis {
    use crate::fault::Fault;
    let pauses = plan.faults.iter().map(|(_, fault)| match fault {
        Fault::Pause { process: p, lasts } if *p == process => *lasts,
        _ => 0,
    });
    pauses.sum()
}

/// Time that a call takes by itself.
fn own_time(plan: &Plan, call: &Call) -> Millis {
    match call.does {
        Does::Compute { lasts, .. }
        | Does::Detached { lasts, .. }
        | Does::Many { lasts, .. }
        | Does::Along { lasts } => lasts,
        Does::Nested { lasts, .. } => 2 * lasts + plan.wait + returns(plan),
        Does::Close => CLOSING,
        _ => 0,
    }
}

/// Time that a nested call takes by itself, and until its compute may go on.
fn nested_time(plan: &Plan, number: usize) -> Millis {
    let outer = number.checked_sub(CALLS);
    let nested = outer.and_then(|outer| plan.calls.get(outer));
    nested.map_or(0, |_| returns(plan))
}

/// How long a compute may wait for its place, to go on: it has no time-out, and queues behind those of all others.
fn returns(plan: &Plan) -> Millis {
    plan.calls.iter().map(longest).sum()
}

/// The longest that a call may have a place.
fn longest(call: &Call) -> Millis {
    match call.does {
        Does::Compute { lasts, .. }
        | Does::Detached { lasts, .. }
        | Does::Many { lasts, .. }
        | Does::Along { lasts } => lasts,
        Does::Nested { lasts, .. } => 3 * lasts,
        _ => 0,
    }
}
