//! `cargo xtask mutants`: plants one fault at a time in a copy of the tree, and sees who finds it: the
//! simulation, else the seeds that once broke a promise, else the exhaustive model. Prints the table.

mod faults;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{capture, cargo, program};
use crate::simulate::SIMULATE;
use faults::Fault;

/// The same seeds for every fault: from the first one to the last.
const SEARCH: [&str; 9] = [
    "--from",
    "1",
    "--schedules",
    "50000",
    "--seconds",
    "600",
    "--threads",
    "1",
    "--first",
];

/// Who found a fault.
struct Finder {
    who: String,
    after: String,
}

/// `args` are parts of faults' names; none mean all of them.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let wanted = |fault: &&Fault| args.is_empty() || args.iter().any(|a| fault.name.contains(a));
    let faults: Vec<_> = faults::all().filter(wanted).collect();
    if faults.is_empty() {
        bail!("no fault has such a name");
    }
    let root =
        PathBuf::from(capture(&mut program("git", &["rev-parse", "--show-toplevel"]))?.trim());
    let copy = root.join("target/mutants");
    copy_tree(&root, &copy)?;
    // The simulation first: it is built sooner.
    let mut rows = Vec::new();
    let rest = round(&root, &copy, &faults, by_simulation, &mut rows)?;
    let rest = round(&root, &copy, &rest, by_corpus, &mut rows)?;
    let rest = round(&root, &copy, &rest, by_model, &mut rows)?;
    println!("{}", report(faults.len(), &rows));
    if rest.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = rest.iter().map(|fault| fault.name).collect();
    bail!("not found: {}", names.join(", "))
}

/// The verdict in the first line, then a row for each fault that was found.
fn report(planted: usize, rows: &[String]) -> String {
    let head = "| fault | where | found by | after |\n|---|---|---|---|";
    format!(
        "{} of {planted} planted faults found\n\n{head}\n{}",
        rows.len(),
        rows.join("\n")
    )
}

/// Plants each fault, and writes a row if it is found; returns those that are not.
fn round<'a>(
    root: &Path,
    copy: &Path,
    faults: &[&'a Fault],
    find: fn(&Path, &Path) -> Result<Option<Finder>>,
    rows: &mut Vec<String>,
) -> Result<Vec<&'a Fault>> {
    let mut survivors = Vec::new();
    for fault in faults {
        let path = copy.join(fault.file);
        let sound = fs::read_to_string(&path)?;
        if sound.matches(fault.find).count() != 1 {
            bail!("`{}` has not its place in {}", fault.name, fault.file);
        }
        fs::write(&path, sound.replace(fault.find, fault.replace))?;
        let found = find(root, copy);
        fs::write(&path, sound)?;
        let Some(Finder { who, after }) = found? else {
            survivors.push(*fault);
            continue;
        };
        let name = fault.file.rsplit('/').next().unwrap_or(fault.file);
        let row = format!("| {} | `{name}` | {who} | {after} |", fault.name);
        // A run takes minutes: show how far it is.
        eprintln!("{row}");
        rows.push(row);
    }
    Ok(survivors)
}

/// Copies what git knows, and what it might know.
fn copy_tree(root: &Path, copy: &Path) -> Result<()> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let files = capture(program("git", &list).current_dir(root))?;
    for file in files.lines() {
        let (from, to) = (root.join(file), copy.join(file));
        let Ok(text) = fs::read(&from) else {
            continue;
        };
        // What is the same keeps its date, and is not built again.
        if fs::read(&to).is_ok_and(|old| old == text) {
            continue;
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&to, text).with_context(|| format!("cannot copy {file}"))?;
    }
    Ok(())
}

fn by_simulation(root: &Path, copy: &Path) -> Result<Option<Finder>> {
    let profile = ["--quiet", "--profile", "sim", "--package", "memolock-sim"];
    let mut build = cargo_in(root, copy, &["build"]);
    capture(build.args(profile)).context("the fault does not build")?;
    let output = cargo_in(root, copy, &SIMULATE).args(SEARCH).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok((!output.status.success()).then(|| of_simulation(&text)))
}

/// For a fault that shows once in some hundred thousand schedules: the seed that found it is in the corpus.
fn by_corpus(root: &Path, copy: &Path) -> Result<Option<Finder>> {
    let output = cargo_in(root, copy, &SIMULATE).arg("--corpus").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok((!output.status.success()).then(|| of_corpus(&text)))
}

fn by_model(root: &Path, copy: &Path) -> Result<Option<Finder>> {
    let model = ["--quiet", "--package", "memolock-tests", "--bin", "model"];
    let mut build = cargo_in(root, copy, &["build"]);
    capture(build.args(model)).context("the fault does not build")?;
    let output = cargo_in(root, copy, &["run"]).args(model).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok((!output.status.success()).then(|| of_model(&text)))
}

/// In a target directory of its own: cargo takes a copy's crates for the tree's. It stays for the next time.
fn cargo_in(root: &Path, copy: &Path, args: &[&str]) -> Command {
    let mut command = cargo(args);
    command
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", root.join("target/mutants-target"));
    command
}

fn of_simulation(text: &str) -> Finder {
    let seed = text.lines().find_map(|line| line.strip_prefix("seed "));
    let seed = seed.and_then(|line| line.split(':').next());
    let sentence = text.lines().find(|line| line.starts_with("  "));
    Finder {
        who: format!("simulation: {}", sentence.unwrap_or("it ended").trim()),
        // The first seed is 1.
        after: format!("{} schedules", seed.unwrap_or("?")),
    }
}

fn of_corpus(text: &str) -> Finder {
    let broken = text.lines().filter(|line| !line.ends_with(" was kept"));
    let mut broken = broken.filter_map(|line| line.strip_prefix("seed "));
    let line = broken.next_back().and_then(|line| line.split_once(": "));
    let (seed, sentence) = line.unwrap_or(("?", "it ended"));
    Finder {
        who: format!("simulation: {sentence}"),
        after: format!("seed {seed} of the corpus"),
    }
}

fn of_model(text: &str) -> Finder {
    let line = text.lines().find(|line| line.contains(" broken: "));
    let mut rows = text.lines().zip(text.lines().skip(1));
    let states = rows.find(|(_, next)| next.contains(" broken: "));
    let states = states.and_then(|(row, _)| row.split_whitespace().rev().nth(4));
    Finder {
        who: format!("model: {}", line.unwrap_or("it ended").trim()),
        after: format!("{} states", states.unwrap_or("?")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_begins_with_its_verdict() {
        let rows = vec!["| a fault | `a.rs` | the model | 3 states |".to_owned()];
        let report = report(2, &rows);
        assert!(
            report.starts_with("1 of 2 planted faults found\n"),
            "{report}"
        );
        assert!(report.ends_with(&rows[0]), "{report}");
    }
}
