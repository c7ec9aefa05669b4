//! `memolock run`: a command memoized.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use memolock::codec::Raw;
use memolock::core::{Backend, BackendError, ErrorKind, OutagePolicy};
use memolock::{Computed, Error, Memolock, Source};
use serde::Serialize;

use crate::cli::{Common, RunArgs};
use crate::connect::{Refusal, Target, shared};
use crate::exit::{Code, Failure, Outcome, say};
use crate::input;
use crate::interrupt::Interrupts;
use crate::output::{self, Millis};
use crate::repeat::Repeating;
use crate::values::MAX_VALUE_BYTES;

use command::{Command, Unsuccessful};
use stored::{Stored, Unconfirmed};

mod command;
pub(crate) mod id;
mod quote;
mod stored;

pub(crate) async fn run(common: &Common, args: &RunArgs) -> Outcome {
    let begun = Instant::now();
    let command = Command::new(&args.command)?;
    check(args)?;
    let target = Target::choose(common)?;
    target.check(args.repeat)?;
    let interrupts = Interrupts::install()?;
    let input = match args.id_parts.stdin {
        true => Some(standard_input(&interrupts).await?),
        false => None,
    };
    let line = || command.line();
    let id = args
        .id_parts
        .complete(common.id.as_deref(), line, input.as_deref())?;
    let command = command.with_input(input);
    let opened = tokio::select! {
        opened = target.open_repeating(common.timeout, args.repeat) => opened,
        caught = interrupts.caught() => return Err(caught.failure()),
    };
    let mut repeating = Repeating::Nothing;
    let ended = match opened {
        Ok((backend, repeats)) => {
            repeating = repeats;
            let call = Call {
                common,
                args,
                target: &target,
                id: &id,
                command,
                interrupts: &interrupts,
            };
            call.memoized(shared(backend, "run")?).await?
        }
        Err(Refusal::Server(error)) if bearable(&error) && !args.strict => {
            say(&format!("{error}: running the command without the server"));
            let result = command.run(&interrupts, args.compute_timeout).await;
            Ended::of(result.as_ref().map(Bytes::clone), "computed", Stored::No)?
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let id = common.json.then_some(id);
    let printed = ended.print(id, begun.elapsed(), &interrupts).await;
    // The caller has its output. What an interrupt ends now is only the wait.
    tokio::select! {
        () = repeating.done() => {}
        _ = interrupts.caught() => {}
    }
    printed
}

/// Limits that make no sense, by the names of their flags.
fn check(args: &RunArgs) -> Result<(), Failure> {
    let least = Duration::from_millis(1);
    if let Some(limit) = args.compute_timeout.filter(|limit| *limit < least) {
        let line = format!("--compute-timeout is {limit:?}: at least {least:?}");
        return Err(Failure::usage(line));
    }
    let lease = args.lease;
    if let Some(max) = args.max_lease.filter(|max| *max < lease) {
        let line = format!("--max-lease is {max:?}: at least --lease, which is {lease:?}");
        return Err(Failure::usage(line));
    }
    Ok(())
}

/// All of stdin, unless an interrupt comes first.
async fn standard_input(interrupts: &Interrupts) -> Result<Bytes, Failure> {
    tokio::select! {
        read = tokio::task::spawn_blocking(input::read) => match read {
            Ok(read) => read,
            Err(error) => Err(Failure::failed(format!("cannot read stdin: {error}"))),
        },
        caught = interrupts.caught() => Err(caught.failure()),
    }
}

/// A command may take as long as its user likes.
fn max_lease(args: &RunArgs) -> Duration {
    args.max_lease.unwrap_or(Duration::MAX)
}

/// Whether a server that gives this error is as good as none. Wrong credentials are somebody's mistake.
fn bearable(error: &BackendError) -> bool {
    error.is_outage() && error.kind() != ErrorKind::Denied
}

/// One call of `run`, once there is a server.
struct Call<'a> {
    common: &'a Common,
    args: &'a RunArgs,
    target: &'a Target,
    id: &'a str,
    command: Command,
    interrupts: &'a Interrupts,
}

impl Call<'_> {
    async fn memoized(&self, backend: Arc<dyn Backend>) -> Result<Ended, Failure> {
        let outage = match self.args.strict {
            true => OutagePolicy::Fail,
            false => OutagePolicy::Compute,
        };
        let memolock = Memolock::<Bytes>::builder(&self.common.tag, Arc::clone(&backend))
            .codec(Raw)
            .ttl(self.args.ttl)
            .lease(self.args.lease)
            .max_lease(max_lease(self.args))
            .wait_timeout(self.args.wait)
            .on_outage(outage)
            // Checked by ourselves, and said so: see `storable`.
            .max_value_bytes(MAX_VALUE_BYTES)
            .build()
            .await?;
        let ended = self.call(&memolock, &backend).await;
        // The lease is released when this returns, however the call ended.
        memolock.close().await;
        // A close would drop the notice that is to be repeated: then the connections end with the process.
        if self.args.repeat.after().is_none() {
            backend.close().await;
        }
        ended
    }

    async fn call(
        &self,
        memolock: &Memolock<Bytes, Raw>,
        backend: &Arc<dyn Backend>,
    ) -> Result<Ended, Failure> {
        let running = Cell::new(false);
        let compute = |lease: memolock::Lease| {
            let running = &running;
            async move {
                if !lease.is_held() {
                    say("the server is failing (-v says why): running the command without it");
                }
                running.set(true);
                let limit = self.args.compute_timeout;
                let output = self.command.run(self.interrupts, limit).await;
                running.set(false);
                output.map(storable)
            }
        };
        let call = memolock.entry(self.id).or_compute_with(compute);
        let result = tokio::select! {
            result = call => result,
            caught = async {
                let caught = self.interrupts.caught().await;
                if running.get() {
                    // The command is being ended, and the call ends with it.
                    std::future::pending::<()>().await;
                }
                caught
            } => return Err(caught.failure()),
        };
        match result {
            Ok(memo) => {
                let stored = self.stored(memolock, backend, &memo).await?;
                let outcome = match memo.source() {
                    Source::Hit => "hit",
                    Source::Computed => "computed",
                    _ => "waited",
                };
                Ended::of(Ok(Bytes::clone(&memo)), outcome, stored)
            }
            Err(error) => match error.as_compute() {
                Some(error) => Ended::of(Err(error), "failed", Stored::No),
                None => Err(error.into()),
            },
        }
    }

    /// Whether the output is stored. Where it is not, that is said, here or before.
    async fn stored(
        &self,
        memolock: &Memolock<Bytes, Raw>,
        backend: &Arc<dyn Backend>,
        output: &Bytes,
    ) -> Result<Stored, Failure> {
        let stats = memolock.stats();
        if output.len() > MAX_VALUE_BYTES || stats.degraded > 0 {
            return Ok(Stored::No);
        }
        let unconfirmed = Unconfirmed {
            memolock,
            backend,
            target: self.target,
            timeout: self.common.timeout,
            key: memolock.keyspace().key(self.id).map_err(Error::from)?,
            output,
        };
        tokio::select! {
            stored = unconfirmed.settle() => Ok(stored),
            caught = self.interrupts.caught() => Err(caught.failure()),
        }
    }
}

/// What cannot be stored is not sent: the server would break the connection off.
fn storable(output: Bytes) -> Computed<Bytes> {
    if output.len() <= MAX_VALUE_BYTES {
        return Computed::new(output);
    }
    say("the output was not stored: it is above 512 MiB, the most that a server can store");
    Computed::new(output).no_store()
}

/// How a call ended: with output, and with the command's exit code.
struct Ended {
    outcome: &'static str,
    output: Bytes,
    exit_code: i32,
    stored: Stored,
}

impl Ended {
    fn of(
        result: Result<Bytes, &Unsuccessful>,
        outcome: &'static str,
        stored: Stored,
    ) -> Result<Self, Failure> {
        let (output, exit_code, outcome) = match result {
            Ok(output) => (output, 0, outcome),
            Err(Unsuccessful::Exited { code, output }) => (output.clone(), *code, "failed"),
            Err(other) => return Err(other.failure()),
        };
        Ok(Self {
            outcome,
            output,
            exit_code,
            stored,
        })
    }

    /// Prints it: its output, or with an id a report. A reader that does not read shall not make us deaf to interrupts.
    async fn print(
        self,
        id: Option<String>,
        elapsed: Duration,
        interrupts: &Interrupts,
    ) -> Outcome {
        let code = Code::passed_on(self.exit_code);
        let print = move || match id {
            Some(id) => output::json(&Report {
                id,
                outcome: self.outcome,
                elapsed_ms: Millis(elapsed),
                exit_code: self.exit_code,
                stored: self.stored,
                value: output::Bytes::new(&self.output),
            }),
            None => output::bytes(&self.output),
        };
        tokio::select! {
            printed = tokio::task::spawn_blocking(print) => match printed {
                Ok(printed) => printed.map(|()| code),
                Err(error) => Err(Failure::failed(format!("cannot print: {error}"))),
            },
            caught = interrupts.caught() => Err(caught.failure()),
        }
    }
}

#[derive(Serialize)]
struct Report {
    id: String,
    outcome: &'static str,
    elapsed_ms: Millis,
    exit_code: i32,
    stored: Stored,
    #[serde(flatten)]
    value: output::Bytes,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn a_run_keeps_its_lock_without_a_limit_unless_there_is_one() {
        for (line, expected) in [
            ("memolock run cmd", Duration::MAX),
            ("memolock run --lease 1s cmd", Duration::MAX),
            ("memolock run --max-lease 1h cmd", Duration::from_secs(3600)),
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            let Command::Run(args) = cli.command else {
                panic!("{line}")
            };
            assert_eq!(max_lease(&args), expected, "{line}");
        }
    }
}
