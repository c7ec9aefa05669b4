//! Sending commands and scripts over the command connection.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use memolock_core::{ErrorKind, scripts};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};
use tokio::time::Instant;

use crate::builder::Options;
use crate::counters::Counters;
use crate::dial::{Dialer, Line, is_end, ping};
use crate::error::Fault;
use crate::link::{Doubt, Link, Tenant, heartbeat, still_connecting};

/// How long a command that met a dead connection waits for the link's task to notice. It takes
/// microseconds; the bound is for a process that is short of processor time.
const NOTICING: Duration = Duration::from_millis(100);

/// A connection, and the how many-th it is: a dead one is told from its successor by that.
#[derive(Clone)]
pub(crate) struct Wire {
    connection: MultiplexedConnection,
    nth: u64,
}

/// The command connection.
pub(crate) struct Commands {
    link: Link<Wire>,
    counters: Arc<Counters>,
    doubts: [Doubt; 2],
    bound: Duration,
}

impl Commands {
    /// Opens the link. `other` is the doubt of the subscription connection: a server that does not
    /// answer here may not answer there.
    pub(crate) fn open(
        dialer: Dialer,
        options: &Options,
        counters: &Arc<Counters>,
        other: Doubt,
    ) -> Self {
        let doubt = Doubt::default();
        let tenant = Keeper {
            counters: Arc::clone(counters),
            doubt: doubt.clone(),
            interval: options.heartbeat,
            made: 0,
        };
        Self {
            link: Link::open(dialer, tenant, options, counters),
            counters: Arc::clone(counters),
            doubts: [doubt, other],
            bound: options.command_timeout,
        }
    }

    pub(crate) fn link(&self) -> &Link<Wire> {
        &self.link
    }

    /// Sends one command and waits for its reply, within the bound. An error reply is an error.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, Fault> {
        let wire = match self.link.now() {
            Some(verdict) => verdict,
            None => self.wait().await,
        };
        match wire {
            Ok(wire) => self.send_over(wire, command).await,
            Err(fault) => {
                // It took no time. Who tries again in a loop must not keep the task that mends the
                // link from running.
                tokio::task::yield_now().await;
                Err(fault)
            }
        }
    }

    /// Runs a script: by its digest, and by its text if the server has forgotten it, as it does
    /// after a restart or a `SCRIPT FLUSH`. The one command that is ever sent again: the server said
    /// that it did nothing.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[&[u8]],
    ) -> Result<Value, Fault> {
        let known = script.command("EVALSHA", &script.sha, keys, args);
        match self.send(&known).await {
            Err(fault) if fault.detail().starts_with("NOSCRIPT") => {
                let text = script.command("EVAL", script.text, keys, args);
                self.send(&text).await
            }
            outcome => outcome,
        }
    }

    /// The first attempt to connect is under way: part of the bound goes by, the rest is the command's.
    async fn wait(&self) -> Result<Wire, Fault> {
        let since = Instant::now();
        let settled = tokio::time::timeout(self.bound, self.link.settled()).await;
        let mut wire = settled.map_err(|_| still_connecting())??;
        let rest = self.bound.saturating_sub(since.elapsed());
        let rest = rest.max(Duration::from_millis(1));
        wire.connection.set_response_timeout(rest);
        Ok(wire)
    }

    async fn send_over(&self, mut wire: Wire, command: &Cmd) -> Result<Value, Fault> {
        self.counters.command();
        let outcome = wire.connection.send_packed_command(command).await;
        match outcome.and_then(Value::extract_error) {
            Ok(value) => Ok(value),
            Err(error) => Err(self.failed(wire.nth, error.into()).await),
        }
    }

    async fn failed(&self, nth: u64, fault: Fault) -> Fault {
        match fault.kind() {
            ErrorKind::Timeout => {
                self.doubts.iter().for_each(Doubt::raise);
                Fault::new(ErrorKind::Timeout, format!("after {:?}", self.bound))
            }
            ErrorKind::Unavailable => {
                // The next command shall find the link connecting and wait, rather than fail on the
                // same dead connection.
                let noticed = self.link.noticed(|wire| wire.nth == nth);
                let _ = tokio::time::timeout(NOTICING, noticed).await;
                fault
            }
            _ => fault,
        }
    }
}

/// Keeps the command connection honest: it is in use elsewhere, and is checked here.
struct Keeper {
    counters: Arc<Counters>,
    doubt: Doubt,
    interval: Duration,
    made: u64,
}

impl Tenant for Keeper {
    type Handle = Wire;
    const PURPOSE: &'static str = "commands";

    fn handle(&mut self, line: &Line) -> Wire {
        self.made += 1;
        Wire {
            connection: line.connection.clone(),
            nth: self.made,
        }
    }

    async fn serve(&mut self, mut line: Line) -> Fault {
        let mut beat = heartbeat(self.interval);
        loop {
            tokio::select! {
                push = line.pushes.recv() => match is_end(push.as_ref()) {
                    true => return Fault::lost(),
                    false => continue,
                },
                _ = beat.tick() => {}
                () = self.doubt.raised() => {}
            }
            self.counters.command();
            // If the connection breaks meanwhile, the ping fails.
            if let Err(fault) = ping(&mut line.connection).await {
                return fault;
            }
        }
    }
}

/// One of the core's scripts and its digest.
pub(crate) struct Script {
    text: &'static str,
    sha: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        let sha = redis::Script::new(text).get_hash().to_owned();
        Self { text, sha }
    }

    fn command(&self, verb: &str, script: &str, keys: &[&str], args: &[&[u8]]) -> Cmd {
        let keys_len: usize = keys.iter().map(|key| key.len()).sum();
        let args_len: usize = args.iter().map(|arg| arg.len()).sum();
        let fixed = verb.len() + script.len() + 8;
        let count = 3 + keys.len() + args.len();
        let mut command = Cmd::with_capacity(count, fixed + keys_len + args_len);
        command.arg(verb).arg(script).arg(keys.len());
        for key in keys {
            command.arg(*key);
        }
        for arg in args {
            command.arg(*arg);
        }
        command
    }
}

/// The core's scripts, their digests computed once per process.
pub(crate) struct Scripts {
    pub(crate) acquire: Script,
    pub(crate) fulfil: Script,
    pub(crate) renew: Script,
    pub(crate) release: Script,
    pub(crate) put: Script,
    pub(crate) invalidate: Script,
    pub(crate) inspect: Script,
}

pub(crate) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts {
    acquire: Script::new(scripts::ACQUIRE),
    fulfil: Script::new(scripts::FULFIL),
    renew: Script::new(scripts::RENEW),
    release: Script::new(scripts::RELEASE),
    put: Script::new(scripts::PUT),
    invalidate: Script::new(scripts::INVALIDATE),
    inspect: Script::new(scripts::INSPECT),
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_server() {
        let script = Script::new("return 1");
        assert_eq!(script.sha, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }

    #[test]
    fn a_script_is_sent_with_its_keys_and_arguments_as_they_are() {
        let command = Script::new("x").command("EVAL", "x", &["k", ""], &[b"\xff\0", b""]);
        let packed = b"*7\r\n$4\r\nEVAL\r\n$1\r\nx\r\n$1\r\n2\r\n$1\r\nk\r\n$0\r\n\r\n$2\r\n\xff\0\r\n$0\r\n\r\n";
        assert_eq!(command.get_packed_command(), packed);
    }
}
