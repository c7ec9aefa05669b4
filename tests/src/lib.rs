//! What the tests against real servers share.

mod adapter;
mod case;
pub mod faults;
mod ground;
pub mod hang;
pub mod interop;
mod languages;
pub mod model;
mod peer;
mod scripted;
#[cfg(target_os = "linux")]
pub mod soak;

pub use adapter::{Adapter, Call, Ours, end_of, pool};
pub use case::{Case, matrix};
pub use ground::Ground;
pub use languages::{Language, python};
pub use peer::{Crowd, Event, Peer, Style};
pub use scripted::{Fate, Scripted, Sent};

use std::time::Duration;

use memolock::core::Key;
use memolock::redis_rs::RedisBackend;
use memolock::{Error, Memolock};
use memolock_testkit::{TestServer, Value};

/// A second.
pub const SECOND: Duration = Duration::from_secs(1);

/// A bound that only a hang would miss, however loaded the machine is.
pub const HANG: Duration = Duration::from_secs(30);

/// A server for one test: from wherever the test kit gets one. See its documentation.
///
/// # Panics
/// If there is none; the message says how to get one.
pub async fn server() -> TestServer {
    TestServer::start().await.unwrap_or_else(|e| panic!("{e}"))
}

/// A server of the test's own, to be killed, paused and counted on.
///
/// # Panics
/// If there is none; the message says how to get one.
pub async fn own_server() -> TestServer {
    TestServer::start_local()
        .await
        .unwrap_or_else(|e| panic!("{e}"))
}

/// A backend to `server`, with a heartbeat fast enough for tests.
///
/// # Panics
/// If it cannot connect.
pub async fn backend(server: &TestServer) -> RedisBackend {
    RedisBackend::builder(server.url())
        .heartbeat(SECOND / 2)
        .connect()
        .await
        .unwrap_or_else(|e| panic!("{e}"))
}

/// One "process": a backend and a memolock of its own. Values are plain text, as the ancestors store them.
pub struct Process {
    /// Its client.
    pub likes: Memolock<String, memolock::codec::Text>,
    /// Its connections.
    pub backend: RedisBackend,
}

impl Process {
    /// Starts one over `server`.
    ///
    /// # Panics
    /// If it cannot connect.
    pub async fn start(server: &TestServer, tag: &str) -> Self {
        Self::with(server, tag, 60 * SECOND, 5 * SECOND).await
    }

    /// Starts one with these times.
    ///
    /// # Panics
    /// If it cannot connect.
    pub async fn with(server: &TestServer, tag: &str, ttl: Duration, lease: Duration) -> Self {
        let backend = backend(server).await;
        let likes = Memolock::<String>::builder(tag, backend.clone())
            .codec(memolock::codec::Text)
            .ttl(ttl)
            .lease(lease)
            .build()
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        Self { likes, backend }
    }

    /// The value of `id`, computed as `text` if need be.
    ///
    /// # Errors
    /// What the call says.
    pub async fn get(&self, id: &str, text: &str) -> Result<String, Error> {
        let compute = |_| async { Ok::<_, String>(text.to_owned()) };
        let value = self.likes.get_or_compute(id, compute).await?;
        Ok((*value).clone())
    }

    /// The key of `id`.
    ///
    /// # Panics
    /// If the id cannot be used.
    pub fn key(&self, id: &str) -> Key {
        self.likes
            .keyspace()
            .key(id)
            .unwrap_or_else(|e| panic!("{e}"))
    }
}

/// Sends one command, as by `redis-cli`.
///
/// # Panics
/// If the server refuses it.
pub async fn cli(server: &TestServer, words: &[&str]) -> Value {
    server
        .command(words)
        .await
        .unwrap_or_else(|e| panic!("{words:?}: {e}"))
}

/// Waits until `done`, which asks the server or a counter; for what cannot be waited for by push from
/// outside.
///
/// # Panics
/// If it does not come within [`HANG`].
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    let began = tokio::time::Instant::now();
    while !done().await {
        assert!(began.elapsed() < HANG, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until `channel` has listeners.
///
/// # Panics
/// If it never has.
pub async fn listened_to(server: &TestServer, channel: &str) {
    eventually("a listener", || async {
        cli(server, &["PUBSUB", "NUMSUB", channel]).await.items()[1].as_int() > Some(0)
    })
    .await;
}
