//! `soak`: random callers, random faults, and a checker that knows every value ever made.

use std::process::ExitCode;

use anyhow::Result;

#[cfg(target_os = "linux")]
fn main() -> Result<ExitCode> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> Result<ExitCode> {
    anyhow::bail!("it looks into /proc, which only Linux has")
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::PathBuf;
    use std::process::ExitCode;
    use std::time::Duration;

    use anyhow::Result;
    use clap::{Parser, Subcommand};
    use memolock_tests::soak::{Plant, Terms, conduct, work};

    /// Has processes with random callers call over a server with random faults, and checks everything.
    #[derive(Debug, Parser)]
    struct Args {
        #[command(subcommand)]
        role: Option<Role>,
        /// How long faults go on. Memory is judged from 10 on.
        #[arg(long, default_value_t = 30.0)]
        minutes: f64,
        /// Repeats the schedule of faults, and what callers ask for. By default, one that nobody has had.
        #[arg(long)]
        seed: Option<u64>,
        /// How many workers, with the adapters in turn. The second half of them gets killed.
        #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(2..))]
        processes: u16,
        /// Callers of each worker.
        #[arg(long, default_value_t = 24)]
        callers: usize,
        /// Writes the report as JSON too.
        #[arg(long)]
        json: Option<PathBuf>,
        #[arg(long, hide = true)]
        plant: Option<Plant>,
    }

    #[derive(Debug, Subcommand)]
    enum Role {
        #[command(hide = true)]
        Work { enlisted: String },
    }

    pub(crate) fn main() -> Result<ExitCode> {
        let args = Args::parse();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        if let Some(Role::Work { enlisted }) = &args.role {
            runtime.block_on(work(enlisted))?;
            return Ok(ExitCode::SUCCESS);
        }
        let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
        // Before anything can fail.
        eprintln!("seed {seed}");
        let report = runtime.block_on(conduct(Terms {
            lasts: Duration::from_secs_f64(args.minutes * 60.0),
            seed,
            processes: usize::from(args.processes),
            callers: args.callers,
            plant: args.plant,
        }))?;
        print!("{report}");
        if let Some(path) = args.json {
            std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
        }
        Ok(if report.is_well() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
