//! What things cost as they grow: what `cargo xtask report` measures, draws and writes down.

mod chart;
mod figure;
mod fleet;
mod herds;
mod page;
mod rivals;
mod sizes;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use memolock_testkit::TestServer;
use serde::Serialize;

use crate::budget::{self, Verdict};
use crate::machine::Machine;
use figure::Figure;
use rivals::Rival;

/// What the measurements need.
struct Stage<'a> {
    server: TestServer,
    /// `memolock-bench`, which is a process of a squad too.
    program: &'a Path,
    quick: bool,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Data {
    machine: Machine,
    quick: bool,
    budgets: Verdict,
    rivals: Vec<Rival>,
    figures: Vec<Figure>,
}

/// Measures everything, and writes into `folder` a page about it, `performance.md`, and beside it into `performance`
/// the data as JSON and every curve as SVG.
///
/// # Errors
/// If something cannot be measured, or not be written.
pub async fn report(folder: &Path, program: &Path, quick: bool) -> Result<()> {
    let stage = Stage {
        server: TestServer::start_local().await?,
        program,
        quick,
    };
    let machine = Machine::look(&stage.server).await?;
    eprintln!("{}", machine.line());
    let budgets = budget::measure(quick, &[]).await?;
    eprintln!("one key, every strategy");
    let rivals = rivals::measure(&stage).await?;
    let mut figures = Vec::new();
    eprintln!("processes");
    figures.extend(herds::by_processes(&stage).await?);
    eprintln!("callers");
    figures.extend(herds::by_callers(&stage).await?);
    eprintln!("keys");
    figures.extend(herds::by_keys(&stage).await?);
    eprintln!("simulated fleets");
    figures.extend(fleet::by_processes(quick).await?);
    eprintln!("sizes of values");
    figures.extend(sizes::by_bytes(&stage).await?);
    let data = Data {
        machine,
        quick,
        budgets,
        rivals,
        figures,
    };
    write(folder, &data)
}

fn write(folder: &Path, data: &Data) -> Result<()> {
    let put = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    let inner = folder.join("performance");
    fs::create_dir_all(&inner).with_context(|| format!("cannot make {}", inner.display()))?;
    let json = serde_json::to_string_pretty(data)?;
    put("performance/data.json", json + "\n")?;
    put("performance/rivals.svg", rivals::draw(&data.rivals)?)?;
    for figure in &data.figures {
        let name = format!("performance/{}.svg", figure.name);
        put(&name, chart::draw(figure)?)?;
    }
    put("performance.md", page::page(data))?;
    eprintln!("written to {}", folder.join("performance.md").display());
    Ok(())
}
