//! The `memolock` binary: memoize a command, look at promises, and show a thundering herd.

mod cli;
mod connect;
mod exit;
mod herd;
mod ignored;
mod input;
mod interrupt;
mod log;
mod output;
mod repeat;
mod run;
mod tls;
mod values;

use std::process::ExitCode;

use tokio::runtime::Runtime;

use cli::{Cli, Command};
use exit::{Failure, Outcome};

fn main() -> ExitCode {
    exit::report(cli::parse().and_then(|cli| execute(&cli)))
}

fn execute(cli: &Cli) -> Outcome {
    log::set_up(cli.common.verbose)?;
    let runtime = Runtime::new()
        .map_err(|error| Failure::failed(format!("cannot start the runtime: {error}")))?;
    let outcome = runtime.block_on(dispatch(cli));
    // A thread that is stuck in a write to a full pipe shall not keep the process.
    runtime.shutdown_background();
    outcome
}

async fn dispatch(cli: &Cli) -> Outcome {
    let common = &cli.common;
    match &cli.command {
        Command::Herd(args) => herd::herd(common, args).await,
        Command::Run(args) => run::run(common, args).await,
        Command::Get(args) => values::get(common, args).await,
        Command::Put(args) => values::put(common, args).await,
        Command::Resolve(args) => values::resolve(common, args).await,
        Command::Invalidate(args) => values::invalidate(common, args).await,
        Command::Inspect(args) => values::inspect(common, args).await,
        Command::HerdWorker => herd::worker::serve().await,
    }
}
