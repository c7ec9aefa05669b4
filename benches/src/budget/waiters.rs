//! B7: what waiters weigh, by the program `memolock-weigh`, which counts its allocations.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::{Limit, Row, Stage, Unit, beside};
use crate::weight::{Load, Weight};

/// A kibibyte each.
const LIMIT: Limit = Limit::AtMost(1024.0);

pub(super) async fn weigh(stage: &Stage) -> Result<Vec<Row>> {
    let waiters = if stage.quick { 10_000 } else { 100_000 };
    let mut rows = Vec::new();
    for (load, limit) in [
        (Load::OneKey, LIMIT),
        (Load::ManyKeys, Limit::None),
        (Load::NearCopies, Limit::None),
    ] {
        let weight = weighed(stage, load, waiters).await?;
        let what = match load {
            Load::OneKey => format!("waiters on one key: {waiters} tasks"),
            Load::ManyKeys => format!("keys with one waiter each: {waiters} tasks"),
            Load::NearCopies => format!("copies in a near cache: {waiters} empty values"),
        };
        // Whole bytes: the rest is what they share.
        let each = |bytes: i64| (bytes as f64 / f64::from(waiters)).floor();
        let row = |which: &str, bytes| {
            let what = format!("{which} each, {what}");
            Row::new("B7", what, limit, Unit::Bytes, each(bytes))
        };
        let task = each(weight.bare);
        let note = match load {
            Load::NearCopies => format!("{task:.0} B of them the value"),
            _ => format!("{task:.0} B of them a bare task that waits"),
        };
        rows.push(row("allocated", weight.allocated).note(note));
        rows.push(row("resident memory", weight.resident));
    }
    Ok(rows)
}

/// In a process of its own, so that its memory is that of the waiters.
async fn weighed(stage: &Stage, load: Load, waiters: u32) -> Result<Weight> {
    let mut command = Command::new(beside("memolock-weigh")?);
    command.args([load.name(), &waiters.to_string(), stage.server.url()]);
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("memolock-weigh {}: {}", load.name(), why.trim());
    }
    serde_json::from_slice(&output.stdout).context("memolock-weigh printed something else")
}
