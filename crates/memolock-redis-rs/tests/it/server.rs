//! A server of a test's own, and what tests do to it.

use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use memolock_core::{Event, Key, Keyspace, Layout, Subscription, Tag, Token};
use redis::aio::MultiplexedConnection;

use crate::subject::Subject;

/// How long a test waits for what must come. It is never reached unless the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A `redis-server` on a free port, killed when dropped.
pub(crate) struct Server {
    child: Option<Child>,
    port: u16,
    dir: tempfile::TempDir,
    password: Option<&'static str>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with_password(None)
    }

    pub(crate) fn with_password(password: Option<&'static str>) -> Self {
        let mut server = Self {
            child: None,
            port: 0,
            dir: tempfile::tempdir().unwrap(),
            password,
        };
        // Another process may take the free port first: then the child ends, and another is tried.
        for _ in 0..10 {
            server.port = free_port();
            if server.run() {
                return server;
            }
        }
        panic!("no redis-server came up");
    }

    /// Starts the process on the port; says whether it answers.
    fn run(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(self.socket())
            .arg("--dir")
            .arg(self.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(password) = self.password {
            command.args(["--requirepass", password]);
        }
        let mut child = command.spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if answers(&self.socket()) {
                self.child = Some(child);
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }

    /// Kills the process, as a crash does.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// A new process on the same port, empty.
    pub(crate) fn restart(&mut self) {
        self.stop();
        assert!(self.run(), "the port was taken meanwhile");
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(status.success());
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("r.sock")
    }

    pub(crate) fn url(&self) -> String {
        match self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    pub(crate) async fn backend(&self) -> Subject {
        Subject::connect(self.url()).await.unwrap()
    }

    pub(crate) async fn admin(&self) -> Admin {
        let client = redis::Client::open(self.url()).unwrap();
        let config = redis::AsyncConnectionConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE));
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        Admin(connection.await.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port that nobody listens to, very likely. Below the range from which the system takes ports for
/// outgoing connections, and never the same twice in this process.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let nth = NEXT.fetch_add(1, Relaxed) + std::process::id() * 97;
        let port = 10_000 + u16::try_from(nth % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Asked over the socket in its own directory: on the port somebody else may answer.
fn answers(socket: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(socket) else {
        return false;
    };
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut reply = [0; 1];
    // With a password the answer is an error, which is an answer.
    stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut reply).is_ok()
}

/// A connection of the test's own, to look behind the backend's back.
#[derive(Clone)]
pub(crate) struct Admin(MultiplexedConnection);

impl Admin {
    pub(crate) async fn run<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut command = redis::Cmd::new();
        command.arg(words);
        command.query_async(&mut self.0).await.unwrap()
    }

    pub(crate) async fn publish(&mut self, channel: &str, payload: &[u8]) -> i64 {
        let mut command = redis::cmd("PUBLISH");
        command.arg(channel).arg(payload);
        command.query_async(&mut self.0).await.unwrap()
    }

    /// Listeners of a channel.
    pub(crate) async fn listeners(&mut self, channel: &str) -> i64 {
        let (_, count): (String, i64) = self.run(&["PUBSUB", "NUMSUB", channel]).await;
        count
    }

    /// Clients but for this one.
    pub(crate) async fn others(&mut self) -> usize {
        let list: String = self.run(&["CLIENT", "LIST"]).await;
        list.lines()
            .filter(|line| !line.contains("cmd=client|list"))
            .count()
    }
}

pub(crate) fn key(id: &str) -> Key {
    let tag = Tag::new("likes").unwrap();
    Keyspace::new(tag, Layout::Classic)
        .unwrap()
        .key(id)
        .unwrap()
}

pub(crate) fn token(bits: u128) -> Token {
    Token::from_bits(bits)
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Waits until a condition holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The next event; fails if none comes.
pub(crate) async fn heard(subscription: &mut Subscription) -> Event {
    let next = tokio::time::timeout(PATIENCE, subscription.next()).await;
    next.expect("no event came")
        .expect("the subscription ended")
}
