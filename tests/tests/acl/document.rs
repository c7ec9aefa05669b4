//! The document: its users, read out of it, so that it cannot rot.

use std::fmt;

const DOCUMENT: &str = include_str!("../../../docs/security.md");

/// The tag of the document's users.
const TAG: &str = "likes";

/// A user, as the document has it.
#[derive(Debug, Clone)]
pub(crate) struct User {
    words: Vec<String>,
}

/// Reads the user of a heading; what other headings add comes after it.
pub(crate) fn user(heading: &str) -> User {
    let title = format!("### {heading}\n");
    let (_, text) = DOCUMENT
        .split_once(&title)
        .unwrap_or_else(|| panic!("no heading {heading:?}"));
    let (_, text) = text.split_once("```text\n").expect("a block of text");
    let (block, _) = text.split_once("\n```").expect("its end");
    let mut words = block.split_whitespace();
    assert_eq!((words.next(), words.next()), (Some("ACL"), Some("SETUSER")));
    assert_eq!(words.next(), Some(TAG), "{heading}");
    let words = words.map(str::to_owned).collect();
    User { words }
}

/// What a row of a table adds, by the row's first cell.
pub(crate) fn extra(what: &str) -> Vec<String> {
    let start = format!("| {what} | ");
    let row = DOCUMENT.lines().find_map(|line| line.strip_prefix(&start));
    let row = row.unwrap_or_else(|| panic!("no row {what:?}"));
    let (cell, _) = row.split_once(" | ").expect("a cell");
    // In a table a bar is escaped.
    rights_in(&cell.replace(r"\|", "|"))
}

/// The rights without which all goes on.
pub(crate) fn soft() -> Vec<String> {
    let mut lines = DOCUMENT.lines();
    let line = lines.find_map(|line| line.strip_prefix("Soft: "));
    rights_in(line.expect("a line of soft rights"))
}

fn rights_in(text: &str) -> Vec<String> {
    let words = text.split_whitespace();
    let words = words.map(|word| word.trim_matches(['`', ':']));
    let rights = words.filter(|word| word.starts_with('+'));
    rights.map(str::to_owned).collect()
}

impl User {
    pub(crate) fn with(mut self, more: &[String]) -> Self {
        self.words.extend_from_slice(more);
        self
    }

    /// The rights alone: commands, patterns of keys and of channels.
    pub(crate) fn rights(&self) -> Vec<String> {
        let is_right = |word: &&String| word.starts_with(['+', '~', '&', '%']);
        self.words.iter().filter(is_right).cloned().collect()
    }

    pub(crate) fn without(&self, right: &str) -> Self {
        let words = self.words.iter().filter(|word| *word != right);
        Self {
            words: words.cloned().collect(),
        }
    }

    /// The command that makes this user, of that name and for that tag or pattern of tags.
    pub(crate) fn command(&self, name: &str, tag: &str) -> Vec<String> {
        let words = self.words.iter().map(|word| match word.chars().next() {
            Some('~' | '&' | '%') => word.replacen(TAG, tag, 1),
            _ => word.clone(),
        });
        let head = ["ACL", "SETUSER", name].map(str::to_owned);
        head.into_iter().chain(words).collect()
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" "))
    }
}
