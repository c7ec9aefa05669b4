//! Where a fault takes place: one adapter, a server of its own, the holder's process.

use memolock_testkit::{Connection, ServerError, TestServer, Value};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{Mutex, OnceCell};

use super::fault::{Fault, Place};
use crate::{Adapter, cli, eventually, own_server};

/// The tag of every actor: the server is nobody else's.
pub(super) const TAG: &str = "likes";

/// The id that the holder computes and waiters wait for.
pub(super) const HELD: &str = "held";

/// What acts act on.
pub(super) struct Stage {
    /// The adapter of every actor.
    pub(super) adapter: Adapter,
    /// The server.
    pub(super) server: TestServer,
    /// A connection from before the fault, for what no new one may do.
    inside: Mutex<Connection>,
    /// A second server, for those that want one.
    other: OnceCell<TestServer>,
    /// The holder's process.
    holder: OnceCell<u32>,
}

impl Stage {
    /// With a server where the fault wants it.
    pub(super) async fn set(fault: &Fault, adapter: Adapter) -> Result<Self, ServerError> {
        let server = match fault.place {
            Place::Spawned => own_server().await,
            Place::Container => TestServer::start_docker().await?,
        };
        let inside = Mutex::new(server.connect().await?);
        Ok(Self {
            adapter,
            server,
            inside,
            other: OnceCell::new(),
            holder: OnceCell::new(),
        })
    }

    /// Sends one command on a connection of its own.
    pub(super) async fn cli(&self, words: &[&str]) -> Value {
        cli(&self.server, words).await
    }

    /// Sends one command on the connection from before the fault.
    pub(super) async fn inside(&self, words: &[&str]) -> Value {
        let sent = self.inside.lock().await.command(words).await;
        sent.unwrap_or_else(|e| panic!("{words:?}: {e}"))
    }

    /// A number of `INFO`.
    pub(super) async fn counted(&self, section: &str, field: &str) -> u64 {
        let info = self.cli(&["INFO", section]).await;
        let info = info.as_str().unwrap_or_default();
        let line = info.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.trim_start_matches(":count=").parse().ok());
        number
            .or_else(|| line?.strip_prefix(':')?.parse().ok())
            .unwrap_or(0)
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
        let lock = format!("{TAG}/lock:{id}");
        self.cli(&["SET", &lock, "theirs", "PX", "600000"]).await;
    }

    /// How many connections listen for `id`.
    pub(super) async fn listeners(&self, id: &str) -> i64 {
        let channel = format!("{TAG}/notif:{id}");
        let count = self.cli(&["PUBSUB", "NUMSUB", &channel]).await;
        count.items()[1].as_int().unwrap_or(0)
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
        let channel = format!("{TAG}/notif:{id}");
        self.cli(&["PUBLISH", &channel, value]).await;
    }
}
