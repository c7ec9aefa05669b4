//! What is printed after a herd: a table, or one JSON object.

use std::fmt::Write;

use serde::Serialize;

use super::plan::Plan;
use super::tally::Tally;
use crate::output::{Millis, counted, number, span};

/// A herd's figures; over all rounds where it was repeated.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    backend: String,
    processes: u32,
    tasks: u32,
    keys: u32,
    compute_ms: Millis,
    repeat: u32,
    computes: u64,
    max_computes_per_key: u64,
    errors: u64,
    timeouts: u64,
    wrong: u64,
    degraded: u64,
    elapsed_ms: Millis,
    latency_ms: Latency,
    commands: u64,
    commands_max_process: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    example_error: Option<String>,
}

/// Of callers, from the opening of the gate.
#[derive(Debug, Serialize)]
struct Latency {
    p50: Millis,
    p99: Millis,
    max: Millis,
}

impl Report {
    pub(super) fn new(plan: &Plan, backend: String, repeat: u32, tally: Tally) -> Self {
        let [p50, p99, max] = tally.latencies([50, 99, 100]).map(Millis);
        Self {
            backend,
            processes: plan.processes,
            tasks: plan.tasks,
            keys: plan.keys,
            compute_ms: Millis(plan.compute),
            repeat,
            computes: tally.computes,
            max_computes_per_key: tally.max_computes_per_key,
            errors: tally.errors,
            timeouts: tally.timeouts,
            wrong: tally.wrong,
            degraded: tally.degraded,
            elapsed_ms: Millis(tally.elapsed),
            latency_ms: Latency { p50, p99, max },
            commands: tally.commands,
            commands_max_process: tally.commands_max_process,
            example_error: tally.example,
        }
    }

    /// What is wrong with the herd, if anything is.
    pub(super) fn complaint(&self) -> Option<String> {
        if self.errors == 0 && self.wrong == 0 {
            return None;
        }
        let tasks = counted(u64::from(self.tasks) * u64::from(self.repeat), "caller");
        let (errors, wrong) = (number(self.errors), number(self.wrong));
        let mut line = format!("of {tasks} {errors} failed and {wrong} got a wrong value");
        if let Some(example) = &self.example_error {
            line.push_str("; for example: ");
            line.push_str(example);
        }
        Some(line)
    }

    pub(super) fn table(&self) -> String {
        let Latency { p50, p99, max } = &self.latency_ms;
        let over = max.0.saturating_sub(self.compute_ms.0);
        let mut rows = vec![
            ("computes", number(self.computes), self.per_key()),
            ("errors", number(self.errors), self.of_them_timeouts()),
            ("wrong values", number(self.wrong), String::new()),
            ("elapsed", span(self.elapsed_ms.0), self.each_took()),
            ("latency p50", span(p50.0), String::new()),
            ("latency p99", span(p99.0), String::new()),
            (
                "latency max",
                span(max.0),
                format!("{} over the compute", span(over)),
            ),
            ("commands", number(self.commands), self.busiest()),
        ];
        if self.degraded > 0 {
            let note = "computes without a lease: the server was failing".to_owned();
            rows.push(("degraded", number(self.degraded), note));
        }
        let mut text = self.title() + "\n\n";
        let widest = rows.iter().map(|(_, figure, _)| figure.len()).max();
        let width = widest.unwrap_or(0).max(8);
        for (name, figure, note) in rows {
            let row = format!("  {name:<13}{figure:>width$}   {note}");
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}", row.trim_end());
        }
        text
    }

    fn title(&self) -> String {
        let tasks = counted(self.tasks.into(), "caller");
        let keys = counted(self.keys.into(), "key");
        let processes = match self.processes {
            1 => "1 process".to_owned(),
            n => format!("{} processes", number(n.into())),
        };
        let herds = match self.repeat {
            1 => String::new(),
            n => format!("{} of ", counted(n.into(), "herd")),
        };
        let compute = humantime::format_duration(self.compute_ms.0);
        let backend = &self.backend;
        format!("{herds}{tasks} on {keys} in {processes}, {compute} a compute, backend {backend}")
    }

    fn per_key(&self) -> String {
        match self.max_computes_per_key {
            0 => "nothing was computed".to_owned(),
            1 => "never more than one per key".to_owned(),
            n => format!("up to {} for one key", number(n)),
        }
    }

    fn of_them_timeouts(&self) -> String {
        match self.timeouts {
            0 => String::new(),
            n => format!("{} timed out", number(n)),
        }
    }

    fn busiest(&self) -> String {
        let most = number(self.commands_max_process);
        match (self.processes, self.repeat) {
            (1, 1) => String::new(),
            (1, _) => format!("at most {most} in one herd"),
            (_, 1) => format!("at most {most} by one process"),
            (..) => format!("at most {most} by one process in one herd"),
        }
    }

    fn each_took(&self) -> String {
        match self.repeat {
            1 => String::new(),
            n => format!("{} a herd", span(self.elapsed_ms.0 / n)),
        }
    }
}
