//! Sending commands and scripts over the command connection.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::{CustomCommand, Value};
use memolock_core::ErrorKind;
use memolock_core::redis::{Call, Fault, Reply, Script};
use memolock_redis_common::{Boxes, KnownScripts, Trunk, Wire};

use crate::dial::{Fred, ask, knows_scripts};
use crate::error::fault;
use crate::reply;

/// The command connection, and what is sent over it.
pub(crate) struct Commands {
    trunk: Trunk<Fred>,
    hits: Boxes<Hit, Option<Result<Value, Error>>>,
    known: KnownScripts,
}

/// The connection, and the name of what is asked for.
type Hit = (Arc<Wire<Client>>, String);

async fn get((wire, name): Hit) -> Option<Result<Value, Error>> {
    let sent = wire.sender.get(name.as_str());
    wire.patience.within_get(&name, sent).await
}

/// What is sent.
pub(crate) enum Command<'a> {
    /// fred's own `GET`: it alone may share a write with its neighbours.
    Get(String),
    GetMany(Vec<String>),
    Known(&'a Call),
    Whole(&'a Call),
    /// Any other, word by word, behind an `ASKING` if so.
    Words(&'static str, Vec<Value>, bool),
}

impl Commands {
    pub(crate) fn new(trunk: Trunk<Fred>) -> Self {
        Self {
            trunk,
            hits: Boxes::new(get),
            known: KnownScripts::default(),
        }
    }

    pub(crate) fn trunk(&self) -> &Trunk<Fred> {
        &self.trunk
    }

    /// Whether the server runs scripts, once the first attempt to connect has ended. What it fails with, commands
    /// will meet.
    pub(crate) async fn knows_scripts(&self) -> Result<(), Fault> {
        match self.trunk.link().settled().await {
            Ok(wire) => {
                let known = wire.patience.within(knows_scripts(&wire.sender));
                // Whoever sends something meets a server that does not answer.
                let known = known.await.unwrap_or(Ok(()));
                known.map_err(|fault| fault.at(self.trunk.address()))
            }
            Err(_) => Ok(()),
        }
    }

    /// Runs a script: by its text until it has run over this connection, then by its digest; and by its text if the
    /// server has forgotten it, as it does after a `SCRIPT FLUSH`. The one command that is ever sent again: the server
    /// said that it did nothing.
    pub(crate) async fn script(&self, call: &Call) -> Result<Reply, Fault> {
        let nth = self.trunk.nth();
        if self.known.has(call.script, nth) {
            match self.send(Command::Known(call)).await {
                Err(fault) if fault.is_noscript() => self.known.forgotten(call.script),
                outcome => return outcome,
            }
        }
        let outcome = self.send(Command::Whole(call)).await;
        if outcome.is_ok() {
            self.known.ran(call.script, nth);
        }
        outcome
    }

    /// A command, word by word, behind an `ASKING` if so.
    pub(crate) async fn words(&self, words: &[Bytes], asking: bool) -> Result<Reply, Fault> {
        let mut words = words.iter();
        let verb = words.next().map_or(&b""[..], |verb| verb);
        let rest = words.cloned().map(Value::Bytes).collect();
        // fred wants the names of commands to be constants.
        let known = VERBS.iter().find(|known| known.as_bytes() == verb);
        match known {
            Some(verb) => self.send(Command::Words(verb, rest, asking)).await,
            None => Err(Fault::new(
                ErrorKind::Unsupported,
                "a command of no use here",
            )),
        }
    }

    /// As [`script`](Self::script), behind an `ASKING`.
    pub(crate) async fn script_asking(&self, call: &Call) -> Result<Reply, Fault> {
        let digest = DIGESTS[call.script as usize].as_str();
        let known = Command::Words("EVALSHA", words(digest, call), true);
        match self.send(known).await {
            Err(fault) if fault.is_noscript() => {
                let whole = words(call.script.text(), call);
                self.send(Command::Words("EVAL", whole, true)).await
            }
            outcome => outcome,
        }
    }

    /// fred's own `GET`.
    pub(crate) async fn get_named(&self, name: String) -> Result<Reply, Fault> {
        let Some(Ok(wire)) = self.trunk.link().now() else {
            // In a box: it is large, and rare.
            return Box::pin(self.send(Command::Get(name))).await;
        };
        self.trunk.count();
        let nth = wire.nth;
        match self.hits.call((wire, name)).await {
            Some(Ok(value)) => Ok(reply::of_value(value)),
            Some(Err(error)) => Err(self.trunk.failed(nth, fault(error)).await),
            None => Err(self.trunk.late()),
        }
    }

    /// Sends one command and waits for its reply, within the bound. An error reply is an error.
    pub(crate) async fn send(&self, command: Command<'_>) -> Result<Reply, Fault> {
        match self.trunk.link().now() {
            Some(Ok(wire)) => self.send_over(&wire, command).await,
            Some(Err(fault)) => {
                // It took no time. Who tries again in a loop must not keep the task that mends the
                // link from running.
                tokio::task::yield_now().await;
                Err(fault)
            }
            None => self.send_later(command).await,
        }
    }

    /// The first attempt to connect is under way.
    async fn send_later(&self, command: Command<'_>) -> Result<Reply, Fault> {
        let wire = self.trunk.wait().await?;
        self.send_over(&wire, command).await
    }

    async fn send_over(&self, wire: &Wire<Client>, command: Command<'_>) -> Result<Reply, Fault> {
        self.trunk.count();
        // fred does not show the bytes that pass.
        let sent = wire.patience.transfers.sends(command.bytes());
        let Some(outcome) = wire.patience.within(sent_over(&wire.sender, command)).await else {
            return Err(self.trunk.late());
        };
        if let Some(sent) = sent {
            sent.answered();
        }
        match outcome {
            Ok(reply) => Ok(reply),
            Err(fault) => Err(self.trunk.failed(wire.nth, fault).await),
        }
    }
}

impl Command<'_> {
    /// About so many bytes are sent.
    fn bytes(&self) -> usize {
        match self {
            Self::Get(_) | Self::GetMany(_) => 0,
            Self::Known(call) | Self::Whole(call) => call.bytes(),
            Self::Words(_, words, _) => {
                let lens = words.iter().map(|word| match word {
                    Value::Bytes(bytes) => bytes.len(),
                    Value::String(text) => text.len(),
                    _ => 0,
                });
                lens.sum()
            }
        }
    }
}

async fn sent_over(client: &Client, command: Command<'_>) -> Result<Reply, Fault> {
    match command {
        Command::Get(name) => match client.get::<Value, _>(name).await {
            Ok(value) => Ok(reply::of_value(value)),
            Err(error) => Err(fault(error)),
        },
        Command::GetMany(names) => {
            let names = names.into_iter().map(Value::from).collect();
            ask(client, "MGET", names).await
        }
        Command::Known(call) => {
            let digest = DIGESTS[call.script as usize].as_str();
            ask(client, "EVALSHA", words(digest, call)).await
        }
        Command::Whole(call) => ask(client, "EVAL", words(call.script.text(), call)).await,
        Command::Words(verb, words, false) => ask(client, verb, words).await,
        Command::Words(verb, words, true) => asking(client, verb, words).await,
    }
}

/// What is sent word by word.
const VERBS: [&str; 9] = [
    "CLUSTER", "DEL", "GET", "MGET", "PTTL", "PUBLISH", "PUBSUB", "SET", "SPUBLISH",
];

/// An `ASKING` and a command in one go: nobody's command comes between them.
pub(crate) async fn asking(
    client: &Client,
    verb: &'static str,
    args: Vec<Value>,
) -> Result<Reply, Fault> {
    let pair = client.pipeline();
    let of = |verb| CustomCommand::new_static(verb, None::<u16>, false);
    // They only queue.
    let _: () = pair
        .custom(of("ASKING"), Vec::<Value>::new())
        .await
        .map_err(fault)?;
    let _: () = pair.custom(of(verb), args).await.map_err(fault)?;
    match pair.try_all::<Value>().await.pop() {
        Some(Ok(value)) => Ok(reply::of_value(value)),
        Some(Err(error)) => Err(fault(error)),
        None => Err(Fault::lost()),
    }
}

/// The arguments of `EVAL` and `EVALSHA`.
pub(crate) fn words(script: &str, call: &Call) -> Vec<Value> {
    let Call { keys, args, .. } = call;
    let mut words = Vec::with_capacity(2 + keys.len() + args.len());
    words.push(Value::from(script));
    words.push(Value::from(keys.len().to_string()));
    words.extend(keys.iter().map(Value::from));
    words.extend(args.iter().cloned().map(Value::Bytes));
    words
}

/// The scripts' digests, computed once per process.
static DIGESTS: LazyLock<[String; Script::ALL.len()]> =
    LazyLock::new(|| Script::ALL.map(|script| fred::util::sha1_hash(script.text())));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_server() {
        assert_eq!(
            fred::util::sha1_hash("return 1"),
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
        let expected: Vec<Value> = vec![
            "x".into(),
            "2".into(),
            "k".into(),
            "".into(),
            Value::Bytes(b"\xff\0"[..].into()),
            Value::Bytes("".into()),
        ];
        assert_eq!(words("x", &call), expected);
    }
}
