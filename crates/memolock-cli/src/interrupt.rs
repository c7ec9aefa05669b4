//! Interrupts (SIGINT, SIGTERM, SIGHUP) as something to await, and ending a child in good order.

use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::exit::Failure;

/// How long a child may take to end when asked to. Short: its caller has asked us to end, too.
const GRACE: Duration = Duration::from_secs(2);

/// An interrupt that was caught: its exit code is 128 plus the signal's number, as in a shell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caught {
    number: u8,
}

impl Caught {
    pub(crate) fn failure(self) -> Failure {
        Failure::coded(128 + self.number, "interrupted")
    }
}

/// Interrupts since it was installed. Clones see the same ones.
#[derive(Clone)]
pub(crate) struct Interrupts(watch::Receiver<Option<Caught>>);

impl Interrupts {
    /// From now on interrupts do not end the process by themselves. Those that are ignored stay ignored.
    pub(crate) fn install() -> Result<Self, Failure> {
        let (told, seen) = watch::channel(None);
        signals::forward(told)
            .map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
        Ok(Self(seen))
    }

    /// Waits for the first interrupt, also one that has been.
    pub(crate) async fn caught(&self) -> Caught {
        let mut seen = self.0.clone();
        match seen.wait_for(Option::is_some).await.map(|caught| *caught) {
            Ok(Some(caught)) => caught,
            // The forwarding task ends only with the runtime.
            _ => std::future::pending().await,
        }
    }
}

/// Asks a child to end, and makes it end if it does not within the grace.
pub(crate) async fn end(child: &mut Child) {
    signals::ask(child);
    if timeout(GRACE, child.wait()).await.is_err() {
        // An error means that it has ended in the meantime.
        let _ = child.kill().await;
    }
}

/// The exit code of a child, as a shell tells it: 128 plus the signal's number if that ended it.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| signals::that_ended(status).map(|number| 128 + number))
        .unwrap_or(1)
}

#[cfg(unix)]
mod signals {
    use std::io;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use rustix::process::{Pid, Signal, kill_process};
    use tokio::process::Child;
    use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
    use tokio::sync::watch;

    use super::Caught;
    use crate::ignored::is_ignored;

    const SIGHUP: u8 = 1;
    const SIGINT: u8 = 2;
    const SIGTERM: u8 = 15;

    pub(super) fn forward(told: watch::Sender<Option<Caught>>) -> io::Result<()> {
        let mut hangup = listen(SIGHUP)?;
        let mut interrupt = listen(SIGINT)?;
        let mut terminate = listen(SIGTERM)?;
        tokio::spawn(async move {
            // The first one. Those after it change nothing: the child is being ended.
            let number = tokio::select! {
                () = next(&mut hangup) => SIGHUP,
                () = next(&mut interrupt) => SIGINT,
                () = next(&mut terminate) => SIGTERM,
            };
            told.send_replace(Some(Caught { number }));
            // Kept open, so that nobody mistakes its end for a signal.
            told.closed().await;
        });
        Ok(())
    }

    /// `None` where the signal is ignored.
    fn listen(number: u8) -> io::Result<Option<Signals>> {
        match is_ignored(number) {
            true => Ok(None),
            false => signal(SignalKind::from_raw(number.into())).map(Some),
        }
    }

    async fn next(signals: &mut Option<Signals>) {
        match signals {
            // It has no end.
            Some(signals) => {
                signals.recv().await;
            }
            None => std::future::pending().await,
        }
    }

    /// SIGTERM whatever we caught: a terminal has sent its SIGINT to the child as well, and two of
    /// them mean "at once" to many programs.
    pub(super) fn ask(child: &Child) {
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // Not reaped yet, so the id is still the child's; an error means that it is a zombie.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    pub(super) fn that_ended(status: ExitStatus) -> Option<i32> {
        status.signal()
    }
}

#[cfg(not(unix))]
mod signals {
    use std::io;
    use std::process::ExitStatus;

    use tokio::process::Child;
    use tokio::sync::watch;

    use super::Caught;

    const SIGINT: u8 = 2;

    #[allow(clippy::unnecessary_wraps)] // As its twin.
    pub(super) fn forward(told: watch::Sender<Option<Caught>>) -> io::Result<()> {
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                told.send_replace(Some(Caught { number: SIGINT }));
            }
            told.closed().await;
        });
        Ok(())
    }

    /// There is no way to ask here: it is made to end after the grace.
    pub(super) fn ask(_: &Child) {}

    pub(super) fn that_ended(_: ExitStatus) -> Option<i32> {
        None
    }
}
