//! The command that is memoized: running it, and ending it.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{self, Child, ChildStdin};
use tokio::time::sleep;

use crate::exit::Failure;
use crate::interrupt::{Caught, Interrupts, end, exit_code};

use super::quote;

/// A program, its arguments and its input.
pub(super) struct Command {
    program: OsString,
    args: Vec<OsString>,
    input: Option<Bytes>,
}

/// Why a command has no output to store.
#[derive(Debug)]
pub(super) enum Unsuccessful {
    /// It ended with a code other than zero, or by a signal.
    Exited { code: i32, output: Bytes },
    /// It could not be started.
    Unstartable { program: String, error: io::Error },
    /// Its input could not be written, or its output not read.
    Broken(io::Error),
    /// It took longer than it may, and we have ended it.
    TimedOut(Duration),
    /// We were interrupted and have ended it.
    Interrupted(Caught),
}

/// Why a command is ended before its end.
enum Ended {
    TimedOut(Duration),
    Interrupted(Caught),
}

/// The exit code of a command that took too long, as timeout(1) has it.
const TOOK_TOO_LONG: u8 = 124;

impl Command {
    pub(super) fn new(words: &[OsString]) -> Result<Self, Failure> {
        match words {
            [program, args @ ..] => Ok(Self {
                program: program.clone(),
                args: args.to_vec(),
                input: None,
            }),
            [] => Err(Failure::usage("which command?")),
        }
    }

    /// With this as its standard input. Without any, it has none.
    pub(super) fn with_input(self, input: Option<Bytes>) -> Self {
        Self { input, ..self }
    }

    /// The words, quoted where they must be, for an id.
    pub(super) fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.args);
        quote::line(words.map(OsString::as_os_str))
    }

    /// Runs it to its end, or for as long as `limit`, and returns its stdout. Dropping the future kills it.
    pub(super) async fn run(
        &self,
        interrupts: &Interrupts,
        limit: Option<Duration>,
    ) -> Result<Bytes, Unsuccessful> {
        let spawned = process::Command::new(&self.program)
            .args(&self.args)
            .stdin(match self.input {
                Some(_) => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = spawned.map_err(|error| Unsuccessful::Unstartable {
            program: self.program.to_string_lossy().into_owned(),
            error,
        })?;
        let ended = tokio::select! {
            output = exchange(&mut child, self.input.as_deref()) => Ok(output),
            caught = interrupts.caught() => Err(Ended::Interrupted(caught)),
            limit = passed(limit) => Err(Ended::TimedOut(limit)),
        };
        match ended {
            Ok(Ok((0, output))) => Ok(output),
            Ok(Ok((code, output))) => Err(Unsuccessful::Exited { code, output }),
            Ok(Err(error)) => Err(Unsuccessful::Broken(error)),
            Err(ended) => {
                end(&mut child).await;
                Err(match ended {
                    Ended::TimedOut(limit) => Unsuccessful::TimedOut(limit),
                    Ended::Interrupted(caught) => Unsuccessful::Interrupted(caught),
                })
            }
        }
    }
}

/// Waits until the limit has passed: for ever if there is none.
async fn passed(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

/// Gives it its input and waits for its end. It may end, and its output too, without having read all of its input.
async fn exchange(child: &mut Child, input: Option<&[u8]>) -> io::Result<(i32, Bytes)> {
    let stdin = child.stdin.take();
    let mut collecting = pin!(collect(child));
    tokio::select! {
        fed = feed(stdin, input.unwrap_or_default()) => fed?,
        collected = &mut collecting => return collected,
    }
    collecting.await
}

/// Writes all of the input, and closes it.
async fn feed(stdin: Option<ChildStdin>, input: &[u8]) -> io::Result<()> {
    let Some(mut stdin) = stdin else {
        return Ok(());
    };
    match stdin.write_all(input).await {
        // It does not want more, which is its own affair.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Exit code and stdout, which ends when everybody who has inherited it has ended.
async fn collect(child: &mut Child) -> io::Result<(i32, Bytes)> {
    let mut output = Vec::new();
    if let Some(stdout) = &mut child.stdout {
        stdout.read_to_end(&mut output).await?;
    }
    let status = child.wait().await?;
    Ok((exit_code(status), output.into()))
}

impl Unsuccessful {
    /// What to say where there is no exit code to pass on. Codes as shells have them.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Unstartable { error, .. } if error.kind() == ErrorKind::NotFound => {
                Failure::coded(127, self)
            }
            Self::Unstartable { .. } => Failure::coded(126, self),
            Self::Interrupted(caught) => caught.failure(),
            Self::TimedOut(_) => Failure::coded(TOOK_TOO_LONG, self),
            Self::Exited { .. } | Self::Broken(_) => Failure::failed(self),
        }
    }
}

/// Also what other waiters hear of it, so no output here.
impl std::error::Error for Unsuccessful {}

impl fmt::Display for Unsuccessful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code, .. } => write!(f, "the command exited with {code}"),
            Self::Unstartable { program, error } => write!(f, "cannot run {program}: {error}"),
            Self::Broken(error) => write!(f, "cannot talk to the command: {error}"),
            Self::TimedOut(limit) => write!(f, "the command took longer than {limit:?}"),
            Self::Interrupted(_) => f.write_str("interrupted"),
        }
    }
}
