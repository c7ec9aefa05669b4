//! Properties of random schedules: wild ones, in which anything comes at any time, and fitting ones,
//! in which each command gets one of its possible replies.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::fixture::{INPUTS, Rig, input};
use crate::{Deadline, FailurePolicy, Input, Mode, OutagePolicy, Output, Policy, Token};

fn mode() -> impl Strategy<Value = Mode> {
    select(&[Mode::Read, Mode::Compute, Mode::External])
}

fn policy() -> impl Strategy<Value = Policy> {
    (0..4_u8, any::<bool>(), any::<bool>()).prop_map(|(attempts, share, strict)| Policy {
        attempts,
        failures: if share {
            FailurePolicy::Share
        } else {
            FailurePolicy::Retry
        },
        outage: if strict {
            OutagePolicy::Fail
        } else {
            OutagePolicy::Compute
        },
        ..Policy::default()
    })
}

/// The names of what can come of an output.
fn replies(output: &Output) -> &'static [&'static str] {
    match output {
        Output::Probe => &[
            "hit",
            "miss",
            "miss",
            "miss",
            "probe-lost",
            "probe-refused",
            "probe-wrong",
            "probe-unknown",
        ],
        Output::Acquire { .. } => &[
            "granted",
            "granted",
            "held",
            "held",
            "held-forever",
            "found",
            "acquire-lost",
            "acquire-refused",
            "acquire-wrong",
            "acquire-unknown",
        ],
        Output::Subscribe => &[
            "subscribed",
            "subscribed",
            "subscribe-lost",
            "subscribe-refused",
            "subscribe-wrong",
        ],
        Output::Listen => &[
            "hear-value",
            "hear-released",
            "hear-failed",
            "hear-invalidated",
            "hear-gap",
            "hear-resumed",
            "passed-over",
            "passed-over-again",
            "silenced",
            "cut-off",
            "lease-lost",
            "elapsed",
            "elapsed",
        ],
        Output::Pause => &["elapsed"],
        Output::Compute { .. } => &["computed", "computed", "unstored", "failed", "panicked"],
        Output::Trigger => &["triggered", "triggered", "triggered", "trigger-failed"],
        Output::Fulfil { .. } => &[
            "stored",
            "lease-gone",
            "fulfil-lost",
            "fulfil-cut",
            "fulfil-refused",
            "fulfil-full",
            "fulfil-unknown",
        ],
        Output::Release { .. } => &[
            "released",
            "not-ours",
            "release-lost",
            "release-refused",
            "release-denied",
            "release-unknown",
        ],
        Output::Rest => &["abandoned"],
    }
}

fn is_command(output: &Output) -> bool {
    matches!(
        output,
        Output::Acquire { .. } | Output::Fulfil { .. } | Output::Release { .. } | Output::Probe
    )
}

/// What holds of a machine at any time, and across any one input.
fn consistent(before: &Rig, after: &Rig) -> Result<(), TestCaseError> {
    let output = after.output();
    prop_assert_eq!(output == Output::Rest, after.state() == "settled");
    if output == Output::Rest {
        prop_assert!(after.outcome().is_some());
    }
    if let Some(outcome) = before.outcome() {
        prop_assert_eq!(after.outcome(), Some(outcome), "an outcome is for ever");
    }
    match after.machine.deadline() {
        Some(Deadline::Takeover(_) | Deadline::Trigger(_)) => {
            prop_assert_eq!(&output, &Output::Listen);
        }
        Some(Deadline::Retry(_)) => prop_assert_eq!(&output, &Output::Pause),
        None => prop_assert_ne!(&output, &Output::Pause, "a pause without an end"),
    }
    if after.outcome().is_some() {
        prop_assert_eq!(after.machine.held(), None, "clean-up needs no heartbeat");
    }
    match (&output, after.machine.held()) {
        (Output::Fulfil { token, .. }, Some(held)) => prop_assert_eq!(*token, held.token),
        (Output::Acquire { token, .. }, Some(held)) => prop_assert_eq!(*token, held.token),
        (Output::Compute { lease }, held) => prop_assert_eq!(*lease, held),
        (Output::Trigger, held) => prop_assert!(held.is_some()),
        (Output::Probe | Output::Release { .. } | Output::Rest, held) => {
            prop_assert_eq!(held, None);
        }
        _ => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn r8_whatever_comes_whenever_nothing_panics_and_an_outcome_stays(
        mode in mode(),
        policy in policy(),
        inputs in prop::collection::vec((select(INPUTS), 0..6000_u64), 0..60),
    ) {
        let mut rig = Rig::with(policy, mode);
        for (name, step) in inputs {
            let before = rig.clone();
            rig.advance(Duration::from_millis(step));
            rig.feed(input(name)).feed(Input::Elapsed);
            consistent(&before, &rig)?;
        }
    }

    #[test]
    fn r5_r9_no_lease_is_forgotten(
        mode in mode(),
        policy in policy(),
        choices in prop::collection::vec((any::<Index>(), 0..24_u8), 0..60),
    ) {
        let mut rig = Rig::with(policy, mode);
        let mut ledger = Ledger::default();
        for (index, aside) in choices {
            let name = match aside {
                0 => "abandoned",
                1 => "adopted-read",
                2 => "adopted-compute",
                3 => "adopted-external",
                4 => "lease-lost",
                _ => *index.get(replies(&rig.output())),
            };
            let before = rig.clone();
            rig.hear(name);
            consistent(&before, &rig)?;
            ledger.entry(&before, name, &rig)?;
        }
        let before = rig.clone();
        rig.hear("abandoned");
        ledger.entry(&before, "abandoned", &rig)?;
        while rig.output() != Output::Rest {
            let (before, name) = (rig.clone(), replies(&rig.output())[0]);
            rig.hear(name);
            ledger.entry(&before, name, &rig)?;
        }
        prop_assert!(ledger.open.is_empty(), "{:?}", ledger.open);
    }

    #[test]
    fn r9_an_abandoned_flight_ends_within_a_lease(
        mode in mode(),
        policy in policy(),
        choices in prop::collection::vec(any::<Index>(), 0..40),
        after in prop::collection::vec(any::<Index>(), 100),
    ) {
        let mut rig = Rig::with(policy.clone(), mode);
        for index in choices {
            let name = *index.get(replies(&rig.output()));
            rig.hear(name);
        }
        let under_way = rig.output();
        rig.hear("abandoned");
        let abandoned = rig.now;
        // A command that was sent already is not sent more.
        let mut sent = usize::from(is_command(&rig.output()) && rig.output() != under_way);
        let mut pauses = 0;
        for index in after {
            let output = rig.output();
            pauses += usize::from(output == Output::Pause);
            let name = *index.get(replies(&output));
            rig.hear(name);
            sent += usize::from(is_command(&rig.output()));
        }
        prop_assert_eq!(rig.output(), Output::Rest);
        prop_assert!(rig.now.since(abandoned) <= policy.lease);
        // Each is sent again after a pause only; a store that is refused for good becomes a release, once, and
        // a broken connection is tried once at once.
        prop_assert!(sent <= 3 + pauses, "{} with {} pauses", sent, pauses);
    }
}

/// Which leases may be ours in the store, told from commands and replies alone.
#[derive(Default)]
struct Ledger {
    open: BTreeSet<Token>,
    tried: BTreeSet<Token>,
}

impl Ledger {
    fn entry(&mut self, before: &Rig, name: &str, after: &Rig) -> Result<(), TestCaseError> {
        let leaves = matches!(name, "abandoned" | "adopted-read");
        let handed_on = name.starts_with("adopted");
        match before.output() {
            Output::Acquire { token, .. } => {
                self.tried.insert(token);
                match name {
                    "granted" => drop(self.open.insert(token)),
                    "acquire-lost" | "acquire-unknown" => {
                        self.open.insert(token);
                        r7(before, after)?;
                    }
                    // Another one holds it, so we do not.
                    "held" | "held-forever" => drop(self.open.remove(&token)),
                    // It was sent, and its reply will not be read.
                    _ if leaves || handed_on => drop(self.open.insert(token)),
                    _ => {}
                }
            }
            Output::Fulfil { token, .. } if matches!(name, "stored" | "lease-gone") => {
                self.open.remove(&token);
            }
            // It was sent, whatever came of it: else the lease expires.
            Output::Release { token, .. } if name.contains("release") || name == "not-ours" => {
                self.open.remove(&token);
            }
            _ => {}
        }
        if let (Some(held), true) = (before.machine.held(), attends(before)) {
            let fails = name.starts_with("acquire-") || matches!(name, "silenced" | "cut-off");
            if before.state() == "attending" && name == "elapsed" {
                // The program has had its time, and may only be slow.
                let other = |token| token != held.token;
                let asks = matches!(after.output(), Output::Acquire { token, .. } if other(token));
                prop_assert!(asks, "its lock is not left to expire");
                self.open.remove(&held.token);
            } else if after.output() == Output::Rest {
                // The program that was triggered is still at it: left to expire.
                prop_assert!(leaves || fails, "{} leaves the lock behind", name);
                self.open.remove(&held.token);
            } else if let Output::Release { .. } = after.output() {
                prop_assert!(!leaves && !fails, "{} lets a second program start", name);
            }
        }
        if let Output::Acquire { token, .. } = after.output() {
            let resent = matches!(before.output(), Output::Acquire { token: t, .. } if t == token);
            let fresh = !self.tried.contains(&token);
            let open = self.open.contains(&token);
            prop_assert!(resent || fresh || open, "a token is used for a second try");
            let others = self.open.iter().filter(|t| **t != token).count();
            prop_assert_eq!(others, 0, "a lease may be ours, and another is asked for");
        }
        Ok(())
    }
}

fn attends(rig: &Rig) -> bool {
    matches!(rig.state(), "attending" | "verifying")
}

/// A lost reply is tried again, now or later, computed around, or taken back: never believed a refusal,
/// after which the token would be forgotten. (Where it was to keep a lease, that is left to expire.)
fn r7(before: &Rig, after: &Rig) -> Result<(), TestCaseError> {
    let Output::Acquire { token: asked, .. } = before.output() else {
        unreachable!("a try for the lease was answered");
    };
    let keeps = |token| {
        prop_assert_eq!(token, asked);
        Ok(())
    };
    match after.output() {
        Output::Acquire { token, .. } | Output::Release { token, .. } => keeps(token),
        Output::Rest if attends(before) => Ok(()),
        Output::Listen | Output::Pause | Output::Compute { lease: None } => {
            match after.clone().play("abandoned").output() {
                Output::Release { token, .. } => keeps(token),
                other => Err(TestCaseError::fail(format!("{other:?}: it is forgotten"))),
            }
        }
        other => Err(TestCaseError::fail(format!("{other:?}"))),
    }
}
