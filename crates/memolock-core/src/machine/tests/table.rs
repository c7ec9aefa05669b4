//! Every state times every input: what is written here happens, and nothing else does.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fixture::{INPUTS, Rig, input};
use crate::{Deadline, Input, Mode, Phase, Policy};

/// How to get into each state: its name, what the flight wants, and the inputs that lead there. They
/// come at the origin of time, each `elapsed` at the deadline, and the input under test a second later.
const RECIPES: &[(&str, Mode, &str, Phase)] = &[
    ("probing", Mode::Compute, "", Phase::Probing),
    ("probing again", Mode::Compute, "probe-lost", Phase::Probing),
    ("acquiring", Mode::Compute, "miss", Phase::Acquiring),
    (
        "acquiring again",
        Mode::Compute,
        "miss acquire-lost",
        Phase::Acquiring,
    ),
    (
        "acquiring, external",
        Mode::External,
        "miss",
        Phase::Acquiring,
    ),
    (
        "acquiring after a pause",
        Mode::Compute,
        "miss held subscribe-refused elapsed",
        Phase::Acquiring,
    ),
    (
        "acquiring, in doubt",
        Mode::Compute,
        "miss held subscribe-refused elapsed acquire-lost acquire-lost elapsed",
        Phase::Acquiring,
    ),
    (
        "pausing",
        Mode::Compute,
        "miss held subscribe-refused",
        Phase::Waiting,
    ),
    (
        "pausing, in doubt",
        Mode::Compute,
        "miss held subscribe-refused elapsed acquire-lost acquire-lost",
        Phase::Waiting,
    ),
    (
        "subscribing",
        Mode::Compute,
        "miss held",
        Phase::Subscribing,
    ),
    (
        "subscribing, ours",
        Mode::External,
        "miss granted",
        Phase::Subscribing,
    ),
    (
        "subscribing again",
        Mode::Compute,
        "miss held subscribe-lost",
        Phase::Subscribing,
    ),
    (
        "subscribing, ours, again",
        Mode::External,
        "miss granted subscribe-lost",
        Phase::Subscribing,
    ),
    (
        "subscribing, rival for ever",
        Mode::Compute,
        "miss held-forever",
        Phase::Subscribing,
    ),
    (
        "rechecking",
        Mode::Compute,
        "miss held subscribed",
        Phase::Waiting,
    ),
    (
        "rechecking again",
        Mode::Compute,
        "miss held subscribed acquire-lost",
        Phase::Waiting,
    ),
    (
        "rechecking, external",
        Mode::External,
        "miss held subscribed",
        Phase::Waiting,
    ),
    (
        "rechecking, rival unknown",
        Mode::Compute,
        "miss held subscribed held hear-released elapsed",
        Phase::Waiting,
    ),
    (
        "rechecking, a value passed over",
        Mode::Compute,
        "miss held subscribed held passed-over elapsed",
        Phase::Waiting,
    ),
    (
        "rechecking, a value passed over again",
        Mode::Compute,
        "miss held subscribed held passed-over-again elapsed",
        Phase::Waiting,
    ),
    (
        "rechecking, in doubt",
        Mode::Compute,
        "miss held subscribed acquire-lost acquire-lost elapsed",
        Phase::Waiting,
    ),
    (
        "rechecking, rival's lease over",
        Mode::Compute,
        "miss held subscribed held elapsed",
        Phase::Waiting,
    ),
    (
        "rechecking, invalidated",
        Mode::External,
        "miss granted subscribed granted triggered hear-invalidated",
        Phase::Waiting,
    ),
    (
        "waiting",
        Mode::Compute,
        "miss held subscribed held",
        Phase::Waiting,
    ),
    (
        "waiting for ever",
        Mode::Compute,
        "miss held subscribed held-forever",
        Phase::Waiting,
    ),
    (
        "waiting, released",
        Mode::Compute,
        "miss held subscribed held hear-released",
        Phase::Waiting,
    ),
    (
        "waiting, a value passed over",
        Mode::Compute,
        "miss held subscribed held passed-over",
        Phase::Waiting,
    ),
    (
        "waiting, a value passed over again",
        Mode::Compute,
        "miss held subscribed held passed-over-again",
        Phase::Waiting,
    ),
    (
        "waiting, store failing",
        Mode::Compute,
        "miss held subscribed acquire-refused",
        Phase::Waiting,
    ),
    (
        "waiting, in doubt",
        Mode::Compute,
        "miss held subscribed acquire-lost acquire-lost",
        Phase::Waiting,
    ),
    (
        "waiting, external",
        Mode::External,
        "miss held subscribed held",
        Phase::Waiting,
    ),
    ("computing", Mode::Compute, "miss granted", Phase::Working),
    ("degraded", Mode::Compute, "probe-refused", Phase::Working),
    (
        "degraded, in doubt",
        Mode::Compute,
        "miss acquire-lost acquire-lost",
        Phase::Working,
    ),
    (
        "triggering",
        Mode::External,
        "miss granted subscribed granted",
        Phase::Working,
    ),
    (
        "attending",
        Mode::External,
        "miss granted subscribed granted triggered",
        Phase::Waiting,
    ),
    (
        "verifying",
        Mode::External,
        "miss granted subscribed granted triggered hear-resumed",
        Phase::Waiting,
    ),
    (
        "verifying, a value passed over",
        Mode::External,
        "miss granted subscribed granted triggered passed-over",
        Phase::Waiting,
    ),
    (
        "verifying again",
        Mode::External,
        "miss granted subscribed granted triggered hear-resumed acquire-lost",
        Phase::Waiting,
    ),
    (
        "verifying a lost lease",
        Mode::External,
        "miss granted subscribed granted triggered lease-lost",
        Phase::Waiting,
    ),
    (
        "fulfilling",
        Mode::Compute,
        "miss granted computed",
        Phase::Finishing,
    ),
    (
        "releasing",
        Mode::Compute,
        "miss granted failed",
        Phase::Finishing,
    ),
    (
        "fulfilling again",
        Mode::Compute,
        "miss granted computed fulfil-cut",
        Phase::Finishing,
    ),
    (
        "storing",
        Mode::Compute,
        "miss granted computed fulfil-lost",
        Phase::Finishing,
    ),
    (
        "putting off, storing",
        Mode::Compute,
        "miss granted computed fulfil-lost fulfil-lost",
        Phase::Finishing,
    ),
    (
        "storing, late",
        Mode::Compute,
        "miss granted computed fulfil-lost \
         fulfil-lost elapsed fulfil-lost elapsed fulfil-lost elapsed \
         fulfil-lost elapsed fulfil-lost elapsed fulfil-lost elapsed",
        Phase::Finishing,
    ),
    (
        "cleaning",
        Mode::Compute,
        "miss granted abandoned",
        Phase::Finishing,
    ),
    (
        "putting off",
        Mode::Compute,
        "miss granted abandoned release-lost",
        Phase::Finishing,
    ),
    (
        "putting off, refused",
        Mode::Compute,
        "miss granted computed fulfil-refused",
        Phase::Finishing,
    ),
    (
        "storing, refused",
        Mode::Compute,
        "miss granted computed fulfil-refused elapsed",
        Phase::Finishing,
    ),
    (
        "putting off, not known",
        Mode::Compute,
        "miss granted computed fulfil-unknown",
        Phase::Finishing,
    ),
    (
        "cleaning, full",
        Mode::Compute,
        "miss granted computed fulfil-full",
        Phase::Finishing,
    ),
    (
        "putting off, release refused",
        Mode::Compute,
        "miss granted failed release-refused",
        Phase::Finishing,
    ),
    (
        "rechecking after an error that is not known",
        Mode::Compute,
        "miss held subscribed acquire-unknown elapsed",
        Phase::Waiting,
    ),
    ("settled", Mode::Compute, "hit", Phase::Finishing),
];

/// Under each state what it shows itself, then each input that changes it and what it shows then.
const TABLE: &str = include_str!("table.txt");

fn states() -> impl Iterator<Item = (&'static str, Rig, Phase)> {
    RECIPES.iter().map(|(name, mode, inputs, phase)| {
        let policy = Policy {
            // Longer than that second, so that it is not over then.
            outage_pause: Duration::from_millis(1500),
            ..Policy::default()
        };
        let mut rig = Rig::with(policy, *mode).play(inputs);
        rig.advance(Duration::from_secs(1));
        (*name, rig, *phase)
    })
}

/// The table as it is, in the form of the table as it should be.
fn actual() -> String {
    let mut lines = Vec::new();
    for (name, rig, _) in states() {
        lines.push(format!("[{name}] {}", rig.describe()));
        let row = |input: &str, after: &Rig| format!("  {input}: {}", after.describe());
        for input_name in INPUTS {
            let mut after = rig.clone();
            after.feed(input(input_name));
            if after.machine.state != rig.machine.state {
                lines.push(row(input_name, &after));
            }
        }
        let deadline = rig.machine.deadline().map(Deadline::at);
        if deadline.is_none_or(|at| at > rig.now) {
            let mut early = rig.clone();
            let left = deadline.map_or(Duration::ZERO, |at| at.since(rig.now));
            early.advance(left.saturating_sub(Duration::from_nanos(1)));
            early.feed(Input::Elapsed);
            if early.machine.state != rig.machine.state {
                lines.push(row("elapsed-early", &early));
            }
        }
        if deadline.is_some() {
            let mut late = rig.clone();
            late.elapse();
            lines.push(row("elapsed", &late));
        }
    }
    lines.join("\n")
}

#[test]
fn each_input_does_in_each_state_what_the_table_says_and_else_nothing() {
    let actual = actual();
    let differs = actual.lines().zip(TABLE.lines()).find(|(a, b)| a != b);
    assert_eq!(differs, None, "\n{actual}");
    assert_eq!(actual.lines().count(), TABLE.lines().count(), "\n{actual}");
}

#[test]
fn the_phase_is_that_of_the_state() {
    for (name, rig, phase) in states() {
        assert_eq!(rig.machine.phase(), phase, "{name}");
    }
}

#[test]
fn an_input_that_does_not_fit_leaves_even_the_mode_alone() {
    for (name, rig, _) in states() {
        for input_name in INPUTS.iter().filter(|i| !i.starts_with("adopted")) {
            let mut after = rig.clone();
            after.feed(input(input_name));
            assert_eq!(after.machine.mode, rig.machine.mode, "{name} {input_name}");
        }
    }
}

#[test]
fn every_state_has_a_recipe() {
    let mut seen = BTreeMap::new();
    for (name, rig, _) in states() {
        assert!(name.starts_with(rig.state()), "{name} is {}", rig.state());
        *seen.entry(rig.state()).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 17, "{seen:?}");
}
