//! What the sources declare: public functions that take numbers or durations and give back what they are of.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Crates without settings of users: what they have is inside adapters and reached by their builders, is for
/// tests, or is the command line, whose flags have a table of their own (memolock-cli, `tests/limits.rs`).
const NOT_CRATES: [&str; 4] = [
    "memolock-core",
    "memolock-redis-common",
    "memolock-testkit",
    "memolock-cli",
];

/// Functions that look like a setting and are none: each with the reason behind it.
const NOT_SETTINGS: [&str; 1] = [
    // Hidden, for the simulation: which values go the way of large ones. Every number works.
    "Builder::large_bytes",
];

/// Types of numbers and durations.
const TYPES: [&str; 16] = [
    "Duration", "NonZero", "usize", "isize", "u8", "u16", "u32", "u64", "u128", "i8", "i16", "i32",
    "i64", "i128", "f32", "f64",
];

/// `Type::function` of each setting.
pub(crate) fn settings() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(crates).expect("the crates are there") {
        let path = entry.expect("a crate").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if !NOT_CRATES.contains(&&*name) {
            walk(&path.join("src"), &mut found);
        }
    }
    found.retain(|setting| !NOT_SETTINGS.contains(&setting.as_str()));
    found
}

fn walk(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            declared(&text, found);
        }
    }
}

/// Reads one file: rustfmt has laid it out, so an `impl` begins its line, and what follows up to a brace is a signature.
fn declared(text: &str, found: &mut BTreeSet<String>) {
    let mut of = String::new();
    let lines: Vec<&str> = text.lines().collect();
    for (nth, line) in lines.iter().enumerate() {
        if line.starts_with("impl") {
            of = subject(line);
        }
        let line = line.trim_start();
        if !line.starts_with("pub fn ") && !line.starts_with("pub const fn ") {
            continue;
        }
        let signature = lines[nth..].iter().flat_map(|line| [line.trim(), " "]);
        let signature: String = signature.collect();
        let signature = signature.split('{').next().unwrap_or_default();
        if let Some(name) = setting(signature) {
            found.insert(format!("{of}::{name}"));
        }
    }
}

/// The type that an `impl` is of: `Builder` of `impl<T, C> Builder<T, C> {`.
fn subject(line: &str) -> String {
    let mut depth = 0_u32;
    let outer: String = line
        .chars()
        .filter(|c| {
            match c {
                '<' => depth += 1,
                '>' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect();
    let words = outer.trim_start_matches("impl");
    let of = words.rsplit(" for ").next().unwrap_or_default();
    let of = of.trim().trim_end_matches('{').trim();
    of.split(' ').next().unwrap_or_default().to_owned()
}

/// The function's name, if it takes a number or a duration and gives back `Self`.
fn setting(signature: &str) -> Option<&str> {
    let (head, result) = signature.rsplit_once("->")?;
    let result = result.trim();
    let itself = result.starts_with("Self") || result.starts_with("Result<Self");
    let name = head.split("fn ").nth(1)?.split(['(', '<']).next()?;
    let parameters = head.split_once('(')?.1;
    let words = parameters.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let counts = words.clone().any(|word| TYPES.contains(&word));
    // A builder is moved in and out, so one that is borrowed is none.
    let borrowed = parameters.starts_with("&self") || parameters.starts_with("&mut self");
    (itself && counts && !borrowed).then_some(name)
}
