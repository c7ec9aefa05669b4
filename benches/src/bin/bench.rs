//! `memolock-bench`: what `cargo xtask bench`, `cargo xtask fanout` and `cargo xtask report` run.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use memolock_benches::{budget, fanout, growth, worker};
use serde::Serialize;

/// Measures memolock.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure every budget and print one table; exit code 1 if one is missed
    Budgets {
        /// Fewer and shorter rounds: shows that everything works, in less than a minute
        #[arg(long)]
        quick: bool,
        /// Measure this budget alone (B1 to B8); may be given several times
        #[arg(long, value_name = "BUDGET", value_parser = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8"])]
        only: Vec<String>,
        /// Write the table as JSON too
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Measure the budgets and what things cost as they grow; write FOLDER/performance.md and its pictures
    Report {
        /// Where to
        folder: PathBuf,
        /// Few and small measurements: shows that everything works, in less than a minute
        #[arg(long)]
        quick: bool,
    },
    /// Measure what clusters have to do with completions and with 32 processes, node by node; print tables
    Fanout {
        /// Fewer of everything: shows that everything works, in less than half a minute
        #[arg(long)]
        quick: bool,
        /// Write the figures as JSON too
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// One process of a squad, told over stdin what to do
    #[command(hide = true)]
    Worker,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse().command).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("memolock-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is as it should be.
async fn run(command: Command) -> Result<bool> {
    match command {
        Command::Budgets { quick, only, json } => {
            let verdict = budget::measure(quick, &only).await?;
            print!("{}", verdict.table());
            write(json, &verdict)?;
            return Ok(verdict.is_met());
        }
        Command::Report { folder, quick } => {
            growth::report(&folder, &std::env::current_exe()?, quick).await?;
        }
        Command::Fanout { quick, json } => {
            let measured = fanout::measure(&std::env::current_exe()?, quick).await?;
            print!("{}", measured.table());
            write(json, &measured)?;
        }
        Command::Worker => worker::serve().await?,
    }
    Ok(true)
}

fn write(file: Option<PathBuf>, figures: &impl Serialize) -> Result<()> {
    let Some(file) = file else {
        return Ok(());
    };
    let text = serde_json::to_string_pretty(figures)?;
    let written = std::fs::write(&file, text + "\n");
    written.with_context(|| format!("cannot write {}", file.display()))
}
