//! A peer in another language, as a process that is steered by lines of JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use memolock_testkit::TestServer;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::{HANG, Language};

/// Which of the two clients of 2019 a peer is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// It leaves its lock to its time-out, and renews it by nanoseconds in place of seconds. It panics at any time-out,
    /// and where its second look finds the value.
    Go,
    /// It deletes the lock after success, whoever holds it by then. A second look that finds the value wakes no caller.
    Csharp,
}

impl Style {
    /// Every style.
    pub const ALL: [Self; 2] = [Self::Go, Self::Csharp];

    /// Whether the lock still stands after success.
    #[must_use]
    pub fn leaves_lock(self) -> bool {
        self != Self::Csharp
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Go => "go",
            Self::Csharp => "csharp",
        })
    }
}

/// What a peer says: `tests/polyglot/README.md` has the words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Event {
    Ready {
        client: String,
    },
    Computing,
    Triggered,
    Waiting,
    Renewed,
    Lost,
    Refused {
        message: String,
    },
    Halted {
        step: String,
    },
    Kept,
    Timeout,
    Panicked,
    Failed {
        message: String,
    },
    Value {
        value: String,
        source: String,
    },
    Heard {
        channel: String,
        value: String,
    },
    Crowd {
        id: String,
        ends: BTreeMap<String, usize>,
    },
}

/// Many callers of one id at once.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// How many.
    pub callers: usize,
    /// How long each waits for another peer's value.
    pub wait: Duration,
    /// How long each dawdles between two of its steps, at most.
    pub dawdle: Duration,
}

/// A peer's process. Dropping it kills it.
pub struct Peer {
    child: Child,
    stdin: ChildStdin,
    events: Lines<BufReader<ChildStdout>>,
    heard: Vec<(String, String)>,
}

impl Peer {
    /// Starts one, with its lock's time-out and its values' time-to-live, and waits until it is subscribed. `None`
    /// where its language is not there.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(
        language: Language,
        style: Style,
        server: &TestServer,
        tag: &str,
        lock: Duration,
        ttl: Duration,
    ) -> Option<Self> {
        let mut command = language.peer()?;
        command
            .args(["--url", server.url(), "--tag", tag])
            .args(["--style", &style.to_string()])
            .args(["--lock-ms", &lock.as_millis().to_string()])
            .args(["--ttl-ms", &ttl.as_millis().to_string()]);
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("the peer in {language} does not start: {e}"));
        let stdin = child.stdin.take().expect("a pipe was asked for");
        let stdout = child.stdout.take().expect("a pipe was asked for");
        let mut peer = Self {
            child,
            stdin,
            events: BufReader::new(stdout).lines(),
            heard: Vec::new(),
        };
        match peer.event().await {
            Event::Ready { client } => eprintln!("peer: {client}, {style}"),
            other => panic!("{other:?} before it is ready"),
        }
        Some(peer)
    }

    /// Asks for `id`, waiting at most `wait` for another peer.
    ///
    /// # Panics
    /// If it is gone.
    pub async fn get(&mut self, id: &str, wait: Duration) {
        let wait_ms = wait.as_millis();
        self.say(&json!({"do": "get", "id": id, "wait_ms": wait_ms as u64}))
            .await;
    }

    /// Asks for `id`, and halts before it tries for the lock (`missed`), or after the lock was refused (`refused`).
    ///
    /// # Panics
    /// If it does not come to that.
    pub async fn get_halting(&mut self, id: &str, wait: Duration, step: &str) {
        let wait_ms = wait.as_millis() as u64;
        self.say(&json!({"do": "get", "id": id, "wait_ms": wait_ms, "halt": step}))
            .await;
        let step = step.to_owned();
        self.says(&Event::Halted { step }).await;
    }

    /// Lets it go on where it halted.
    ///
    /// # Panics
    /// If it is gone.
    pub async fn go(&mut self) {
        self.say(&json!({"do": "go"})).await;
    }

    /// Has many callers ask for `id`, whose computes end with `value` at once. It says in the end how they ended; other
    /// orders may come before that.
    ///
    /// # Panics
    /// If it is gone.
    pub async fn crowd(&mut self, id: &str, value: &str, crowd: Crowd) {
        let Crowd {
            callers,
            wait,
            dawdle,
        } = crowd;
        let (wait_ms, dawdle_ms) = (wait.as_millis() as u64, dawdle.as_secs_f64() * 1000.0);
        self.say(&json!({
            "do": "crowd", "id": id, "value": value,
            "callers": callers, "wait_ms": wait_ms, "dawdle_ms": dawdle_ms,
        }))
        .await;
    }

    /// Asks for `id`, to be made by another program.
    ///
    /// # Panics
    /// If it is gone.
    pub async fn external(&mut self, id: &str, wait: Duration) {
        let wait_ms = wait.as_millis();
        self.say(&json!({"do": "external", "id": id, "wait_ms": wait_ms as u64}))
            .await;
    }

    /// Asks for `id`, which nobody has: it computes.
    ///
    /// # Panics
    /// If it does not.
    pub async fn hold(&mut self, id: &str) {
        self.get(id, HANG).await;
        self.says(&Event::Computing).await;
    }

    /// Asks for `id`, which somebody is making: it waits.
    ///
    /// # Panics
    /// If it does not.
    pub async fn wait(&mut self, id: &str, at_most: Duration) {
        self.get(id, at_most).await;
        self.says(&Event::Waiting).await;
    }

    /// Ends its compute with `value`, which it stores and publishes.
    ///
    /// # Panics
    /// If that is not what it says then.
    pub async fn fulfil(&mut self, value: &str) {
        self.say(&json!({"do": "return", "value": value})).await;
        self.has(value, "computed").await;
    }

    /// Ends its compute with an error.
    ///
    /// # Panics
    /// If that is not what it says then.
    pub async fn fail(&mut self, message: &str) {
        self.say(&json!({"do": "fail", "message": message})).await;
        self.says(&Event::Failed {
            message: message.to_owned(),
        })
        .await;
    }

    /// Renews the lock of its compute: `Renewed`, `Lost` or `Refused`.
    ///
    /// # Panics
    /// If it is gone.
    pub async fn renew(&mut self, seconds: f64) -> Event {
        self.say(&json!({"do": "renew", "seconds": seconds})).await;
        self.event().await
    }

    /// Stores and publishes `value`, as an external program does.
    ///
    /// # Panics
    /// If that is not what it says then.
    pub async fn keep(&mut self, id: &str, value: &str) {
        self.say(&json!({"do": "keep", "id": id, "value": value}))
            .await;
        self.says(&Event::Kept).await;
    }

    /// Its next word must be that its call ended with `value`.
    ///
    /// # Panics
    /// If it is another.
    pub async fn has(&mut self, value: &str, source: &str) {
        let (value, source) = (value.to_owned(), source.to_owned());
        self.says(&Event::Value { value, source }).await;
    }

    /// Its next word must be `event`.
    ///
    /// # Panics
    /// If it is another.
    #[track_caller]
    pub fn says(&mut self, event: &Event) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let said = self.event().await;
            assert_eq!(said, *event, "asked at {caller}");
        }
    }

    /// Its next word. What it has heard meanwhile is kept for [`heard_until`](Self::heard_until).
    ///
    /// # Panics
    /// If there is none.
    pub async fn event(&mut self) -> Event {
        loop {
            match self.line().await {
                Event::Heard { channel, value } => self.heard.push((channel, value)),
                event => return event,
            }
        }
    }

    /// Everything that came through its pattern, up to `last`: channels and values.
    ///
    /// # Panics
    /// If `last` does not come.
    pub async fn heard_until(&mut self, last: &str) -> Vec<(String, String)> {
        while self.heard.last().is_none_or(|(_, value)| value != last) {
            match self.line().await {
                Event::Heard { channel, value } => self.heard.push((channel, value)),
                other => panic!("{other:?} while it only listens"),
            }
        }
        std::mem::take(&mut self.heard)
    }

    /// SIGKILL: it has no time for a last word.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub async fn crash(mut self) {
        self.child.kill().await.expect("it was running");
    }

    async fn say(&mut self, order: &Value) {
        let line = format!("{order}\n");
        let said = self.stdin.write_all(line.as_bytes()).await;
        said.unwrap_or_else(|e| panic!("{order}: the peer is gone: {e}"));
    }

    async fn line(&mut self) -> Event {
        let line = timeout(HANG, self.events.next_line())
            .await
            .expect("a peer that hangs is a failure")
            .unwrap_or_else(|e| panic!("the peer's output: {e}"))
            .unwrap_or_else(|| panic!("the peer has ended"));
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"))
    }
}
