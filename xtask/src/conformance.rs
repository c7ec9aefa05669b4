//! `cargo xtask conformance`: the suite over every backend of the workspace, as one table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::help::Usage;
use crate::languages::Effort;
use crate::run::{cargo, run as run_command};
use crate::tidy::workspace::{Package, Workspace};
use crate::{postgres, test};

/// The name that a crate gives to its run of the suite.
const TEST: &str = "conformance";

/// The testkit keeps reports there.
const REPORTS: &str = "MEMOLOCK_TEST_REPORTS";

pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(other) = args.first() {
        return Err(Usage::unknown(TEST, other));
    }
    test::prepare()?;
    postgres::prepare_if_possible(Effort::Whole);
    let workspace = Workspace::load()?;
    let kept = workspace.target.join(TEST);
    match fs::remove_dir_all(&kept) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot empty {}", kept.display()));
        }
        _ => {}
    }
    // An adapter that can be had in two ways has two such tests.
    let tests = format!("{TEST}*");
    let mut command = cargo(&["test", "--all-features", "--no-fail-fast", "--test", &tests]);
    for package in workspace
        .packages
        .iter()
        .filter(|p| takes_part(p, &workspace))
    {
        command.args(["-p", &package.name]);
    }
    let tests = run_command(command.env(REPORTS, &kept));
    let overview = Overview::read(&kept)?;
    println!("\n{}", overview.table());
    tests
}

fn takes_part(package: &Package, workspace: &Workspace) -> bool {
    let tests = workspace.root.join(&package.dir).join("tests");
    tests.join(format!("{TEST}.rs")).is_file() || tests.join(TEST).join("main.rs").is_file()
}

/// Every report of a run.
#[derive(Default)]
struct Overview {
    /// By backend, then by how it was wrapped.
    runs: BTreeMap<String, BTreeMap<String, Rooms>>,
    /// In the order of the suite.
    rooms: Vec<String>,
    /// Whose, and the line of each.
    failures: Vec<String>,
}

/// By room, then by case: how it ended. A backend may be run twice: a case that failed once has failed, and one that
/// passed once is not skipped, though another store of the same kind could not be treated so.
type Rooms = BTreeMap<String, BTreeMap<String, End>>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Skipped,
    Passed,
    Failed,
}

impl Overview {
    fn read(kept: &Path) -> Result<Self> {
        let mut overview = Self::default();
        let nothing = || format!("no report was kept in {}", kept.display());
        for file in fs::read_dir(kept).with_context(nothing)? {
            let path = file?.path();
            let report = fs::read_to_string(&path)?;
            let odd = || format!("{} is no report of the suite", path.display());
            overview.add(&report).with_context(odd)?;
        }
        if overview.runs.is_empty() {
            bail!(nothing());
        }
        Ok(overview)
    }

    /// Reads a report as it is shown: a line a case, and a summary that begins `BACKEND, WRAPPING:`.
    fn add(&mut self, report: &str) -> Result<()> {
        let mut lines: Vec<&str> = report.lines().collect();
        let summary = lines.pop().context("it is empty")?;
        let (whose, _) = summary.split_once(": ").context("it has no summary")?;
        let (backend, wrapping) = whose.rsplit_once(", ").context("it says not whose it is")?;
        let run = self.runs.entry(backend.into()).or_default();
        let rooms = run.entry(wrapping.into()).or_default();
        for line in lines {
            let mut words = line.split_whitespace();
            let (verdict, case) = (words.next(), words.next());
            // A reason of several lines goes on below its case.
            let Some((room, case)) = case.and_then(|case| case.split_once("::")) else {
                continue;
            };
            let end = match verdict {
                Some("ok") => End::Passed,
                Some("skipped") => End::Skipped,
                _ => {
                    self.failures.push(format!("{whose}: {line}"));
                    End::Failed
                }
            };
            let known = rooms.entry(room.into()).or_default();
            let known = known.entry(case.into()).or_insert(end);
            *known = end.max(*known);
            if !self.rooms.iter().any(|known| known == room) {
                self.rooms.push(room.into());
            }
        }
        Ok(())
    }

    fn table(&self) -> String {
        let mut rows = vec![self.row("", |backend, _| backend.to_owned())];
        for room in &self.rooms {
            rows.push(self.row(room, |_, runs| {
                // The bare run has every room; wrappers may leave some out.
                let bare = runs.get("bare").or_else(|| runs.values().next());
                Tally::of(bare.and_then(|rooms| rooms.get(room))).cell()
            }));
        }
        rows.push(self.row("", |_, _| String::new()));
        let wrappings = self.runs.values().flat_map(BTreeMap::keys);
        for wrapping in wrappings.collect::<BTreeSet<_>>() {
            rows.push(self.row(wrapping, |_, runs| {
                let rooms = runs.get(wrapping).map(BTreeMap::values);
                Tally::of(rooms.into_iter().flatten()).cell()
            }));
        }
        let mut text = aligned(&rows);
        if self.failures.is_empty() {
            text.push_str("\nno case failed\n");
        }
        for failure in &self.failures {
            let _ = writeln!(text, "\n{failure}");
        }
        text
    }

    fn row(
        &self,
        head: &str,
        cell: impl Fn(&str, &BTreeMap<String, Rooms>) -> String,
    ) -> Vec<String> {
        let cells = self.runs.iter().map(|(backend, runs)| cell(backend, runs));
        std::iter::once(head.to_owned()).chain(cells).collect()
    }
}

#[derive(Default)]
struct Tally {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Tally {
    fn of<'a>(rooms: impl IntoIterator<Item = &'a BTreeMap<String, End>>) -> Self {
        let mut tally = Self::default();
        for end in rooms.into_iter().flat_map(BTreeMap::values) {
            match end {
                End::Passed => tally.passed += 1,
                End::Skipped => tally.skipped += 1,
                End::Failed => tally.failed += 1,
            }
        }
        tally
    }

    /// What went well, unless there is more to say.
    fn cell(self) -> String {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        match (passed, failed, skipped) {
            (0, 0, 0) => "-".into(),
            (_, 0, 0) => format!("{passed}"),
            (0, 0, _) => format!("{skipped} skipped"),
            (_, 0, _) => format!("{passed}, {skipped} skipped"),
            _ => format!("{passed}, {failed} FAILED"),
        }
    }
}

/// Columns as wide as their widest cell.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_become_one_table() {
        let mut overview = Overview::default();
        overview
            .add("ok      value::a   3 ms\nskipped gaps::b    0 ms  no line\npaper, bare: 1 passed, 0 failed")
            .unwrap();
        overview
            .add("ok      value::a   3 ms\npaper, boxed: 1 passed")
            .unwrap();
        overview
            .add("ok      value::a   3 ms\nFAILED  value::c   9 ms  no: value\nstone, x, bare: 1 passed")
            .unwrap();
        assert_eq!(
            overview.table(),
            "       paper         stone, x\n\
             value  1             1, 1 FAILED\n\
             gaps   1 skipped     -\n\
             \n\
             bare   1, 1 skipped  1, 1 FAILED\n\
             boxed  1             -\n\
             \n\
             stone, x, bare: FAILED  value::c   9 ms  no: value\n"
        );
    }

    #[test]
    fn what_was_skipped_on_one_store_counts_where_it_ran_on_another() {
        let mut overview = Overview::default();
        for verdict in ["skipped", "ok", "skipped"] {
            overview
                .add(&format!("{verdict} gaps::b    0 ms\npaper, bare: so many"))
                .unwrap();
        }
        let table = overview.table();
        assert!(table.contains("gaps  1\n"), "{table}");
    }

    #[test]
    fn what_is_no_report_is_refused() {
        assert!(Overview::default().add("").is_err());
        assert!(Overview::default().add("half a li").is_err());
    }
}
