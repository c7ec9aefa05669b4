//! What sentinels announce.

use std::time::Duration;

use crate::connection::Connection;
use crate::{ServerError, TestServer, Value};

/// How long an announcement may take: a failover or two, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const CHANNEL: &str = "+switch-master";

/// The changes of the master, from [`TestSentinel::switches`](super::TestSentinel::switches).
#[derive(Debug)]
pub struct Switches {
    connection: Connection,
    name: String,
    /// Of the servers, by index.
    places: Vec<String>,
}

/// One change of the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// The index of the old master in [`TestSentinel::servers`](super::TestSentinel::servers).
    pub from: usize,
    /// The index of the new one.
    pub to: usize,
}

impl Switches {
    pub(super) async fn open(
        sentinel: &TestServer,
        name: &str,
        places: Vec<String>,
    ) -> Result<Self, ServerError> {
        let mut connection = sentinel.connect().await?;
        connection.command(&["SUBSCRIBE", CHANNEL]).await?;
        Ok(Self {
            connection,
            name: name.to_owned(),
            places,
        })
    }

    /// The next change. Cancel-safe.
    ///
    /// # Errors
    /// [`ServerError`] if the sentinel is lost, or announces nothing within a minute.
    pub async fn next(&mut self) -> Result<Switch, ServerError> {
        loop {
            let message = self.connection.read_within(PATIENCE).await?;
            let message = message.ok_or_else(|| self.connection.silent(PATIENCE))?;
            let words = message.items().get(2).and_then(Value::as_str);
            let words = words.unwrap_or_default();
            if let Some(switch) = self.understand(words) {
                return Ok(switch);
            }
        }
    }

    /// `name old-host old-port new-host new-port`; `None` for another master's.
    fn understand(&self, words: &str) -> Option<Switch> {
        let words: Vec<_> = words.split(' ').collect();
        let [name, from_host, from_port, to_host, to_port] = words[..] else {
            return None;
        };
        let index = |host, port| {
            let place = format!("{host}:{port}");
            self.places.iter().position(|known| *known == place)
        };
        (name == self.name).then_some(())?;
        Some(Switch {
            from: index(from_host, from_port)?,
            to: index(to_host, to_port)?,
        })
    }
}
