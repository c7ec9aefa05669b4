//! Where a fault takes place: one adapter, a ground of its own, the holder's process.

use std::sync::Arc;

use memolock::core::Key;
use memolock::{Backend, Notifications};
use memolock_testkit::{Connection, ServerError, TestServer, Value};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{Mutex, OnceCell};

use super::fault::Fault;
use super::succession::Succession;
use crate::{Adapter, Ground, cli, eventually, own_server};

/// The tag of every actor: the ground is nobody else's.
pub(super) const TAG: &str = "likes";

/// The id that the holder computes and waiters wait for.
pub(super) const HELD: &str = "held";

/// What acts act on.
pub(super) struct Stage {
    /// The adapter of every actor.
    pub(super) adapter: Adapter,
    /// Its servers.
    pub(super) ground: Ground,
    /// How everybody is told.
    notifications: Notifications,
    /// Who is struck, and who takes its place.
    pub(super) succession: Succession,
    /// A connection from before the fault, for what no new one may do.
    inside: Mutex<Connection>,
    /// A second server, for those that want one.
    other: OnceCell<TestServer>,
    /// The holder's process.
    holder: OnceCell<u32>,
}

impl Stage {
    /// On the ground that the fault wants.
    pub(super) async fn set(fault: &Fault, adapter: Adapter) -> Result<Self, ServerError> {
        let ground = fault.place.open().await?;
        let name = ground.key(TAG, HELD).value_name();
        let succession = Succession::of(&ground, &name).await?;
        let inside = ground.servers()[succession.old].connect().await?;
        Ok(Self {
            adapter,
            ground,
            notifications: fault.notifications,
            succession,
            inside: Mutex::new(inside),
            other: OnceCell::new(),
            holder: OnceCell::new(),
        })
    }

    /// One more of the fault's adapter, with connections of its own.
    pub(super) async fn connect(&self, fault: &Fault) -> Arc<dyn Backend> {
        let (url, authority) = (self.ground.url(), self.ground.authority());
        let connecting = self
            .adapter
            .connect_trusting(url, fault.bound, authority.as_deref());
        connecting.await
    }

    /// The server that is struck: the one, or the held id's master from before the fault.
    pub(super) fn server(&self) -> &TestServer {
        &self.ground.servers()[self.succession.old]
    }

    /// An id that is wherever the held one is: on a cluster it has its slot, since a hash tag ends with the first
    /// brace.
    pub(super) fn beside(&self, id: &str) -> String {
        match &self.ground {
            Ground::Cluster(_) => format!("{HELD}}}-{id}"),
            _ => id.to_owned(),
        }
    }

    /// The key of an id.
    pub(super) fn key(&self, id: &str) -> Key {
        self.ground.key(TAG, id)
    }

    /// Sends one command, on a connection of its own, to the server that has the held id now.
    pub(super) async fn cli(&self, words: &[&str]) -> Value {
        self.ground
            .command(&self.key(HELD).value_name(), words)
            .await
    }

    /// Sends one command on the connection from before the fault.
    pub(super) async fn inside(&self, words: &[&str]) -> Value {
        let sent = self.inside.lock().await.command(words).await;
        sent.unwrap_or_else(|e| panic!("{words:?}: {e}"))
    }

    /// A number of `INFO`, of all servers together.
    pub(super) async fn counted(&self, section: &str, field: &str) -> u64 {
        let mut all = 0;
        for server in self.ground.servers() {
            // One that is down counts nothing.
            let info = server.command(&["INFO", section]).await;
            all += info.map_or(0, |info| number(info.as_str().unwrap_or_default(), field));
        }
        all
    }

    /// The second server.
    pub(super) async fn other(&self) -> &TestServer {
        self.other.get_or_init(own_server).await
    }

    /// Says which process is the holder's.
    pub(super) fn holds(&self, pid: u32) {
        self.holder.set(pid).expect("there is one holder");
    }

    /// Sends the holder's process a signal.
    pub(super) fn signal_holder(&self, signal: Signal) {
        let pid = self.holder.get().and_then(|pid| i32::try_from(*pid).ok());
        let pid = pid.and_then(Pid::from_raw).expect("a holder's process");
        kill_process(pid, signal).unwrap_or_else(|e| panic!("{signal:?}: {e}"));
    }

    /// Has a foreign program hold the lock of `id` for longer than any fault lasts.
    pub(super) async fn hold_foreign(&self, id: &str) {
        let lock = self.key(id).lock_name();
        let words = ["SET", &lock, "theirs", "PX", "600000"];
        self.ground.command(&lock, &words).await;
    }

    /// The foreign program's lock is gone.
    pub(super) async fn let_go(&self, id: &str) {
        let lock = self.key(id).lock_name();
        self.ground.command(&lock, &["DEL", &lock]).await;
    }

    /// Returns once a replica has what was written before: the lag of one that has just come is no part of a fault.
    pub(super) async fn replicated(&self) {
        let mark = format!("{{{HELD}}}/mark");
        self.inside(&["SET", &mark, "", "PX", "60000"]).await;
        let replicas = self.inside(&["WAIT", "1", "5000"]).await.as_int();
        assert!(replicas >= Some(1), "the replica is not in step");
    }

    /// How many connections listen for `id`.
    pub(super) async fn listeners(&self, id: &str) -> i64 {
        let channel = self.key(id).notif_channel();
        match self.notifications.is_sharded() {
            true => self.ground.sharded_listeners(&channel).await,
            false => self.ground.listeners(&channel).await,
        }
    }

    /// Waits until so many connections listen for `id`.
    pub(super) async fn listening(&self, id: &str, connections: usize) {
        eventually("a listener", || async {
            usize::try_from(self.listeners(id).await) == Ok(connections)
        })
        .await;
    }

    /// Says a value on the channel of `id`, and stores nothing: who has it was woken by push.
    pub(super) async fn publish(&self, id: &str, value: &str) {
        let channel = self.key(id).notif_channel();
        let verb = match self.notifications.is_sharded() {
            true => "SPUBLISH",
            false => "PUBLISH",
        };
        let words = [verb, &channel, value];
        self.ground.command(&channel, &words).await;
    }

    /// Names of all locks.
    pub(super) async fn locks(&self) -> Vec<String> {
        let mut all = Vec::new();
        for master in self.ground.masters().await {
            let names = cli(master, &["KEYS", &format!("{TAG}/lock:*")]).await;
            let names = names.items().iter().filter_map(Value::as_str);
            all.extend(names.map(str::to_owned));
        }
        all
    }

    /// Names of all values, and what is stored there; nothing may be, since it may be evicted meanwhile.
    pub(super) async fn values(&self) -> Vec<(String, Option<String>)> {
        let (mut all, pattern) = (Vec::new(), format!("{TAG}:*"));
        for master in self.ground.masters().await {
            let mut connection = master.connect().await.unwrap_or_else(|e| panic!("{e}"));
            let names = connection.command(&["KEYS", &pattern]).await;
            let names = names.unwrap_or_else(|e| panic!("{e}"));
            for name in names.items().iter().filter_map(Value::as_str) {
                let stored = connection.command(&["GET", name]).await;
                let stored = stored.unwrap_or_else(|e| panic!("{name}: {e}"));
                all.push((name.to_owned(), stored.as_str().map(str::to_owned)));
            }
        }
        all
    }
}

/// The number in a line `field:7` or `field:count=7`.
fn number(info: &str, field: &str) -> u64 {
    let line = info.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.strip_prefix(':'));
    let number = number.map(|number| number.strip_prefix("count=").unwrap_or(number));
    number
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}
