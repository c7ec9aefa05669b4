//! Sending commands and scripts over the command connection.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::{CustomCommand, Value};
use memolock_core::ErrorKind;
use memolock_core::redis::{Call, Fault, Reply, Script};
use memolock_redis_common::{Counters, Doubt, Ends, Link, Purpose, Site, Tenant, heartbeat};
use tokio::time::Instant;

use crate::dial::{Fred, Line, ask, knows_scripts};
use crate::error::fault;
use crate::reply;

/// How long a command that met a dead connection waits for the link's task to notice. It takes
/// microseconds; the bound is for a process that is short of processor time.
const NOTICING: Duration = Duration::from_millis(100);

/// A connection, and the how many-th it is: a dead one is told from its successor by that.
#[derive(Clone)]
pub(crate) struct Wire {
    client: Client,
    nth: u64,
}

/// The command connection.
pub(crate) struct Commands {
    link: Link<Wire>,
    counters: Arc<Counters>,
    doubts: [Doubt; 2],
    site: Arc<Site<Fred>>,
    bound: Duration,
}

/// What is sent.
enum Command<'a> {
    /// fred's own `GET`: it alone may share a write with its neighbours.
    Get(String),
    GetMany(Vec<String>),
    Known(&'a Call),
    Whole(&'a Call),
    /// Any other, word by word, behind an `ASKING` if so.
    Words(&'static str, Vec<Value>, bool),
}

impl Commands {
    /// Opens the link. `other` is the doubt of the subscription connection: a server that does not
    /// answer here may not answer there.
    pub(crate) fn open(site: &Arc<Site<Fred>>, counters: &Arc<Counters>, other: Doubt) -> Self {
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
            Ok(wire) => {
                let known = knows_scripts(&wire.client).await;
                known.map_err(|fault| fault.at(&self.site.address))
            }
            Err(_) => Ok(()),
        }
    }

    /// `GET`.
    pub(crate) async fn get(&self, name: String) -> Result<Reply, Fault> {
        self.send(Command::Get(name)).await
    }

    /// `MGET`.
    pub(crate) async fn get_many(&self, names: Vec<String>) -> Result<Reply, Fault> {
        self.send(Command::GetMany(names)).await
    }

    /// Runs a script: by its digest, and by its text if the server has forgotten it, as it does
    /// after a restart or a `SCRIPT FLUSH`. The one command that is ever sent again: the server said
    /// that it did nothing.
    pub(crate) async fn run(&self, call: &Call) -> Result<Reply, Fault> {
        match self.send(Command::Known(call)).await {
            Err(fault) if fault.is_noscript() => self.send(Command::Whole(call)).await,
            outcome => outcome,
        }
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

    /// As [`run`](Self::run), behind an `ASKING`.
    pub(crate) async fn run_asking(&self, call: &Call) -> Result<Reply, Fault> {
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

    /// Sends one command and waits for its reply, within the bound. An error reply is an error.
    async fn send(&self, command: Command<'_>) -> Result<Reply, Fault> {
        match self.link.now() {
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

    /// The first attempt to connect is under way: part of the bound goes by, the rest is the command's.
    async fn send_later(&self, command: Command<'_>) -> Result<Reply, Fault> {
        let since = Instant::now();
        let settled = tokio::time::timeout(self.bound, self.link.settled()).await;
        let wire = settled.map_err(|_| Fault::still_connecting())??;
        let rest = self.bound.saturating_sub(since.elapsed());
        let rest = rest.max(Duration::from_millis(1));
        match tokio::time::timeout(rest, self.send_over(&wire, command)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.late()),
        }
    }

    async fn send_over(&self, wire: &Wire, command: Command<'_>) -> Result<Reply, Fault> {
        self.counters.command();
        let outcome = match command {
            Command::Get(name) => match wire.client.get::<Value, _>(name).await {
                Ok(value) => Ok(reply::of_value(value)),
                Err(error) => Err(fault(error)),
            },
            Command::GetMany(names) => {
                let names = names.into_iter().map(Value::from).collect();
                ask(&wire.client, "MGET", names).await
            }
            Command::Known(call) => {
                let digest = DIGESTS[call.script as usize].as_str();
                ask(&wire.client, "EVALSHA", words(digest, call)).await
            }
            Command::Whole(call) => {
                ask(&wire.client, "EVAL", words(call.script.text(), call)).await
            }
            Command::Words(verb, words, false) => ask(&wire.client, verb, words).await,
            Command::Words(verb, words, true) => asking(&wire.client, verb, words).await,
        };
        match outcome {
            Ok(reply) => Ok(reply),
            Err(fault) => Err(self.failed(wire.nth, fault).await),
        }
    }

    async fn failed(&self, nth: u64, fault: Fault) -> Fault {
        match fault.kind() {
            ErrorKind::Timeout => self.late(),
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

    fn late(&self) -> Fault {
        self.doubts.iter().for_each(Doubt::raise);
        Fault::late(self.bound)
    }
}

/// Keeps the command connection honest: it is in use elsewhere, and is checked here.
struct Keeper {
    counters: Arc<Counters>,
    doubt: Doubt,
    interval: Duration,
    made: u64,
}

impl Tenant<Fred> for Keeper {
    type Handle = Wire;

    fn handle(&mut self, line: &Line) -> Wire {
        self.made += 1;
        Wire {
            client: line.ends.sender(),
            nth: self.made,
        }
    }

    async fn serve(&mut self, mut line: Line) -> Fault {
        let mut beat = heartbeat(self.interval);
        loop {
            tokio::select! {
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

/// What is sent word by word.
const VERBS: [&str; 9] = [
    "CLUSTER", "DEL", "GET", "MGET", "PTTL", "PUBLISH", "PUBSUB", "SET", "SPUBLISH",
];

/// An `ASKING` and a command in one go: nobody's command comes between them.
async fn asking(client: &Client, verb: &'static str, args: Vec<Value>) -> Result<Reply, Fault> {
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
fn words(script: &str, call: &Call) -> Vec<Value> {
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
