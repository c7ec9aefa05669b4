//! Rules for the Lua: it stands in the core alone, and the protocol's document shows it word for word.

use super::{Complaint, Source};

const HOME: &str = "crates/memolock-core/src/lua/";
const CORE: &str = "crates/memolock-core/";
const CATALOGUE: &str = "crates/memolock-core/src/scripts.rs";
const DOCUMENT: &str = "docs/protocol.md";

/// What only a script says. Split, so that this file does not complain about itself.
const CALLS: [&str; 2] = [concat!("redis.", "call("), concat!("redis.", "pcall(")];

pub(super) fn check(files: &[Source]) -> Vec<Complaint> {
    let text = |path: &str| {
        files
            .iter()
            .find(|file| file.path == path)
            .map(|file| file.text.as_str())
    };
    let document = text(DOCUMENT).unwrap_or_default();
    let catalogue = text(CATALOGUE).unwrap_or_default();
    let mut complaints = Vec::new();
    for file in files {
        match file.path.strip_prefix(HOME) {
            Some(name) => {
                if !document.contains(&format!("```lua\n{}\n```", file.text.trim_end())) {
                    let message = format!("{DOCUMENT} does not show this script word for word");
                    complaints.push(Complaint::new(&file.path, 1, message));
                }
                if !catalogue.contains(&format!("lua/{name}")) {
                    let message = format!("{CATALOGUE} does not include this script");
                    complaints.push(Complaint::new(&file.path, 1, message));
                }
            }
            None => complaints.extend(strays(file)),
        }
    }
    complaints
}

/// Where rivals are, which release their locks by scripts of theirs.
const RIVALS: &str = "benches/";

/// Lua outside its home. Tests and rivals may send scripts of their own.
fn strays(file: &Source) -> Vec<Complaint> {
    if file.path.ends_with(".lua") {
        let message = format!("Lua belongs in {HOME}, where every adapter finds it");
        return vec![Complaint::new(&file.path, 1, message)];
    }
    let is_test = |part| part == "tests" || part == "tests.rs";
    if !file.path.ends_with(".rs")
        || file.path.starts_with(CORE)
        || file.path.starts_with(RIVALS)
        || file.path.split('/').any(is_test)
    {
        return Vec::new();
    }
    let lines = file.text.lines().zip(1..);
    let found = lines.filter(|(line, _)| CALLS.iter().any(|call| line.contains(call)));
    let message = format!("a script of its own: adapters send those of {CORE}");
    found
        .map(|(_, number)| Complaint::new(&file.path, number, &message))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> Source {
        Source {
            path: path.into(),
            text: text.into(),
        }
    }

    fn said(files: &[Source]) -> Vec<String> {
        check(files).iter().map(ToString::to_string).collect()
    }

    fn good() -> Vec<Source> {
        vec![
            file("crates/memolock-core/src/lua/put.lua", "return 1\n"),
            file(CATALOGUE, "include_str!(\"lua/put.lua\")"),
            file(DOCUMENT, "text\n```lua\nreturn 1\n```\n"),
        ]
    }

    #[test]
    fn a_script_that_is_shown_and_included_is_fine() {
        assert_eq!(said(&good()), [""; 0]);
    }

    #[test]
    fn the_document_may_not_drift() {
        let mut files = good();
        files[0].text = "return 2\n".into();
        assert_eq!(
            said(&files),
            [
                "crates/memolock-core/src/lua/put.lua:1: docs/protocol.md does not show this script word for word"
            ]
        );
        files.truncate(1);
        assert_eq!(said(&files).len(), 2);
    }

    #[test]
    fn scripts_elsewhere_are_named_by_line() {
        let mut files = good();
        files.push(file("crates/memolock-fred/src/get.lua", ""));
        files.push(file(
            "crates/memolock-fred/src/lib.rs",
            &format!("//! A.\n\"{}'GET')\"", CALLS[0]),
        ));
        files.push(file("crates/memolock-fred/tests/it.rs", CALLS[1]));
        files.push(file("benches/src/rival.rs", CALLS[0]));
        let said = said(&files);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("crates/memolock-fred/src/get.lua:1: "));
        assert!(said[1].starts_with("crates/memolock-fred/src/lib.rs:2: "));
    }
}
