//! The budgets, each measured in one run: what `cargo xtask bench` prints and judges.

mod crash;
mod herds;
mod hits;
mod row;
mod table;
mod waiters;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use memolock_testkit::TestServer;
use serde::Serialize;

use crate::machine::Machine;
use crate::rounds::Effort;
pub use row::{Limit, Row, Unit};
use table::table;

/// What the measurements need.
struct Stage {
    server: TestServer,
    effort: Effort,
    quick: bool,
}

/// Every budget, measured and judged.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// Where it was measured.
    pub machine: Machine,
    /// Whether it was a smoke run, whose figures say little.
    pub quick: bool,
    /// The rows, in the order of the budgets.
    pub rows: Vec<Row>,
}

/// Measures every budget, or those of these names, over a server of its own.
///
/// # Errors
/// If there is no server. A budget that is missed is no error, nor is one that cannot be measured: that is a miss.
pub async fn measure(quick: bool, only: &[String]) -> Result<Verdict> {
    let stage = Stage {
        server: TestServer::start_local().await?,
        effort: if quick { Effort::QUICK } else { Effort::FULL },
        quick,
    };
    let machine = Machine::look(&stage.server).await?;
    eprintln!("{}", machine.line());
    let mut rows = Vec::new();
    for budget in ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8"] {
        if only.is_empty() || only.iter().any(|name| name == budget) {
            rows.extend(or_missed(budget, stage.measure(budget).await));
        }
    }
    Ok(Verdict {
        machine,
        quick,
        rows,
    })
}

impl Stage {
    async fn measure(&self, budget: &str) -> Result<Vec<Row>> {
        let about = match budget {
            "B1" => "near hits",
            "B2" => "hits through the server",
            "B3" => "hits on one hot key",
            "B4" => "a herd in one process",
            "B5" => "a herd in eight processes",
            "B6" => "a herd on many keys",
            "B7" => "what waiters weigh",
            _ => "a holder is killed",
        };
        eprintln!("{budget}: {about}");
        match budget {
            "B1" => hits::near(self).await,
            "B2" => hits::through(self).await,
            "B3" => hits::hot(self).await,
            "B4" => herds::one_process(self).await,
            "B5" => herds::eight_processes(self).await,
            "B6" => herds::many_keys(self).await,
            "B7" => waiters::weigh(self).await,
            _ => crash::takeover(self).await,
        }
    }
}

impl Verdict {
    /// Whether every budget is met.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.rows.iter().all(Row::is_met)
    }

    /// The result in a few words, for the first line of a page or a report.
    #[must_use]
    pub fn headline(&self) -> String {
        let judged = self.rows.iter().filter(|row| row.limit != Limit::None);
        let missed = judged.clone().filter(|row| !row.is_met()).count();
        let judged = judged.count();
        match missed {
            0 => format!("all {judged} limits are met"),
            missed => format!("{missed} of {judged} limits missed"),
        }
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        table(self)
    }
}

/// What cannot be measured is missed, and says why; the other budgets are measured all the same.
fn or_missed(budget: &'static str, rows: Result<Vec<Row>>) -> Vec<Row> {
    rows.unwrap_or_else(|error| {
        let what = "measurements that came to an end";
        let row = Row::new(budget, what, Limit::Exactly(1.0), Unit::Count, 0.0);
        vec![row.note(format!("{error:#}"))]
    })
}

/// A program that was built beside this one.
fn beside(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let path = program.with_file_name(name);
    let built = Path::exists(&path).then_some(path);
    built.with_context(|| format!("there is no {name} beside {}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_measured_is_missed() {
        let rows = or_missed("B7", Err(anyhow::anyhow!("no memory")));
        assert!(!rows[0].is_met());
        assert_eq!((rows[0].budget, &*rows[0].note), ("B7", "no memory"));
        let fine = Row::new("B8", "a thing", Limit::None, Unit::Bytes, 3.0);
        assert_eq!(or_missed("B8", Ok(vec![fine])).len(), 1);
    }
}
