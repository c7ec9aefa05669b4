//! What came of a run: a table for people, and an assertion for tests.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fmt, fs, io, process};

use super::Wrapping;

/// Where reports are kept as well, if it is set: a directory.
const DIRECTORY: &str = "MEMOLOCK_TEST_REPORTS";

/// How each case of a run ended, in the order of the suite. Its `Display` is a table.
#[derive(Debug, Clone)]
pub struct Report {
    pub(crate) backend: String,
    pub(crate) wrapping: Wrapping,
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
    /// Where `MEMOLOCK_TEST_REPORTS` names a directory, the table is kept in a file there, whichever way
    /// it went: several runs together make one overview (`cargo xtask conformance` does, in the workspace
    /// of memolock).
    ///
    /// # Panics
    /// With the table, if a case failed, if none ran at all, or if the directory cannot be written to.
    #[track_caller]
    pub fn assert_ok(&self) {
        if let Some(directory) = env::var_os(DIRECTORY).filter(|name| !name.is_empty()) {
            let kept = self.keep(directory.as_ref());
            assert!(kept.is_ok(), "cannot keep the report: {kept:?}");
        }
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

    /// A file of its own, whatever runs beside.
    fn keep(&self, directory: &Path) -> io::Result<()> {
        static KEPT: AtomicU32 = AtomicU32::new(0);
        let count = KEPT.fetch_add(1, Ordering::Relaxed);
        fs::create_dir_all(directory)?;
        let file = format!("{}-{count}.txt", process::id());
        fs::write(directory.join(file), format!("{self}\n"))
    }

    fn summary(&self) -> String {
        format!(
            "{}, {}: {} passed, {} failed, {} skipped, in {:.1} s",
            self.backend,
            self.wrapping,
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
            wrapping: Wrapping::InArc,
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
             paper, in an Arc: 1 passed, 1 failed, 1 skipped, in 1.0 s"
        );
    }

    #[test]
    fn a_report_is_kept_as_it_is_shown() {
        let directory = tempfile::tempdir().unwrap();
        let report = report(&[Outcome::Passed]);
        report.keep(&directory.path().join("new")).unwrap();
        report.keep(&directory.path().join("new")).unwrap();
        let files = fs::read_dir(directory.path().join("new")).unwrap();
        let kept: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        assert_eq!(kept.len(), 2);
        for file in kept {
            assert_eq!(fs::read_to_string(file).unwrap(), format!("{report}\n"));
        }
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
