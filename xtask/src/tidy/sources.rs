//! Rules for Rust files: headings, length, unwraps, unfinished work; and for all files, no paths of a machine.

use std::collections::BTreeMap;

use super::lexer::{code, test_lines};
use super::{Complaint, Source};

/// Where Rust files are held to the rules.
const PLACES: [&str; 4] = ["crates/", "tests/", "benches/", "xtask/"];

/// Longer files hold two nouns.
const MAX_LINES: usize = 400;

/// What is never committed. Split, so that this file does not complain about itself.
const UNFINISHED: [(&str, &str); 4] = [
    ("todo!", "finish it or leave it out"),
    ("unimplemented!", "finish it or return an error"),
    ("dbg!", "use tracing or an assertion's message"),
    (
        "#[ignore",
        "a test that does not run is no test: mend it or delete it",
    ),
];

/// Directories of one machine. Split, for the same reason.
const MACHINE_PATHS: [&str; 3] = [
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
];

/// A reason of fewer letters says nothing.
const SHORTEST_REASON: usize = 4;

pub(super) fn check(files: &[Source]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for file in files {
        complaints.extend(machine_paths(file));
        if is_ours(&file.path) {
            complaints.extend(heading(file));
            complaints.extend(length(file));
            let code = code(&file.text);
            complaints.extend(unfinished(&file.path, &code));
            complaints.extend(unwraps(file, &code));
        }
    }
    complaints.extend(repeated_headings(files));
    complaints
}

fn is_ours(path: &str) -> bool {
    path.ends_with(".rs") && PLACES.iter().any(|place| path.starts_with(place))
}

fn machine_paths(file: &Source) -> Vec<Complaint> {
    let lines = file.text.lines().zip(1..);
    let complain = |(line, number): (&str, usize)| {
        let found = MACHINE_PATHS.iter().find(|path| line.contains(**path))?;
        let message = format!("a path of one machine ({found}…): use a relative one");
        Some(Complaint::new(&file.path, number, message))
    };
    lines.filter_map(complain).collect()
}

fn heading(file: &Source) -> Option<Complaint> {
    let first = file.text.lines().next().unwrap_or_default();
    let said = first.strip_prefix("//!").map(str::trim).unwrap_or_default();
    let message = match said {
        "" => "the first line must be a `//!` that says what this file is",
        "placeholder" => "the heading is still a placeholder",
        _ => return None,
    };
    Some(Complaint::new(&file.path, 1, message))
}

/// Two files of one crate with the same heading: one of them is a copy, or the heading says nothing.
fn repeated_headings(files: &[Source]) -> Vec<Complaint> {
    let mut first_with = BTreeMap::new();
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| is_ours(&file.path)) {
        let heading = file.text.lines().next().unwrap_or_default();
        let home = file.path.split("/src/").next().unwrap_or_default();
        if !heading.starts_with("//!") {
            continue;
        }
        if let Some(other) = first_with.insert((home, heading), &file.path) {
            let message = format!("the same heading as {other}: say what is different");
            complaints.push(Complaint::new(&file.path, 1, message));
        }
    }
    complaints
}

fn length(file: &Source) -> Option<Complaint> {
    let lines = file.text.lines().count();
    (lines > MAX_LINES).then(|| {
        let message = format!("{lines} lines, at most {MAX_LINES}: split it by noun");
        Complaint::new(&file.path, MAX_LINES + 1, message)
    })
}

fn unfinished(path: &str, code: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (line, number) in code.lines().zip(1..) {
        for (word, advice) in UNFINISHED {
            let begins =
                |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if line.match_indices(word).any(|(at, _)| begins(at)) {
                complaints.push(Complaint::new(path, number, format!("`{word}`: {advice}")));
            }
        }
    }
    complaints
}

/// In libraries and binaries, outside of tests.
fn unwraps(file: &Source, code: &str) -> Vec<Complaint> {
    let is_test = |part| part == "tests" || part == "tests.rs" || part == "benches";
    if !file.path.contains("/src/") || file.path.split('/').any(is_test) {
        return Vec::new();
    }
    let tests = test_lines(code);
    let original: Vec<&str> = file.text.lines().collect();
    let mut complaints = Vec::new();
    for (line, number) in code.lines().zip(1..) {
        if tests.iter().any(|range| range.contains(&number)) {
            continue;
        }
        let explained = || {
            let before = number.checked_sub(2).and_then(|index| original.get(index));
            let lines = original.get(number - 1).into_iter().chain(before);
            lines.copied().any(is_invariant)
        };
        if (line.contains(".unwrap()") || line.contains(".unwrap_err()")) && !explained() {
            let message =
                "an unwrap without a reason: return an error, or `.expect(\"the invariant\")`";
            complaints.push(Complaint::new(&file.path, number, message));
        }
        for (at, word) in line.match_indices(".expect(") {
            // Blanking keeps characters, not bytes, in place.
            let column = line[..at + word.len()].chars().count();
            if !has_reason(&original, number - 1, column) && !explained() {
                let message =
                    "`.expect` must be given the invariant that makes it right, as a literal";
                complaints.push(Complaint::new(&file.path, number, message));
            }
        }
    }
    complaints
}

/// `// invariant: …`, with something after the colon.
fn is_invariant(line: &str) -> bool {
    let said = line
        .split_once("// invariant:")
        .map(|(_, said)| said.trim());
    said.is_some_and(|said| said.len() >= SHORTEST_REASON)
}

/// Whether a string literal with something in it begins at this place, or on the next line.
fn has_reason(lines: &[&str], index: usize, column: usize) -> bool {
    let rest: String = lines[index].chars().skip(column).collect();
    let next = lines.get(index + 1).copied().unwrap_or_default();
    let argument = if rest.trim().is_empty() { next } else { &rest };
    let literal = argument.trim_start().strip_prefix('"');
    literal
        .and_then(|literal| literal.split('"').next())
        .is_some_and(|reason| reason.trim().len() >= SHORTEST_REASON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        let file = Source {
            path: path.into(),
            text: text.into(),
        };
        check(&[file]).iter().map(ToString::to_string).collect()
    }

    fn one(path: &str, text: &str) -> String {
        let mut all = complaints(path, text);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    const LIB: &str = "crates/x/src/lib.rs";

    #[test]
    fn a_good_file_is_left_alone() {
        let text = "//! A noun.\n// todo!() in a comment\nfn f() { g(\"dbg!\"); }\n\
                    #[cfg(test)]\nmod tests {\n  fn t() { x.unwrap(); }\n}\n";
        assert_eq!(complaints(LIB, text), [""; 0]);
        assert_eq!(
            complaints("crates/x/tests/it.rs", "//! T.\nfn f() { x.unwrap() }"),
            [""; 0]
        );
        assert_eq!(
            complaints("crates/x/src/a/tests.rs", "//! T.\nfn f() { x.unwrap() }"),
            [""; 0]
        );
        assert_eq!(
            complaints("crates/x/README.md", "x.unwrap() todo!()"),
            [""; 0]
        );
    }

    #[test]
    fn a_heading_is_wanted() {
        for text in [
            "fn f() {}\n",
            "",
            "// A noun.\n",
            "//!\n",
            "//! placeholder\n",
        ] {
            assert!(
                one(LIB, text).starts_with("crates/x/src/lib.rs:1: "),
                "{text}"
            );
        }
    }

    #[test]
    fn headings_differ_within_a_crate() {
        let file = |path: &str| Source {
            path: path.into(),
            text: "//! Errors.\n".into(),
        };
        let same = [
            file("crates/x/src/a.rs"),
            file("crates/x/src/b.rs"),
            file("crates/y/src/a.rs"),
        ];
        let found = check(&same);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0]
                .to_string()
                .starts_with("crates/x/src/b.rs:1: the same heading as crates/x/src/a.rs")
        );
    }

    #[test]
    fn long_files_are_split() {
        let text = |lines: usize| format!("//! A noun.\n{}", "\n".repeat(lines - 1));
        assert_eq!(complaints(LIB, &text(MAX_LINES)), [""; 0]);
        assert_eq!(
            one(LIB, &text(MAX_LINES + 1)),
            "crates/x/src/lib.rs:401: 401 lines, at most 400: split it by noun"
        );
    }

    #[test]
    fn unfinished_work_is_named_by_line() {
        for (word, _) in UNFINISHED {
            let found = one("tests/src/lib.rs", &format!("//! T.\n\n  {word}"));
            assert!(
                found.starts_with(&format!("tests/src/lib.rs:3: `{word}`")),
                "{found}"
            );
        }
        assert_eq!(complaints(LIB, "//! A.\nmy_todo!();"), [""; 0]);
    }

    #[test]
    fn an_unwrap_needs_its_invariant() {
        assert!(
            one(LIB, "//! A.\nlet a = b.unwrap();").starts_with("crates/x/src/lib.rs:2: an unwrap")
        );
        assert!(one(LIB, "//! A.\n#[cfg(test)]\nmod tests;\nlet a = b.unwrap();").contains(":4: "));
        for fine in [
            "// invariant: just inserted\nb.unwrap();",
            "b.unwrap(); // invariant: just inserted",
            "b.expect(\"just inserted\");",
            "b.expect(\n    \"just inserted\",\n);",
            "b.unwrap_or_default();",
        ] {
            assert_eq!(
                complaints(LIB, &format!("//! A.\n{fine}")),
                [""; 0],
                "{fine}"
            );
        }
        for bad in [
            "b.expect(\"\");",
            "b.expect(\"   \");",
            "b.expect(message);",
            "// invariant:\nb.unwrap();",
        ] {
            one(LIB, &format!("//! A.\n{bad}"));
        }
        assert_eq!(
            complaints(LIB, "//! A.\nlet ü = \"ü\"; b.expect(\"just inserted\");"),
            [""; 0]
        );
    }

    #[test]
    fn paths_of_a_machine_are_found_in_any_file() {
        for path in MACHINE_PATHS {
            let found = one("docs/x.md", &format!("fine\nsee {path}x\n"));
            assert!(
                found.starts_with("docs/x.md:2: a path of one machine"),
                "{found}"
            );
        }
        assert_eq!(
            complaints("docs/x.md", "https://x.example/network/"),
            [""; 0]
        );
    }
}
