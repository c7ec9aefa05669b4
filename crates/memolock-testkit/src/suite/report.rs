//! What came of a run: a table for people, and an assertion for tests.

use std::fmt;
use std::time::Duration;

/// How each case of a run ended, in the order of the suite. Its `Display` is a table.
#[derive(Debug, Clone)]
pub struct Report {
    pub(crate) backend: String,
    pub(crate) entries: Vec<Entry>,
    pub(crate) took: Duration,
}

/// How one case ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Entry {
    /// Its name, room first: `lease::a_free_lock_is_taken`.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// The end of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The promise was kept.
    Passed,
    /// It was not: how, in a line.
    Failed(String),
    /// It could not be checked here: why, in a line.
    Skipped(String),
}

impl Report {
    /// Every case that ran or was skipped.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The names of those that passed.
    pub fn passed(&self) -> impl Iterator<Item = &str> {
        self.named(|outcome| *outcome == Outcome::Passed)
    }

    /// The names of those that failed.
    pub fn failed(&self) -> impl Iterator<Item = &str> {
        self.named(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    /// The names of those that were skipped.
    pub fn skipped(&self) -> impl Iterator<Item = &str> {
        self.named(|outcome| matches!(outcome, Outcome::Skipped(_)))
    }

    /// Nothing failed. What was skipped is printed, so that it is not passed over in silence.
    ///
    /// # Panics
    /// With the table, if a case failed, or if none ran at all.
    #[track_caller]
    pub fn assert_ok(&self) {
        assert!(self.failed().next().is_none(), "\n{self}");
        assert!(self.passed().next().is_some(), "no case ran\n{self}");
        eprintln!("{}", self.summary());
        for entry in &self.entries {
            if let Outcome::Skipped(why) = &entry.outcome {
                eprintln!("  skipped {}: {why}", entry.name);
            }
        }
    }

    fn named(&self, which: impl Fn(&Outcome) -> bool) -> impl Iterator<Item = &str> {
        let entries = self.entries.iter();
        entries.filter_map(move |entry| which(&entry.outcome).then_some(entry.name.as_str()))
    }

    fn summary(&self) -> String {
        format!(
            "{}: {} passed, {} failed, {} skipped, in {:.1} s",
            self.backend,
            self.passed().count(),
            self.failed().count(),
            self.skipped().count(),
            self.took.as_secs_f64()
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.entries.iter().map(|entry| entry.name.len()).max();
        let width = width.unwrap_or_default();
        for Entry {
            name,
            outcome,
            took,
        } in &self.entries
        {
            let took = took.as_millis();
            match outcome {
                Outcome::Passed => writeln!(f, "ok      {name:width$} {took:>6} ms")?,
                Outcome::Failed(why) => writeln!(f, "FAILED  {name:width$} {took:>6} ms  {why}")?,
                Outcome::Skipped(why) => writeln!(f, "skipped {name:width$} {took:>6} ms  {why}")?,
            }
        }
        f.write_str(&self.summary())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: &[Outcome]) -> Report {
        let entry = |outcome: &Outcome| Entry {
            name: "room::case".into(),
            outcome: outcome.clone(),
            took: Duration::from_millis(3),
        };
        Report {
            backend: "paper".into(),
            entries: outcomes.iter().map(entry).collect(),
            took: Duration::from_secs(1),
        }
    }

    #[test]
    fn the_table_has_a_line_a_case_and_a_summary() {
        let table = report(&[
            Outcome::Passed,
            Outcome::Failed("no value".into()),
            Outcome::Skipped("no hook".into()),
        ])
        .to_string();
        assert_eq!(
            table,
            "ok      room::case      3 ms\n\
             FAILED  room::case      3 ms  no value\n\
             skipped room::case      3 ms  no hook\n\
             paper: 1 passed, 1 failed, 1 skipped, in 1.0 s"
        );
    }

    #[test]
    fn a_skipped_case_is_no_failure() {
        report(&[Outcome::Passed, Outcome::Skipped("no hook".into())]).assert_ok();
    }

    #[test]
    #[should_panic(expected = "FAILED  room::case")]
    fn a_failure_shows_the_table() {
        report(&[Outcome::Passed, Outcome::Failed("no value".into())]).assert_ok();
    }

    #[test]
    #[should_panic(expected = "no case ran")]
    fn a_suite_that_ran_nothing_is_not_fine() {
        report(&[]).assert_ok();
    }
}
