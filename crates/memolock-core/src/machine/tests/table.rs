//! Every state times every input: what is written here happens, and nothing else does.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fixture::{INPUTS, Rig, input};
use crate::{Input, Mode, Phase};

/// How to get into each state: its name, what the flight wants, and the inputs that lead there. They
/// come at the origin of time, and the input under test one second later.
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
        "miss granted subscribed",
        Phase::Working,
    ),
    (
        "attending",
        Mode::External,
        "miss granted subscribed triggered",
        Phase::Waiting,
    ),
    (
        "verifying",
        Mode::External,
        "miss granted subscribed triggered hear-resumed",
        Phase::Waiting,
    ),
    (
        "verifying again",
        Mode::External,
        "miss granted subscribed triggered hear-resumed acquire-lost",
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
        "storing",
        Mode::Compute,
        "miss granted computed fulfil-lost",
        Phase::Finishing,
    ),
    (
        "cleaning",
        Mode::Compute,
        "miss granted abandoned",
        Phase::Finishing,
    ),
    ("settled", Mode::Compute, "hit", Phase::Finishing),
];

/// Under each state what it shows itself, then each input that changes it and what it shows then.
const TABLE: &str = include_str!("table.txt");

fn states() -> impl Iterator<Item = (&'static str, Rig, Phase)> {
    RECIPES.iter().map(|(name, mode, inputs, phase)| {
        let mut rig = Rig::new(*mode).play(inputs);
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
        let mut early = rig.clone();
        if let Some(deadline) = rig.machine.deadline() {
            let left = deadline.at().since(rig.now);
            early.advance(left - Duration::from_nanos(1));
        }
        early.feed(Input::Elapsed);
        if early.machine.state != rig.machine.state {
            lines.push(row("elapsed-early", &early));
        }
        if rig.machine.deadline().is_some() {
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
    assert_eq!(seen.len(), 15, "{seen:?}");
}
