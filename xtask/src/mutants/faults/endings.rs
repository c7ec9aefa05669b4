//! Faults of how things end: leases and computes that last too long, closes, repeated notices, large values.

use super::{
    DRIVER, EXTERNAL, Fault, HOLDING, LEASE_CLOCK, STEP, STORE, TRANSFER, TRIES, WORK, fault,
};

pub(super) const FAULTS: [Fault; 13] = [
    fault(
        "a dead program keeps its lease",
        STEP,
        "(State::Attending { held, until }, Input::Elapsed) if now >= until => {\n                self.let_go(held, now, entropy)",
        "(State::Attending { held, until }, Input::Elapsed) if now >= until => {\n                self.attending(held, until.min(now))",
    ),
    fault(
        "a slow program is started again at once",
        EXTERNAL,
        "rechecking(Rival(Some(until)), None, now, entropy)",
        "rechecking(Rival(Some(until)), Some(held.token), now, entropy)",
    ),
    fault(
        "a value that comes late leaves its lock",
        EXTERNAL,
        "(Some(token), Outcome::Value { .. }) => cleaning(token, outcome),",
        "(Some(token), Outcome::Failed) => cleaning(token, outcome),",
    ),
    fault(
        "the last renewal is not shortened",
        LEASE_CLOCK,
        "(!left.is_zero()).then_some(left.min(self.lease))",
        "(!left.is_zero()).then_some(self.lease)",
    ),
    fault(
        "a lease is kept for ever",
        LEASE_CLOCK,
        "ends: began.after(max),",
        "ends: began.after(max.saturating_mul(1000)),",
    ),
    fault(
        "a gap begins max_lease again",
        EXTERNAL,
        "let held = Held { since: now, ..held };",
        "let held = Held { since: now, began: now, ..held };",
    ),
    fault(
        "a hang holds up its process",
        HOLDING,
        "flight.overdue();",
        "let _ = flight;",
    ),
    fault(
        "a compute is not cancelled",
        WORK,
        "match timeout_at(far(Instant::now(), limit), work).await {",
        "match timeout_at(far(Instant::now(), limit.saturating_mul(1000)), work).await {",
    ),
    fault(
        "a value that was passed over before is ignored",
        STEP,
        ") => self.passed_over(takeover, rival, doubt, known, now, entropy),",
        ") => match known {
                true => State::Waiting { takeover, rival, doubt },
                false => self.passed_over(takeover, rival, doubt, known, now, entropy),
            },",
    ),
    fault(
        "a value that was passed over before is returned",
        DRIVER,
        "Heard::OtherVersion { known } => Input::PassedOver { known },",
        "Heard::OtherVersion { known: true } => Input::Heard(Event::Message(Message::Value(value))),
                    Heard::OtherVersion { known } => Input::PassedOver { known },",
    ),
    fault(
        "a repeated notice ends a holder",
        TRIES,
        "rival: if known { rival } else { Rival::default() },",
        "rival: { let _ = (rival, known); Rival::default() },",
    ),
    fault(
        "a repeated notice says the value before",
        STORE,
        "stored.cloned()",
        "stored.and_then(|_| self.rows.get(key)?.before.clone())",
    ),
    fault(
        "a large value waits for a task that has ended",
        TRANSFER,
        "    transfer.task = None;\n    // Its runtime is gone, or the backend panicked.",
        "    // Its runtime is gone, or the backend panicked.",
    ),
];
