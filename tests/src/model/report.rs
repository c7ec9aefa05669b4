//! Searching a scenario, and what is said of it.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use memolock::core::{Origin, Outcome, Storage};

use super::action::Action;
use super::scenario::Scenario;
use super::search::{Broken, Found, Model, search};
use super::world::World;

impl Model for Scenario {
    type State = World;
    type Action = Action;

    fn start(&self) -> World {
        World::new(self)
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        world.actions(actions);
    }

    fn next(&self, world: &World, action: Action) -> Result<World, Broken> {
        world.clone().take(action)
    }

    fn check(&self, world: &World) -> Result<(), Broken> {
        world.judge(self)
    }

    fn marks(&self, world: &World, marks: &mut BTreeSet<&'static str>) {
        for process in &world.processes {
            marks.insert(process.machine.state_name());
            marks.extend(process.outcome().map(outcome));
            if process.machine.triggers_again() {
                marks.insert("triggering again");
            }
        }
    }
}

/// Each takes a few hundred MiB at its widest.
const MOST_AT_ONCE: usize = 4;

/// What came of a scenario.
#[derive(Debug)]
pub struct Report {
    /// Which.
    pub scenario: Scenario,
    /// What the search found.
    pub found: Found<Action>,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Searches the scenario.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        let began = Instant::now();
        let found = search(scenario);
        Self {
            scenario: *scenario,
            found,
            took: began.elapsed(),
        }
    }

    /// Searches several at once, and hands each report on as soon as it is there.
    pub fn of_each(scenarios: &[&Scenario], report: impl Fn(Self) + Sync) {
        let next = AtomicUsize::new(0);
        let search = || {
            while let Some(scenario) = scenarios.get(next.fetch_add(1, Relaxed)) {
                report(Self::of(scenario));
            }
        };
        let cores = available_parallelism().map_or(1, NonZero::get);
        std::thread::scope(|scope| {
            for _ in 0..cores.min(MOST_AT_ONCE) {
                scope.spawn(search);
            }
        });
    }

    /// What is wrong, for people to read; none if all is well.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let Scenario { name, least, .. } = self.scenario;
        if let Some((broken, path)) = &self.found.broken {
            return Some(format!(
                "{name}: {} broken: {}\n{}",
                broken.promise,
                broken.what,
                self.told(path)
            ));
        }
        let missing = |mark: &&&str| !self.found.marks.contains(**mark);
        let missed: Vec<_> = self.scenario.marks.iter().filter(missing).collect();
        if !missed.is_empty() {
            return Some(format!("{name}: never reached: {missed:?}"));
        }
        let reached = |mark: &&&str| self.found.marks.contains(**mark);
        let strange: Vec<_> = self.scenario.never.iter().filter(reached).collect();
        if !strange.is_empty() {
            return Some(format!("{name}: reached without reason: {strange:?}"));
        }
        let states = self.found.states;
        (states < least).then(|| format!("{name}: only {states} states, at least {least} expected"))
    }

    /// A line for each step of a path, with the world after it.
    fn told(&self, path: &[Action]) -> String {
        let mut world = self.scenario.start();
        let mut text = format!("      {world}\n");
        for (i, action) in path.iter().enumerate() {
            let _ = write!(text, "{:>4}. {action}", i + 1);
            match self.scenario.next(&world, *action) {
                Ok(next) => {
                    world = next;
                    let _ = writeln!(text, "\n      {world}");
                }
                Err(_) => text.push_str(", and there it breaks\n"),
            }
        }
        text
    }
}

/// The head of the table.
pub const HEAD: &str =
    "scenario                         states  transitions  depth    ends  seconds";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Found {
            states,
            transitions,
            depth,
            ends,
            ..
        } = &self.found;
        let (name, took) = (self.scenario.name, self.took.as_secs_f64());
        write!(
            f,
            "{name:<28} {states:>10} {transitions:>12} {depth:>6} {ends:>7} {took:>8.1}"
        )
    }
}

fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Value { origin, .. } => match origin {
            Origin::Hit => "hit",
            Origin::Awaited => "awaited",
        },
        Outcome::Computed { storage } => match storage {
            Storage::Stored => "stored",
            Storage::LeaseLost => "lease lost",
            Storage::Uncertain => "uncertain",
            Storage::Declined => "declined",
            Storage::Degraded(_) => "degraded",
            _ => "not stored",
        },
        Outcome::Absent => "absent",
        Outcome::Failed => "failed",
        Outcome::Panicked => "panicked",
        Outcome::Remote(_) => "remote",
        Outcome::Abandoned => "abandoned",
        _ => "error",
    }
}
