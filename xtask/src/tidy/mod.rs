//! `cargo xtask tidy`: the rules of the house, as checks.

mod arrows;
mod lexer;
mod manifests;
mod purity;
mod scripts;
mod sources;
pub(crate) mod workspace;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::help::Usage;
use crate::run::{capture, program};
use workspace::Workspace;

pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(other) = args.first() {
        return Err(Usage::unknown("tidy", other));
    }
    let workspace = Workspace::load()?;
    let files = tracked(&workspace.root)?;
    let mut complaints = Vec::new();
    complaints.extend(sources::check(&files));
    complaints.extend(scripts::check(&files));
    complaints.extend(manifests::check(&workspace, &files));
    complaints.extend(arrows::check(&workspace));
    complaints.extend(purity::check()?);
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    match complaints.len() {
        0 => {
            eprintln!("tidy: {} files, nothing to complain about", files.len());
            Ok(())
        }
        1 => bail!("one complaint"),
        many => bail!("{many} complaints"),
    }
}

/// A tracked text file. `path` is relative to the workspace and uses `/`.
#[derive(Debug)]
struct Source {
    path: String,
    text: String,
}

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    path: String,
    line: usize,
    message: String,
}

impl Complaint {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

/// As compilers say it, so that editors jump there.
impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Every text file that is in the repository or is about to be.
fn tracked(root: &Path) -> Result<Vec<Source>> {
    let listed = [
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ];
    let names: Vec<String> = match capture(program("git", &listed).current_dir(root)) {
        Ok(names) => names.split('\0').map(str::to_owned).collect(),
        Err(error) => {
            eprintln!("tidy: reading the directory, since git lists no files: {error:#}");
            let mut names = Vec::new();
            walk(root, "", &mut names)?;
            names
        }
    };
    let mut files = Vec::new();
    for path in names.iter().filter(|name| !name.is_empty()) {
        // A file that was deleted and not yet committed is listed all the same.
        let Ok(bytes) = fs::read(root.join(path)) else {
            continue;
        };
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(Source {
                path: path.clone(),
                text,
            });
        }
    }
    files.first().context("there are no files to look at")?;
    Ok(files)
}

/// Every file below `dir`, for a source tree without its repository.
fn walk(root: &Path, dir: &str, names: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(root.join(dir)).with_context(|| format!("cannot read {dir}"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if dir.is_empty() {
            name.clone()
        } else {
            format!("{dir}/{name}")
        };
        match entry.file_type()? {
            kind if kind.is_dir() && (name == "target" || name == ".git") => {}
            kind if kind.is_dir() => walk(root, &path, names)?,
            _ => names.push(path),
        }
    }
    Ok(())
}
