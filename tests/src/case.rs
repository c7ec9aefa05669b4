//! One scenario with peers in another language, over every style and adapter.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use memolock::Builder;
use memolock::codec::Text;
use memolock_testkit::{TestServer, Value, unique_tag};
use tokio::task::JoinSet;

use crate::{Adapter, Event, Language, Ours, Peer, SECOND, Style, cli, eventually, server};

/// Who meets whom. Each case has a tag of its own.
#[derive(Clone)]
pub struct Case {
    /// Their language.
    pub language: Language,
    /// What they do with their locks.
    pub style: Style,
    /// Our client.
    pub adapter: Adapter,
    /// The tag.
    pub tag: String,
    /// The server, which other cases use at the same time.
    pub server: Arc<TestServer>,
}

/// Runs `scenario` for every style and adapter at once. Where the language is not there, nothing is run, and
/// that is said.
///
/// # Panics
/// If a case fails; the cases are named.
pub async fn matrix<F: Future<Output = ()> + Send + 'static>(
    language: Language,
    scenario: impl Fn(Case) -> F,
) {
    if language.peer().is_none() {
        return;
    }
    let server = Arc::new(server().await);
    let (mut running, mut names) = (JoinSet::new(), Vec::new());
    for style in Style::ALL {
        for adapter in Adapter::ALL {
            let case = Case {
                language,
                style,
                adapter,
                tag: unique_tag("likes"),
                server: Arc::clone(&server),
            };
            let name = case.to_string();
            names.push((running.spawn(scenario(case)).id(), name));
        }
    }
    let mut failed = Vec::new();
    while let Some(ended) = running.join_next_with_id().await {
        if let Err(error) = ended {
            let name = names.iter().find(|(id, _)| *id == error.id());
            failed.push(format!("{}: {error}", name.map_or("?", |(_, name)| name)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

impl Case {
    /// A peer whose locks last for `lock`, and its values for a minute.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn peer(&self, lock: Duration) -> Peer {
        self.peer_with(lock, 60 * SECOND).await
    }

    /// A peer with these times.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn peer_with(&self, lock: Duration, ttl: Duration) -> Peer {
        Peer::start(
            self.language,
            self.style,
            &self.server,
            &self.tag,
            lock,
            ttl,
        )
        .await
        .expect("the matrix has seen to it")
    }

    /// Waits until a peer that waits gives up, and brings one that is there: after a time-out a Go client is gone.
    ///
    /// # Panics
    /// If it says anything else.
    pub async fn gives_up(&self, mut peer: Peer) -> Peer {
        match self.style {
            Style::Csharp => {
                peer.says(&Event::Timeout).await;
                peer
            }
            Style::Go => {
                peer.says(&Event::Panicked).await;
                self.peer(60 * SECOND).await
            }
        }
    }

    /// A process of ours that repeats its notices after this time.
    ///
    /// # Panics
    /// If it cannot connect.
    pub async fn ours_repeating(&self, after: Duration) -> Ours {
        let backend = self.adapter.connect_repeating(self.server.url(), after);
        Ours::over(backend.await, &self.tag, |builder| builder).await
    }

    /// A process of ours.
    ///
    /// # Panics
    /// If it cannot connect.
    pub async fn ours(&self) -> Ours {
        self.ours_with(|builder| builder).await
    }

    /// A process of ours with other settings.
    ///
    /// # Panics
    /// If it cannot connect.
    pub async fn ours_with(
        &self,
        set: impl FnOnce(Builder<String, Text>) -> Builder<String, Text>,
    ) -> Ours {
        Ours::start(self.adapter, self.server.url(), &self.tag, set).await
    }

    /// Sends one command.
    ///
    /// # Panics
    /// If the server refuses it.
    pub async fn cli(&self, words: &[&str]) -> Value {
        cli(&self.server, words).await
    }

    /// The lock's name.
    #[must_use]
    pub fn lock(&self, id: &str) -> String {
        format!("{}/lock:{id}", self.tag)
    }

    /// Who holds the lock.
    ///
    /// # Panics
    /// If the server refuses to say.
    pub async fn holder(&self, id: &str) -> Option<String> {
        let holder = self.cli(&["GET", &self.lock(id)]).await;
        holder.as_str().map(str::to_owned)
    }

    /// What is stored.
    ///
    /// # Panics
    /// If the server refuses to say.
    pub async fn stored(&self, id: &str) -> Option<String> {
        let stored = self.cli(&["GET", &format!("{}:{id}", self.tag)]).await;
        stored.as_str().map(str::to_owned)
    }

    /// The server's time, in seconds.
    ///
    /// # Panics
    /// If the server refuses to say.
    pub async fn now(&self) -> f64 {
        let time = self.cli(&["TIME"]).await;
        let part = |n: usize| time.items()[n].as_str().and_then(|t| t.parse::<f64>().ok());
        let (seconds, micros) = part(0).zip(part(1)).unwrap_or_else(|| panic!("{time}"));
        seconds + micros / 1e6
    }

    /// The channel of values.
    #[must_use]
    pub fn notif(&self, id: &str) -> String {
        format!("{}/notif:{id}", self.tag)
    }

    /// Waits until so many of our processes listen for `id`: theirs use a pattern, and are not counted.
    ///
    /// # Panics
    /// If they never do.
    pub async fn we_wait(&self, id: &str, processes: i64) {
        let channel = self.notif(id);
        eventually("a listener of ours", || async {
            let count = self.cli(&["PUBSUB", "NUMSUB", &channel]).await;
            count.items()[1].as_int() == Some(processes)
        })
        .await;
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            language,
            style,
            adapter,
            ..
        } = self;
        write!(f, "{language} in the style `{style}` and {adapter}")
    }
}
