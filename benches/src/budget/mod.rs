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

/// Measures every budget over a server of its own.
///
/// # Errors
/// If something cannot be measured at all; a budget that is missed is no error.
pub async fn measure(quick: bool) -> Result<Verdict> {
    let stage = Stage {
        server: TestServer::start_local().await?,
        effort: if quick { Effort::QUICK } else { Effort::FULL },
        quick,
    };
    let machine = Machine::look(&stage.server).await?;
    eprintln!("{}", machine.line());
    let mut rows = Vec::new();
    say("B1 to B3: hits");
    rows.extend(hits::near(&stage).await?);
    rows.extend(hits::through(&stage).await?);
    rows.extend(hits::hot(&stage).await?);
    say("B4 to B6: herds");
    rows.extend(herds::one_process(&stage).await?);
    rows.extend(herds::eight_processes(&stage).await?);
    rows.extend(herds::many_keys(&stage).await?);
    say("B7: waiters");
    rows.extend(waiters::weigh(&stage).await?);
    say("B8: a holder is killed");
    rows.extend(crash::takeover(&stage).await?);
    Ok(Verdict {
        machine,
        quick,
        rows,
    })
}

impl Verdict {
    /// Whether every budget is met.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.rows.iter().all(Row::is_met)
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        table(self)
    }
}

/// A program that was built beside this one.
fn beside(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let path = program.with_file_name(name);
    let built = Path::exists(&path).then_some(path);
    built.with_context(|| format!("there is no {name} beside {}", program.display()))
}

fn say(what: &str) {
    eprintln!("{what}");
}
