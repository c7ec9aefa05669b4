//! Logging: off unless asked for, so that the stderr of a memoized command stays its own.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::exit::Failure;

/// Turns logging on if `RUST_LOG` or `--verbose` asks for it; `RUST_LOG` decides what is shown.
pub(crate) fn set_up(verbose: bool) -> Result<(), Failure> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(wanted) if !wanted.is_empty() => EnvFilter::try_new(&wanted)
            .map_err(|error| Failure::usage(format!("RUST_LOG cannot be used: {error}")))?,
        // The prefix of all our crates.
        _ if verbose => EnvFilter::new("memolock=debug"),
        _ => return Ok(()),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && colours_wanted())
        .init();
    Ok(())
}

/// <https://no-color.org>: set and not empty means no.
fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
