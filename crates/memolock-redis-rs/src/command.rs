//! Sending commands and scripts over the command connection.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use memolock_core::ErrorKind;
use memolock_core::redis::{Call, Fault, Reply, Script};
use memolock_redis_common::{Counters, Doubt, Ends, Link, Purpose, Site, Tenant, heartbeat};
use redis::{Cmd, Value};
use tokio::time::Instant;

use crate::dial::{Line, Redis, knows_scripts};
use crate::error::fault;
use crate::reply::neutral;
use crate::stream::Connection;

/// How long a command that met a dead connection waits for the link's task to notice. It takes
/// microseconds; the bound is for a process that is short of processor time.
const NOTICING: Duration = Duration::from_millis(100);

/// A connection, and the how many-th it is: a dead one is told from its successor by that.
#[derive(Clone)]
pub(crate) struct Wire {
    connection: Connection,
    nth: u64,
}

/// The command connection.
pub(crate) struct Commands {
    link: Link<Wire>,
    counters: Arc<Counters>,
    doubts: [Doubt; 2],
    site: Arc<Site<Redis>>,
    bound: Duration,
}

impl Commands {
    /// Opens the link. `other` is the doubt of the subscription connection: a server that does not
    /// answer here may not answer there.
    pub(crate) fn open(site: &Arc<Site<Redis>>, counters: &Arc<Counters>, other: Doubt) -> Self {
        let options = &site.options;
        let doubt = Doubt::default();
        let tenant = Keeper {
            counters: Arc::clone(counters),
            doubt: doubt.clone(),
            interval: options.heartbeat,
            made: 0,
        };
        Self {
            link: Link::open(site, Purpose::Commands, tenant, counters),
            counters: Arc::clone(counters),
            doubts: [doubt, other],
            site: Arc::clone(site),
            bound: options.command_timeout,
        }
    }

    pub(crate) fn link(&self) -> &Link<Wire> {
        &self.link
    }

    /// Whether the server runs scripts, once the first attempt to connect has ended. What it fails with, commands
    /// will meet.
    pub(crate) async fn knows_scripts(&self) -> Result<(), Fault> {
        match self.link.settled().await {
            Ok(mut wire) => {
                let known = knows_scripts(&mut wire.connection).await;
                known.map_err(|fault| fault.at(&self.site.address))
            }
            Err(_) => Ok(()),
        }
    }

    /// Sends one command and waits for its reply, within the bound. An error reply is an error.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Reply, Fault> {
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
    pub(crate) async fn run(&self, call: &Call) -> Result<Reply, Fault> {
        match self.send(&by_digest(call)).await {
            Err(fault) if fault.is_noscript() => self.send(&by_text(call)).await,
            outcome => outcome,
        }
    }

    /// As [`send`](Self::send), behind an `ASKING` in the same write: nothing comes between them.
    pub(crate) async fn send_asking(&self, command: Cmd) -> Result<Reply, Fault> {
        let mut wire = match self.link.now() {
            Some(verdict) => verdict?,
            None => self.wait().await?,
        };
        let mut pair = redis::Pipeline::with_capacity(2);
        pair.cmd("ASKING").ignore().add_command(command);
        self.counters.command();
        // The first answer is that to `ASKING`.
        let outcome = wire.connection.send_packed_commands(&pair, 1, 1).await;
        let answer = outcome.map(|mut answers| answers.pop().unwrap_or(Value::Nil));
        match answer.and_then(Value::extract_error) {
            Ok(value) => Ok(neutral(value)),
            Err(error) => Err(self.failed(wire.nth, fault(error)).await),
        }
    }

    /// As [`run`](Self::run), behind an `ASKING`.
    pub(crate) async fn run_asking(&self, call: &Call) -> Result<Reply, Fault> {
        match self.send_asking(by_digest(call)).await {
            Err(fault) if fault.is_noscript() => self.send_asking(by_text(call)).await,
            outcome => outcome,
        }
    }

    /// The first attempt to connect is under way: part of the bound goes by, the rest is the command's.
    async fn wait(&self) -> Result<Wire, Fault> {
        let since = Instant::now();
        let settled = tokio::time::timeout(self.bound, self.link.settled()).await;
        let mut wire = settled.map_err(|_| Fault::still_connecting())??;
        let rest = self.bound.saturating_sub(since.elapsed());
        let rest = rest.max(Duration::from_millis(1));
        wire.connection.set_response_timeout(rest);
        Ok(wire)
    }

    async fn send_over(&self, mut wire: Wire, command: &Cmd) -> Result<Reply, Fault> {
        self.counters.command();
        let outcome = wire.connection.send_packed_command(command).await;
        match outcome.and_then(Value::extract_error) {
            Ok(value) => Ok(neutral(value)),
            Err(error) => Err(self.failed(wire.nth, fault(error)).await),
        }
    }

    async fn failed(&self, nth: u64, fault: Fault) -> Fault {
        match fault.kind() {
            ErrorKind::Timeout => {
                self.doubts.iter().for_each(Doubt::raise);
                Fault::late(self.bound)
            }
            ErrorKind::Unavailable => {
                // The next command shall find the link connecting and wait, rather than fail on the
                // same dead connection.
                let noticed = self.link.noticed(|wire| wire.nth == nth);
                let _ = tokio::time::timeout(NOTICING, noticed).await;
                fault
            }
            _ => {
                if let (true, Some(sentinels)) = (fault.is_readonly(), &self.site.sentinels) {
                    // A master that has been demoted: both connections ask for its role, and part.
                    sentinels.ask();
                    self.doubts.iter().for_each(Doubt::raise);
                }
                fault
            }
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

impl Tenant<Redis> for Keeper {
    type Handle = Wire;

    fn handle(&mut self, line: &Line) -> Wire {
        self.made += 1;
        Wire {
            connection: line.ends.sender(),
            nth: self.made,
        }
    }

    async fn serve(&mut self, mut line: Line) -> Fault {
        let mut beat = heartbeat(self.interval);
        loop {
            tokio::select! {
                // In the same order in every run, for simulations.
                biased;
                fault = line.ends.ended() => return fault,
                name = line.names.changed() => {
                    line.ends.rename(name).await;
                    continue;
                }
                _ = beat.tick() => {}
                () = self.doubt.raised() => {}
            }
            self.counters.command();
            // If the connection breaks meanwhile, the ping fails.
            let is_master = line.place.is_some();
            if let Err(fault) = line.ends.sign_of_life(is_master).await {
                return fault;
            }
        }
    }
}

/// A script for a server that knows it.
pub(crate) fn by_digest(call: &Call) -> Cmd {
    packed("EVALSHA", &DIGESTS[call.script as usize], call)
}

/// A script for a server that has forgotten it.
pub(crate) fn by_text(call: &Call) -> Cmd {
    packed("EVAL", call.script.text(), call)
}

/// A script with its keys and arguments, in one allocation.
fn packed(verb: &str, script: &str, call: &Call) -> Cmd {
    let Call { keys, args, .. } = call;
    let keys_len: usize = keys.iter().map(String::len).sum();
    let args_len: usize = args.iter().map(bytes::Bytes::len).sum();
    let fixed = verb.len() + script.len() + 8;
    let count = 3 + keys.len() + args.len();
    let mut command = Cmd::with_capacity(count, fixed + keys_len + args_len);
    command.arg(verb).arg(script).arg(keys.len());
    for key in keys {
        command.arg(key);
    }
    for arg in args {
        command.arg(arg.as_ref());
    }
    command
}

/// The scripts' digests, computed once per process.
static DIGESTS: LazyLock<[String; Script::ALL.len()]> =
    LazyLock::new(|| Script::ALL.map(|script| digest(script.text())));

fn digest(text: &str) -> String {
    redis::Script::new(text).get_hash().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_server() {
        assert_eq!(
            digest("return 1"),
            "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
        );
    }

    #[test]
    fn a_script_is_sent_with_its_keys_and_arguments_as_they_are() {
        let call = Call {
            script: Script::Put,
            keys: vec!["k".into(), String::new()],
            args: vec![b"\xff\0"[..].into(), "".into()],
        };
        let sent = b"*7\r\n$4\r\nEVAL\r\n$1\r\nx\r\n$1\r\n2\r\n$1\r\nk\r\n$0\r\n\r\n$2\r\n\xff\0\r\n$0\r\n\r\n";
        assert_eq!(packed("EVAL", "x", &call).get_packed_command(), sent);
    }
}
