//! Sending commands and scripts over the command connection.

use std::sync::{Arc, LazyLock};

use memolock_core::redis::{Call, Fault, Reply, Script};
use memolock_redis_common::{Boxes, KnownScripts, Trunk, Wire};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value};

use crate::dial::{Redis, knows_scripts};
use crate::error::fault;
use crate::reply::neutral;
use crate::stream::Connection;

/// The command connection, and what is sent over it.
pub(crate) struct Commands {
    trunk: Trunk<Redis>,
    hits: Boxes<Hit, Option<RedisResult<Value>>>,
    known: KnownScripts,
}

/// The connection, and the command.
type Hit = (Arc<Wire<Connection>>, Cmd);

async fn get((wire, command): Hit) -> Option<RedisResult<Value>> {
    let mut sender = wire.sender.clone();
    let sent = sender.send_packed_command(&command);
    wire.patience.within_hit(sent).await
}

impl Commands {
    pub(crate) fn new(trunk: Trunk<Redis>) -> Self {
        Self {
            trunk,
            hits: Boxes::new(get),
            known: KnownScripts::default(),
        }
    }

    pub(crate) fn trunk(&self) -> &Trunk<Redis> {
        &self.trunk
    }

    /// Whether the server runs scripts, once the first attempt to connect has ended. What it fails with, commands
    /// will meet.
    pub(crate) async fn knows_scripts(&self) -> Result<(), Fault> {
        match self.trunk.link().settled().await {
            Ok(mut wire) => {
                let known = wire.patience.within(knows_scripts(&mut wire.sender));
                // Whoever sends something meets a server that does not answer.
                let known = known.await.unwrap_or(Ok(()));
                known.map_err(|fault| fault.at(self.trunk.address()))
            }
            Err(_) => Ok(()),
        }
    }

    /// As [`send`](Self::send), for the command of every hit.
    pub(crate) async fn hit(&self, command: Cmd) -> Result<Reply, Fault> {
        let Some(Ok(wire)) = self.trunk.link().now() else {
            // In a box: it is large, and rare.
            return Box::pin(async move { self.send(&command).await }).await;
        };
        self.trunk.count();
        let nth = wire.nth;
        let answer = self.hits.call((wire, command)).await;
        self.ended(nth, answer).await
    }

    /// Sends one command and waits for its reply, within the bound. An error reply is an error.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Reply, Fault> {
        let wire = match self.trunk.link().now() {
            Some(verdict) => verdict.map(|wire| Wire::clone(&wire)),
            None => self.trunk.wait().await,
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

    /// Runs a script: by its text until it has run over this connection, then by its digest; and by its text if the
    /// server has forgotten it, as it does after a `SCRIPT FLUSH`. The one command that is ever sent again: the server
    /// said that it did nothing.
    pub(crate) async fn run(&self, call: &Call) -> Result<Reply, Fault> {
        let nth = self.trunk.nth();
        if self.known.has(call.script, nth) {
            match self.send(&by_digest(call)).await {
                Err(fault) if fault.is_noscript() => self.known.forgotten(call.script),
                outcome => return outcome,
            }
        }
        let outcome = self.send(&by_text(call)).await;
        if outcome.is_ok() {
            self.known.ran(call.script, nth);
        }
        outcome
    }

    /// As [`send`](Self::send), behind an `ASKING` in the same write: nothing comes between them.
    pub(crate) async fn send_asking(&self, command: Cmd) -> Result<Reply, Fault> {
        let mut wire = match self.trunk.link().now() {
            Some(verdict) => Wire::clone(&*verdict?),
            None => self.trunk.wait().await?,
        };
        self.trunk.count();
        let asked = after_asking(&mut wire.sender, command);
        let answer = wire.patience.within(asked).await;
        self.ended(wire.nth, answer).await
    }

    /// As [`run`](Self::run), behind an `ASKING`.
    pub(crate) async fn run_asking(&self, call: &Call) -> Result<Reply, Fault> {
        match self.send_asking(by_digest(call)).await {
            Err(fault) if fault.is_noscript() => self.send_asking(by_text(call)).await,
            outcome => outcome,
        }
    }

    async fn send_over(&self, mut wire: Wire<Connection>, command: &Cmd) -> Result<Reply, Fault> {
        self.trunk.count();
        let sent = wire.sender.send_packed_command(command);
        let answer = wire.patience.within(sent).await;
        self.ended(wire.nth, answer).await
    }

    /// What a caller is told; `None` if there was no answer in time.
    async fn ended(&self, nth: u64, answer: Option<RedisResult<Value>>) -> Result<Reply, Fault> {
        let Some(answer) = answer else {
            return Err(self.trunk.late());
        };
        match answer.and_then(Value::extract_error) {
            Ok(value) => Ok(neutral(value)),
            Err(error) => Err(self.trunk.failed(nth, fault(error)).await),
        }
    }
}

/// Sends a command behind an `ASKING` in the same write: nothing comes between them.
pub(crate) async fn after_asking(
    connection: &mut MultiplexedConnection,
    command: Cmd,
) -> RedisResult<Value> {
    let mut pair = redis::Pipeline::with_capacity(2);
    pair.cmd("ASKING").ignore().add_command(command);
    // The first answer is that to `ASKING`.
    let outcome = connection.send_packed_commands(&pair, 1, 1).await;
    outcome.map(|mut answers| answers.pop().unwrap_or(Value::Nil))
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
