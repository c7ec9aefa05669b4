//! A short soak, so that the long one cannot rot; and one with a misbehaviour, which must be found.

#![cfg(target_os = "linux")]

use std::process::{Command, Output};

/// `soak` of some seconds. What depends on the speed of the machine is its report's affair, not ours.
fn soak(args: &[&str]) -> (Output, serde_json::Value) {
    let json = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let json = json.join(format!("soak-{}-{}.json", std::process::id(), args.len()));
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(["--processes", "3", "--callers", "8", "--json"])
        .arg(&json)
        .args(args)
        .output()
        .expect("it was built with this test");
    let report = std::fs::read(&json).unwrap_or_else(|e| panic!("no report: {e}; {output:?}"));
    let report = serde_json::from_slice(&report).expect("a report is JSON");
    let _ = std::fs::remove_file(&json);
    (output, report)
}

#[test]
fn a_short_soak_finds_nothing_wrong() {
    let (output, report) = soak(&["--minutes", "0.2"]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code().is_some_and(|code| code < 2), "{told}");
    for (trouble, count) in report["troubles"].as_object().expect("troubles by kind") {
        // Late callers are for a long soak to judge: here the machine is everybody's.
        let fine = count == 0 || trouble.starts_with("callers past");
        assert!(fine, "{count} {trouble}: {told}\n{output:?}");
    }
    let struck = report["faults"].as_object().expect("faults by kind");
    assert!(!struck.is_empty(), "no fault: {told}");
    for what in ["values", "computes", "writes"] {
        assert!(report[what].as_u64() > Some(0), "no {what}: {told}");
    }
}

#[test]
fn a_wrong_value_is_found() {
    let (output, report) = soak(&["--minutes", "0.05", "--plant", "wrong-value"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let wrong = report["troubles"]["wrong values"].as_u64();
    assert!(wrong > Some(0), "{report}");
}
