//! `memolock run`: a command memoized.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use memolock::codec::Raw;
use memolock::core::{Backend, BackendError, ErrorKind, OutagePolicy};
use memolock::{Computed, Memolock, Source};
use serde::Serialize;

use crate::cli::{Common, RunArgs};
use crate::connect::{Refusal, Target, shared};
use crate::exit::{Code, Failure, Outcome, say};
use crate::interrupt::Interrupts;
use crate::output::{self, Millis};
use crate::repeat::Repeating;
use crate::values::MAX_VALUE_BYTES;

use command::{Command, Unsuccessful};

mod command;

pub(crate) async fn run(common: &Common, args: &RunArgs) -> Outcome {
    let begun = Instant::now();
    let command = Command::new(&args.command)?;
    let id = match &common.id {
        Some(id) => id.clone(),
        None => command.line()?,
    };
    let target = Target::choose(common)?;
    target.check(args.repeat)?;
    let interrupts = Interrupts::install()?;
    let opened = tokio::select! {
        opened = target.open_repeating(args.repeat) => opened,
        caught = interrupts.caught() => return Err(caught.failure()),
    };
    let mut repeating = Repeating::Nothing;
    let ended = match opened {
        Ok((backend, repeats)) => {
            repeating = repeats;
            let call = Call {
                common,
                args,
                id,
                command,
                interrupts: &interrupts,
            };
            call.memoized(shared(backend, "run")?).await?
        }
        Err(Refusal::Server(error)) if bearable(&error) && !args.strict => {
            say(&format!("{error}: running the command without the server"));
            let result = command.run(&interrupts).await;
            Ended::of(result.as_ref().map(Bytes::clone), "computed", false)?
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let printed = ended.print(common.json, begun.elapsed(), &interrupts).await;
    // The caller has its output. What an interrupt ends now is only the wait.
    tokio::select! {
        () = repeating.done() => {}
        _ = interrupts.caught() => {}
    }
    printed
}

/// Whether a server that gives this error is as good as none. Wrong credentials are somebody's mistake.
fn bearable(error: &BackendError) -> bool {
    error.is_outage() && error.kind() != ErrorKind::Denied
}

/// One call of `run`, once there is a server.
struct Call<'a> {
    common: &'a Common,
    args: &'a RunArgs,
    id: String,
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
            .wait_timeout(self.args.wait)
            .on_outage(outage)
            .build()
            .await?;
        let ended = self.call(&memolock).await;
        // The lease is released when this returns, however the call ended.
        memolock.close().await;
        // A close would drop the notice that is to be repeated: then the connections end with the process.
        if self.args.repeat.after().is_none() {
            backend.close().await;
        }
        ended
    }

    async fn call(&self, memolock: &Memolock<Bytes, Raw>) -> Result<Ended, Failure> {
        let running = Cell::new(false);
        let compute = |lease: memolock::Lease| {
            let running = &running;
            async move {
                if !lease.is_held() {
                    say("the server is failing (-v says why): running the command without it");
                }
                running.set(true);
                let output = self.command.run(self.interrupts).await;
                running.set(false);
                output.map(storable)
            }
        };
        let call = memolock.entry(&self.id).or_compute_with(compute);
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
        let stats = memolock.stats();
        let stored = stats.unstored == 0;
        // With the server failing that has been said already.
        if !stored && stats.degraded == 0 {
            say(match stats.lost_leases {
                0 => "the output was not stored: the server did not take it (-v says why)",
                _ => "the output was not stored: the lease was lost, or a value put or invalidated",
            });
        }
        match result {
            Ok(memo) => {
                let outcome = match memo.source() {
                    Source::Hit => "hit",
                    Source::Computed => "computed",
                    _ => "waited",
                };
                Ended::of(Ok(Bytes::clone(&memo)), outcome, stored)
            }
            Err(error) => match error.as_compute() {
                Some(error) => Ended::of(Err(error), "failed", false),
                None => Err(error.into()),
            },
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
    stored: bool,
}

impl Ended {
    fn of(
        result: Result<Bytes, &Unsuccessful>,
        outcome: &'static str,
        stored: bool,
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
            stored: stored && exit_code == 0,
        })
    }

    /// Prints it. A reader that does not read shall not make us deaf to interrupts.
    async fn print(self, json: bool, elapsed: Duration, interrupts: &Interrupts) -> Outcome {
        let code = Code::passed_on(self.exit_code);
        let print = move || match json {
            true => output::json(&Report {
                outcome: self.outcome,
                elapsed_ms: Millis(elapsed),
                exit_code: self.exit_code,
                stored: self.stored,
                value: output::Bytes::new(&self.output),
            }),
            false => output::bytes(&self.output),
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
    outcome: &'static str,
    elapsed_ms: Millis,
    exit_code: i32,
    stored: bool,
    #[serde(flatten)]
    value: output::Bytes,
}
