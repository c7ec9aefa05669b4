//! Every state times every input: what is written here happens, and nothing else does.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fixture::{INPUTS, Rig, input};
use super::recipes::RECIPES;
use crate::{Deadline, Input, Phase, Policy};

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
