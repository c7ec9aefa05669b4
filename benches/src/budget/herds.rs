//! B4 to B6: herds, by the program `memolock herd`.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::process::Command;

use super::{Limit, Row, Stage, Unit, beside};
use crate::adapter::Adapter;
use crate::rounds::median;

/// What `memolock herd --json` prints, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
struct Report {
    compute_ms: f64,
    computes: f64,
    commands: f64,
    commands_max_process: f64,
    elapsed_ms: f64,
    latency_ms: Latency,
}

#[derive(Debug, Clone, Deserialize)]
struct Latency {
    max: f64,
}

/// B4: one process.
pub(super) async fn one_process(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for adapter in Adapter::SERVED {
        let args = ["--tasks", "10000", "--compute", "100ms"];
        let found = repeated(stage, adapter, &args).await?;
        let row = |what: &str, limit, unit, measured| {
            let what = format!("{what}, 10,000 tasks on 1 key, {adapter}");
            Row::new("B4", what, limit, unit, measured)
        };
        rows.push(row(
            "computes",
            Limit::Exactly(1.0),
            Unit::Count,
            most(&found, |r| r.computes),
        ));
        rows.push(row(
            "commands",
            Limit::AtMost(8.0),
            Unit::Count,
            most(&found, |r| r.commands),
        ));
        let late = row(
            "slowest over the compute",
            Limit::AtMost(20.0),
            Unit::Millis,
            middle(&found, over),
        );
        rows.push(late.note(worst(&found, over)));
    }
    Ok(rows)
}

/// B5: eight processes.
pub(super) async fn eight_processes(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for adapter in Adapter::SERVED {
        let args = ["--tasks", "10000", "--processes", "8", "--compute", "100ms"];
        let found = repeated(stage, adapter, &args).await?;
        let row = |what: &str, limit, unit, measured| {
            let what = format!("{what}, 8 processes of 1,250 tasks on 1 key, {adapter}");
            Row::new("B5", what, limit, unit, measured)
        };
        rows.push(row(
            "computes",
            Limit::Exactly(1.0),
            Unit::Count,
            most(&found, |r| r.computes),
        ));
        let commands = most(&found, |r| r.commands_max_process);
        let commands = row(
            "commands of a process",
            Limit::AtMost(8.0),
            Unit::Count,
            commands,
        );
        rows.push(commands.note(format!("{} by all", most(&found, |r| r.commands))));
        let late = row(
            "slowest over the compute",
            Limit::AtMost(50.0),
            Unit::Millis,
            middle(&found, over),
        );
        rows.push(late.note(worst(&found, over)));
    }
    Ok(rows)
}

/// B6: many keys.
pub(super) async fn many_keys(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for adapter in Adapter::SERVED {
        let args = ["--tasks", "16000", "--keys", "1000", "--compute", "10ms"];
        let found = repeated(stage, adapter, &args).await?;
        let row = |what: &str, limit, unit, measured| {
            let what = format!("{what}, 16,000 tasks on 1,000 keys, {adapter}");
            Row::new("B6", what, limit, unit, measured)
        };
        let computes = most(&found, |r| r.computes);
        let computes = row("computes", Limit::Exactly(1000.0), Unit::Count, computes);
        rows.push(computes.note(format!("{} commands", most(&found, |r| r.commands))));
        let all = row(
            "all of it",
            Limit::AtMost(100.0),
            Unit::Millis,
            middle(&found, |r| r.elapsed_ms),
        );
        rows.push(all.note(worst(&found, |r| r.elapsed_ms)));
    }
    Ok(rows)
}

/// Each herd in a process of its own, as a user runs it.
async fn repeated(stage: &Stage, adapter: Adapter, args: &[&str]) -> Result<Vec<Report>> {
    let program = beside("memolock")?;
    let mut reports = Vec::new();
    for _ in 0..stage.effort.repeats {
        let mut command = Command::new(&program);
        command.args(["herd", "--json", "--backend", &adapter.to_string()]);
        command.args(["--url", stage.server.url()]).args(args);
        let output = command
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            bail!("memolock herd {}: {}", args.join(" "), why.trim());
        }
        reports.push(parse(&output.stdout)?);
    }
    Ok(reports)
}

fn parse(stdout: &[u8]) -> Result<Report> {
    serde_json::from_slice(stdout).context("memolock herd --json printed something else")
}

fn over(report: &Report) -> f64 {
    report.latency_ms.max - report.compute_ms
}

fn most(reports: &[Report], figure: fn(&Report) -> f64) -> f64 {
    reports.iter().map(figure).fold(f64::NEG_INFINITY, f64::max)
}

fn middle(reports: &[Report], figure: fn(&Report) -> f64) -> f64 {
    median(&reports.iter().map(figure).collect::<Vec<_>>())
}

fn worst(reports: &[Report], figure: fn(&Report) -> f64) -> String {
    format!(
        "worst of {}: {:.1} ms",
        reports.len(),
        most(reports, figure)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"backend":"redis-rs","processes":1,"tasks":10000,"keys":1,"compute_ms":100.0,
        "repeat":1,"computes":1,"max_computes_per_key":1,"errors":0,"timeouts":0,"wrong":0,"degraded":0,
        "elapsed_ms":117.5,"latency_ms":{"p50":110.0,"p99":116.0,"max":117.25},"commands":4,
        "commands_max_process":4}"#;

    #[test]
    fn what_the_program_prints_is_read() {
        let report = parse(JSON.as_bytes()).unwrap();
        assert_eq!((report.computes, report.commands), (1.0, 4.0));
        assert_eq!(over(&report), 17.25);
        let later = parse(JSON.replace("117.25", "130").as_bytes()).unwrap();
        let all = [report.clone(), later, report];
        assert_eq!((most(&all, over), middle(&all, over)), (30.0, 17.25));
        assert!(parse(b"an error").is_err());
    }
}
