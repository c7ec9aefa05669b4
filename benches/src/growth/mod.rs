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
    rivals: Vec<Rival>,
    figures: Vec<Figure>,
}

/// Measures everything, and writes into `folder`: the data as JSON, every curve as SVG, and a page about them.
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
        rivals,
        figures,
    };
    write(folder, &data)
}

fn write(folder: &Path, data: &Data) -> Result<()> {
    let put = |name: String, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    put(
        "data.json".into(),
        serde_json::to_string_pretty(data)? + "\n",
    )?;
    put("rivals.svg".into(), rivals::draw(&data.rivals)?)?;
    for figure in &data.figures {
        put(format!("{}.svg", figure.name), chart::draw(figure)?)?;
    }
    put("README.md".into(), page::page(data))?;
    eprintln!("written to {}", folder.display());
    Ok(())
}
