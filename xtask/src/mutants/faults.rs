//! The planted faults: each is what one file says, and what it says instead.

mod endings;
mod places;

/// A fault to plant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
    /// Stands in the file exactly once.
    pub(crate) find: &'static str,
    pub(crate) replace: &'static str,
}

const fn fault(
    name: &'static str,
    file: &'static str,
    find: &'static str,
    replace: &'static str,
) -> Fault {
    Fault {
        name,
        file,
        find,
        replace,
    }
}

const STEP: &str = "crates/memolock-core/src/machine/step.rs";
const CLEANING: &str = "crates/memolock-core/src/machine/cleaning.rs";
const TRIES: &str = "crates/memolock-core/src/machine/tries.rs";
const ENDS: &str = "crates/memolock-core/src/machine/ends.rs";
const SUCCESSION: &str = "crates/memolock-core/src/machine/succession.rs";
const SWITCHBOARD: &str = "crates/memolock-core/src/switchboard.rs";
const CREW: &str = "crates/memolock/src/crew.rs";
const DRIVER: &str = "crates/memolock/src/driver.rs";
const FLIGHT: &str = "crates/memolock/src/flight.rs";
const SHARED: &str = "crates/memolock/src/shared.rs";
const BREAKER: &str = "crates/memolock/src/breaker.rs";
const STORE_FRONT: &str = "crates/memolock/src/store.rs";
const TRANSFER: &str = "crates/memolock/src/transfer.rs";
const GATHERER: &str = "crates/memolock/src/many/gatherer.rs";
const BATCH: &str = "crates/memolock/src/many/batch.rs";
const VOYAGE: &str = "crates/memolock/src/many/voyage.rs";
const HOLDING: &str = "crates/memolock/src/holding.rs";
const EXTERNAL: &str = "crates/memolock-core/src/machine/external.rs";
const LEASE_CLOCK: &str = "crates/memolock-core/src/lease_clock.rs";
const WORK: &str = "crates/memolock/src/work.rs";
const NESTING: &str = "crates/memolock/src/nesting.rs";
const PLACES: &str = "crates/memolock/src/places.rs";
const SIEVE: &str = "crates/memolock/src/sieve.rs";
const HUB: &str = "crates/memolock/src/hub.rs";
const CLOSING: &str = "crates/memolock/src/closing.rs";
const NEAR: &str = "crates/memolock/src/near/cache.rs";
const KEEPER: &str = "crates/memolock/src/near/keeper.rs";
/// What the scripts mean, as the simulation's store has it.
const STORE: &str = "tests/sim/src/store.rs";

const FAULTS: [Fault; 47] = [
    fault(
        "subscribed after the check: no second look",
        STEP,
        "(Ok(()), None) => rechecking(rival, None, now, entropy),",
        "(Ok(()), None) => self.waiting(rival, None, entropy),",
    ),
    fault(
        "no look after a gap",
        STEP,
        "Event::Resumed => rechecking(rival, doubt, now, entropy),",
        "Event::Resumed => State::Waiting { takeover, rival, doubt },",
    ),
    fault(
        "a value is lost with its lease",
        STEP,
        "Ok(fulfilled) => State::Settled(computed_outcome(stored(fulfilled))),",
        "Ok(Fulfilled::Lost) => State::Settled(Outcome::Abandoned),
                Ok(fulfilled) => State::Settled(computed_outcome(stored(fulfilled))),",
    ),
    fault(
        "a value that is not stored is lost",
        STEP,
        "let outcome = computed_outcome(Storage::Failed(error.clone()));",
        "let outcome = Outcome::Backend(error.clone());",
    ),
    fault(
        "what is refused for now is given up",
        CLEANING,
        "let passes = error.is_ambiguous() || error.kind() == ErrorKind::Refused;",
        "let passes = error.is_ambiguous();",
    ),
    fault(
        "an error that is not known is asked about again at once",
        TRIES,
        "error.is_reply_lost() && sent < self.policy.attempts",
        "error.is_ambiguous() && sent < self.policy.attempts",
    ),
    fault(
        "one key opens the breaker for all",
        BREAKER,
        "let opens = !part.open && part.is_no_key() && part.unknown >= most;",
        "part.unknown += 1;\n            let opens = !part.open && part.unknown >= most;",
    ),
    fault(
        "one key costs the others their leases",
        HOLDING,
        "self.group = from.isqrt().max(1);",
        "let _ = from;",
    ),
    fault(
        "triggered without listening",
        STEP,
        "Tried::Granted(held) if self.mode == Mode::External => subscribing(Some(held)),",
        "Tried::Granted(held) if self.mode == Mode::External => State::Triggering { held },",
    ),
    fault(
        "a new token after a lost reply",
        TRIES,
        "token: doubt.unwrap_or_else(|| Token::from_bits(entropy.bits())),",
        "token: Token::from_bits(entropy.bits()),",
    ),
    fault(
        "no timer for a take-over",
        TRIES,
        "takeover: rival.0.map(late),",
        "takeover: { let _ = late; None },",
    ),
    fault(
        "computes beside a holder in an outage",
        TRIES,
        "error.is_retryable() && rival.is_alive(now)",
        "error.is_retryable() && rival.is_alive(now) && now < Timestamp::default()",
    ),
    fault(
        "a failed compute keeps its lease",
        ENDS,
        "Lease::Held(held) => releasing(held.token, Some(notice), outcome),",
        "Lease::Held(_) => { let _ = notice; State::Settled(outcome) }",
    ),
    fault(
        "a dropped compute keeps its lease",
        SUCCESSION,
        "    match state {\n        // The command may have been sent, and its reply will not be read.",
        "    match state {\n        State::Computing(Lease::Held(_)) => State::Settled(outcome),",
    ),
    fault(
        "a dropped try is not taken back",
        SUCCESSION,
        "    match state {\n        // The command may have been sent, and its reply will not be read.",
        "    match state {\n        State::Acquiring { .. } | State::Rechecking { .. } => State::Settled(outcome),",
    ),
    fault(
        "not subscribed again after a gap",
        SWITCHBOARD,
        "e.gap()));\n            dirty.insert(key.clone());",
        "e.gap()));\n            let _ = (key, &mut *dirty);",
    ),
    fault(
        "a hand-over drops the lease",
        CREW,
        "cockpit: Cockpit::Flying(engine),",
        "cockpit: { drop(engine); Cockpit::Looking(Mode::Compute) },",
    ),
    fault(
        "a flight that has ended can be joined",
        CREW,
        "if !self.shared.table(self.lane).remove(&self.flight) {",
        "if false {",
    ),
    fault(
        "a close does not end its flights",
        DRIVER,
        "_ = flight.ended(|| phase != Phase::Finishing && hub.turns_away()) => continue,",
        "() = std::future::pending::<()>() => continue,",
    ),
    fault(
        "nobody is told of a vacant seat",
        FLIGHT,
        "drop(seat);\n        self.notify.notify_one();",
        "drop(seat);",
    ),
    fault(
        "a put does not retire flights",
        SHARED,
        "self.computes.retire(id);",
        "",
    ),
    fault(
        "a breaker never closes",
        BREAKER,
        "let healed = parts.remove(&domain);",
        "let _ = domain;\n        let healed: Option<Part> = None;",
    ),
    fault(
        "an open breaker holds back clean-up",
        STORE_FRONT,
        "let call = self.backend().release(key, token, notice);
        self.send_behind(Operation::Release, key, call).await",
        "let call = self.backend().release(key, token, notice);
        self.guard(Operation::Release, key, call).await",
    ),
    fault(
        "bytes that cannot be decoded end the call",
        SIEVE,
        "if error.is_miss() || !self.triggered {",
        "if error.is_miss() {",
    ),
    fault(
        "bytes that are heard and cannot be decoded end the call",
        SIEVE,
        "Judged::PassedOver(error) if !self.triggered => {",
        "Judged::PassedOver(error) if !self.triggered && error.is_miss() => {",
    ),
    fault(
        "leases are not renewed",
        LEASE_CLOCK,
        "true => sent.after(self.lease / 3),",
        "true => self.expires,",
    ),
    fault(
        "script: release without the token",
        STORE,
        "if !self.holds(key, token, now) {",
        "let _ = token;\n        if self.lock(key, now).is_none() {",
    ),
    fault(
        "script: fulfil without the token",
        STORE,
        "if !self.holds(key, *token, now) {",
        "let _ = token;\n                if self.lock(key, now).is_none() {",
    ),
    fault(
        "script: acquire refuses its own token",
        STORE,
        "Some(lock) if lock.token != Some(token) =>",
        "Some(lock) =>",
    ),
    fault(
        "many: answers go to others",
        GATHERER,
        "in self.0.into_iter().zip(answers) {",
        "in self.0.into_iter().rev().zip(answers) {",
    ),
    fault(
        "many: a batch waits until there is more",
        GATHERER,
        "taken(&mut asked.computes).map(Errand::Compute),",
        "(asked.computes.len() > 1).then(|| taken(&mut asked.computes)).flatten().map(Errand::Compute),",
    ),
    fault(
        "many: values are shared out by their order",
        BATCH,
        "values.remove(id).map_or_else(missing, Ended::Ok)",
        "values.keys().max().cloned().filter(|_| !id.is_empty()).and_then(|id| values.remove(&id)).map_or_else(missing, Ended::Ok)",
    ),
    fault(
        "many: who takes over does not look at the lease",
        VOYAGE,
        "pilot.adopt(terms.wants(Mode::Compute));",
        "let _ = &mut pilot;",
    ),
    fault(
        "many: answers lie unread while others have their turn",
        VOYAGE,
        "} else if none && !answered {",
        "} else if answered {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            } else if none {",
    ),
    fault(
        "script: acquire looks for no value",
        STORE,
        "self.value(key, now).filter(|value| Some(*value) != over)",
        "self.value(key, now).filter(|_| false)",
    ),
    fault(
        "script: invalidate leaves the lock",
        STORE,
        "*self.row(key) = Row::default();",
        "self.row(key).value = None;",
    ),
    fault(
        "script: fulfil tells nobody",
        STORE,
        "telling(Answer::Fulfilled(Fulfilled::Stored), key, &told)",
        "{ let _ = told; silent(Answer::Fulfilled(Fulfilled::Stored)) }",
    ),
    fault(
        "near: a fill ignores what changed since",
        NEAR,
        "&& (phase == Phase::Echo || ticket.stripe.changes == stripe.changes);",
        ";",
    ),
    fault(
        "near: a local write bars nothing that began before",
        NEAR,
        "// An end of a local write.\n        stripe.writes += 1;",
        "",
    ),
    fault(
        "near: an echo is taken for the whole truth",
        NEAR,
        "phase: Phase::Reading,\n                    ..copy.clone()",
        "phase: Phase::Sure,\n                    ..copy.clone()",
    ),
    fault(
        "near: an echo that came early is waited for",
        NEAR,
        "true if ticket.stripe.changes != stripe.changes => Phase::Reading,",
        "",
    ),
    fault(
        "near: a read-back inserts whatever has happened",
        NEAR,
        "(Some(_), Some(copy)) =>",
        "(_, Some(copy)) =>",
    ),
    fault(
        "near: a gap flushes nothing",
        KEEPER,
        "Some(Change::Gap) => self.near.flush(State::Deaf),",
        "Some(Change::Gap) => {}",
    ),
    fault(
        "close: detached work is sent away too",
        HUB,
        "self.drains.load(Acquire) && !detached::is_current()",
        "self.drains.load(Acquire)",
    ),
    fault(
        "close: it does not wait for detached work",
        CLOSING,
        "if patience.is_zero() || shared.hub.detached.is_empty() {",
        "if true {",
    ),
    fault(
        "close: leaders are not told",
        CLOSING,
        "flight.tell_leader();",
        "let _ = flight;",
    ),
    fault(
        "script: notices on notif",
        STORE,
        "(Channel::Fail, notice.encode())",
        "(Channel::Notif, notice.encode())",
    ),
];

/// All of them, in the order of the table.
pub(crate) fn all() -> impl Iterator<Item = &'static Fault> {
    FAULTS.iter().chain(&endings::FAULTS).chain(&places::FAULTS)
}

#[cfg(test)]
mod tests {
    use super::all;

    #[test]
    fn the_page_has_a_row_for_each_and_says_how_many_there_are() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let page = std::fs::read_to_string(format!("{root}/docs/mutants.md")).unwrap();
        let count = all().count();
        let title = format!("# Planted faults: {count} of {count} found\n");
        assert!(page.starts_with(&title), "{title}");
        for fault in all() {
            let row = format!("\n| {} |", fault.name);
            assert_eq!(page.matches(&row).count(), 1, "`{}`", fault.name);
        }
        assert_eq!(page.matches("\n| ").count(), count + 1, "a row of no fault");
    }

    #[test]
    fn every_fault_has_its_place_once() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        for fault in all() {
            let text = std::fs::read_to_string(format!("{root}/{}", fault.file)).unwrap();
            let places = text.matches(fault.find).count();
            assert_eq!(places, 1, "`{}` in {}", fault.name, fault.file);
        }
    }
}
