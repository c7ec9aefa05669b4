//! Every flag that takes a time or a number, at 0, at 1, at a normal value and at its maximum: the command does its work,
//! or says in one line, which names the flag, what is wrong.

mod common;

use std::collections::BTreeSet;

use common::{on, run, server};

/// The greatest time that can be written.
const LONGEST: &str = "18446744073709551615s";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Works,
    /// Refused, with the flag's name.
    Refused,
    /// It would work, for longer than a test.
    Endless,
}

use Expected::{Endless, Refused, Works};

/// A flag of a command.
struct Row {
    command: &'static str,
    flag: &'static str,
    values: [&'static str; 4],
    expected: [Expected; 4],
}

const fn time(command: &'static str, flag: &'static str, expected: [Expected; 4]) -> Row {
    Row {
        command,
        flag,
        values: ["0s", "1ns", "1m", LONGEST],
        expected,
    }
}

const fn number(command: &'static str, flag: &'static str, expected: [Expected; 4]) -> Row {
    Row {
        command,
        flag,
        values: ["0", "1", "4", "4294967295"],
        expected,
    }
}

/// One row for each flag; `every_flag_has_a_row` finds those that are missing.
const ROWS: [Row; 17] = [
    time("run", "ttl", [Refused, Refused, Works, Works]),
    time("run", "lease", [Refused, Refused, Works, Works]),
    time("run", "wait", [Refused, Refused, Works, Works]),
    time("run", "compute-timeout", [Refused, Refused, Works, Works]),
    time("run", "max-lease", [Refused, Refused, Works, Works]),
    time("run", "timeout", [Refused, Refused, Works, Refused]),
    time("put", "timeout", [Refused, Refused, Works, Refused]),
    time("herd", "timeout", [Refused, Refused, Works, Refused]),
    time("put", "ttl", [Refused, Refused, Works, Works]),
    time("resolve", "ttl", [Refused, Refused, Works, Works]),
    time("herd", "compute", [Works, Works, Endless, Endless]),
    time("herd", "wait", [Refused, Refused, Works, Works]),
    time("herd", "lease", [Refused, Refused, Works, Works]),
    number("herd", "tasks", [Refused, Works, Works, Refused]),
    number("herd", "processes", [Refused, Works, Works, Refused]),
    number("herd", "keys", [Refused, Works, Works, Refused]),
    number("herd", "repeat", [Refused, Works, Works, Refused]),
];

#[test]
fn every_flag_has_a_row() {
    let rows: BTreeSet<&str> = ROWS.iter().map(|row| row.flag).collect();
    let flags = flags(include_str!("../src/cli.rs"));
    assert!(
        flags.contains("ttl") && flags.contains("tasks"),
        "{flags:?}"
    );
    let flags: BTreeSet<&str> = flags.iter().map(String::as_str).collect();
    let missing: Vec<_> = flags.difference(&rows).collect();
    assert!(
        missing.is_empty(),
        "no row for {missing:?}: add one to ROWS in crates/memolock-cli/tests/limits.rs for each command that has the \
         flag, such as time(\"run\", \"ttl\", [Refused, Refused, Works, Works]); the verdicts are for 0, 1 ns or 1, a \
         normal value, and the maximum"
    );
    let gone: Vec<_> = rows.difference(&flags).collect();
    assert!(gone.is_empty(), "rows of flags that are no more: {gone:?}");
}

/// The fields of times and numbers, as rustfmt lays them out: one a line.
fn flags(source: &str) -> BTreeSet<String> {
    let fields = source.lines().filter_map(|line| {
        let (name, kind) = line.trim().strip_prefix("pub(crate) ")?.split_once(": ")?;
        let types = ["Duration", "u8", "u16", "u32", "u64", "usize", "f64"];
        let kind = kind.trim_end_matches(',');
        let kind = kind.strip_prefix("Option<").unwrap_or(kind);
        types
            .contains(&kind.trim_end_matches('>'))
            .then(|| name.replace('_', "-"))
    });
    fields.collect()
}

#[tokio::test]
async fn every_flag_works_at_its_limits_or_is_refused_by_its_name() {
    let server = server().await;
    let mut wrong = Vec::new();
    for (nth, row) in ROWS.iter().enumerate() {
        for (value, expected) in row.values.iter().zip(row.expected) {
            if expected == Endless {
                continue;
            }
            let id = format!("{nth}-{value}");
            let flag = format!("--{}", row.flag);
            let mut args = vec![row.command, "--id", &id, &flag, value];
            match row.command {
                "run" => args.extend(["--", "echo", "hi"]),
                "herd" if row.flag != "tasks" => args.extend(["--tasks", "20"]),
                "herd" => {}
                _ => args.push("value"),
            }
            if row.command == "herd" && row.flag != "compute" {
                args.extend(["--compute", "1ms"]);
            }
            let ended = run(on(&server, &args)).await;
            // What stores a value prints nothing.
            let silent = matches!(row.command, "put" | "resolve");
            let fine = match expected {
                Works => ended.code == Some(0) && (silent || !ended.stdout.is_empty()),
                _ => {
                    let line = ended.stderr.trim_end();
                    let refused = matches!(ended.code, Some(1 | 2)) && ended.stdout.is_empty();
                    refused && line.lines().count() == 1 && line.contains(row.flag)
                }
            };
            if !fine || ended.stderr.contains("panicked") {
                wrong.push(format!("{args:?}: expected {expected:?}, and it {ended:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
