//! The short examples, on the embedded backend.

use std::process::Command;

use crate::built::example;

/// What an example prints; it must end well.
fn printed(name: &str) -> String {
    let output = Command::new(example(name)).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {complaints}");
    String::from_utf8(output.stdout).unwrap()
}

fn says(text: &str, what: &str, times: usize) {
    let found = text.matches(what).count();
    assert_eq!(found, times, "`{what}` in:\n{text}");
}

#[test]
fn typed() {
    let text = printed("typed");
    says(&text, "the database is asked for kristoff", 1);
    says(&text, "counted 42000 likes", 1);
    says(&text, "after invalidating: None", 1);
}

#[test]
fn adapter() {
    let text = printed("adapter");
    says(&text, "over memory", 1);
    says(&text, "42 likes (Computed)", 1);
    says(&text, "42 likes (Hit)", 1);
}

#[test]
fn external() {
    let text = printed("external");
    says(&text, "the job is started", 1);
    says(
        &text,
        "both have it: \"a page of figures\" and \"a page of figures\"",
        1,
    );
    says(&text, "no value for reports:q4 within 100ms", 1);
}

#[test]
fn backend() {
    let text = printed("backend");
    says(&text, "fulfil likes:kristoff: Ok(Stored)", 1);
    says(&text, "=> 42", 2);
    says(&text, "release likes:kristoff: Some(Failed(", 1);
}

#[test]
fn detach() {
    let text = printed("detach");
    says(&text, "the caller has left: true", 2);
    // The plain one was begun and never finished.
    says(&text, "rendering\n", 2);
    says(&text, "rendered\n", 1);
    says(&text, "kept: a page (Awaited)", 1);
    says(&text, "plain is stored: false", 1);
}

#[test]
fn close() {
    let text = printed("close");
    says(&text, "flights: 1", 1);
    says(&text, "flights: 0, leases: 0, tasks: 0", 1);
    says(&text, "closed", 2);
    says(&text, "another one computes: 7", 1);
}
