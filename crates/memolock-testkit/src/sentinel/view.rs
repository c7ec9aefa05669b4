//! All sentinels and servers asked at once, and what they agree on.

use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::time::timeout;

use crate::connection::Connection;
use crate::info::field;
use crate::{ServerError, TestServer, Value};

/// Who says nothing for so long counts as silent this time.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// What each says, in their order.
#[derive(Debug)]
pub(super) struct Survey<'a> {
    sentinels: &'a [TestServer],
    servers: &'a [TestServer],
    opinions: Vec<Result<Opinion, ServerError>>,
    states: Vec<Result<State, ServerError>>,
}

/// What a sentinel thinks.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Opinion {
    master: Watched,
    epoch: u64,
    /// Other sentinels that it knows.
    others: usize,
    replicas: Vec<Watched>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Watched {
    /// `host:port`.
    place: String,
    /// `master`, `slave,s_down`.
    flags: String,
    /// For a replica: whom it follows, as the sentinel last heard, once it is in step.
    follows: Option<String>,
}

/// What a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Master,
    Replica { of: String, in_step: bool },
}

impl<'a> Survey<'a> {
    pub(super) async fn of(
        sentinels: &'a [TestServer],
        servers: &'a [TestServer],
        name: &str,
    ) -> Self {
        let opinions = join_all(
            sentinels
                .iter()
                .map(|sentinel| Opinion::ask(sentinel, name)),
        );
        let states = join_all(servers.iter().map(State::ask));
        let (opinions, states) = join(opinions, states).await;
        Self {
            sentinels,
            servers,
            opinions,
            states,
        }
    }

    fn answers(&self) -> impl Iterator<Item = &Opinion> {
        self.opinions
            .iter()
            .filter_map(|opinion| opinion.as_ref().ok())
    }

    /// The first sentinel that answers.
    pub(super) fn answering(&self) -> Option<usize> {
        self.opinions.iter().position(Result::is_ok)
    }

    /// The newest word on who is the master.
    pub(super) fn master(&self) -> Option<usize> {
        let newest = self.answers().max_by_key(|opinion| opinion.epoch)?;
        self.index(&newest.master.place)
    }

    /// The master, if all sentinels that answer name the same.
    pub(super) fn agreed(&self) -> Option<usize> {
        let master = self.master()?;
        let place = self.servers[master].address().place();
        let all = self.answers().all(|opinion| opinion.master.place == place);
        all.then_some(master)
    }

    /// Whether this sentinel holds that server to be the master, and is doing nothing about it.
    pub(super) fn is_content(&self, sentinel: usize, master: usize) -> bool {
        let place = self.servers[master].address().place();
        let opinion = self
            .opinions
            .get(sentinel)
            .and_then(|asked| asked.as_ref().ok());
        opinion.is_some_and(|opinion| {
            opinion.master.place == place && opinion.master.flags == "master"
        })
    }

    /// Whether a server is what it is said to be.
    pub(super) fn is_master(&self, server: usize) -> bool {
        matches!(self.states.get(server), Some(Ok(State::Master)))
    }

    /// What keeps all from being in order, or `None`.
    pub(super) fn trouble(&self) -> Option<String> {
        let Some(master) = self.agreed() else {
            return Some("the sentinels do not agree on a master".into());
        };
        let place = self.servers[master].address().place();
        let told = self.opinions.iter().zip(self.sentinels);
        for (opinion, sentinel) in told {
            let Ok(opinion) = opinion else {
                continue;
            };
            if let Some(why) = self.doubt(opinion, master) {
                return Some(format!("{} {why}", sentinel.address().place()));
            }
        }
        for (server, state) in self.states.iter().enumerate() {
            let here = self.servers[server].address().place();
            match state {
                Ok(State::Master) if server == master => {}
                Ok(State::Replica { of, in_step }) if server != master && *of == place => {
                    if !in_step {
                        return Some(format!("{here} is not yet in step with its master"));
                    }
                }
                Ok(_) => return Some(format!("{here} has not yet found its place")),
                Err(error) if server == master => return Some(error.to_string()),
                // The sentinels know.
                Err(_) => {}
            }
        }
        None
    }

    fn doubt(&self, opinion: &Opinion, master: usize) -> Option<String> {
        if opinion.others + 1 != self.sentinels.len() {
            return Some(format!("knows {} other sentinels", opinion.others));
        }
        if opinion.master.flags != "master" {
            return Some(format!("says that the master is {}", opinion.master.flags));
        }
        for (server, state) in self.states.iter().enumerate() {
            let place = self.servers[server].address().place();
            let watched = opinion.replicas.iter().find(|known| known.place == place);
            let known = match (state, watched) {
                _ if server == master => true,
                // One that has not heard yet would put in its place what was put there already.
                (Ok(_), Some(watched)) => {
                    watched.flags == "slave"
                        && watched.follows.as_ref() == Some(&opinion.master.place)
                }
                (Err(_), Some(watched)) => watched.flags.contains("s_down"),
                (_, None) => false,
            };
            if !known {
                return Some(format!("does not know {place} as it is: {watched:?}"));
            }
        }
        None
    }

    fn index(&self, place: &str) -> Option<usize> {
        let mut servers = self.servers.iter();
        servers.position(|server| server.address().place() == place)
    }
}

impl Opinion {
    async fn ask(sentinel: &TestServer, name: &str) -> Result<Self, ServerError> {
        let asked = timeout(PATIENCE, async {
            let mut connection = sentinel.connect().await?;
            let master = connection.command(&["SENTINEL", "MASTER", name]).await?;
            // Its older name, which all releases know.
            let replicas = connection.command(&["SENTINEL", "SLAVES", name]).await?;
            Self::read(&master, &replicas)
                .ok_or_else(|| ServerError::Malformed(format!("{master} of SENTINEL MASTER")))
        });
        let address = sentinel.address();
        asked.await.map_err(|_| address.timeout(PATIENCE))?
    }

    fn read(master: &Value, replicas: &Value) -> Option<Self> {
        let replicas = replicas.items().iter().map(Watched::read);
        Some(Self {
            master: Watched::read(master)?,
            epoch: entry(master, "config-epoch")?.parse().ok()?,
            others: entry(master, "num-other-sentinels")?.parse().ok()?,
            replicas: replicas.collect::<Option<_>>()?,
        })
    }
}

impl Watched {
    fn read(fields: &Value) -> Option<Self> {
        let place = |host, port| Some(format!("{}:{}", entry(fields, host)?, entry(fields, port)?));
        let in_step = entry(fields, "role-reported") == Some("slave")
            && entry(fields, "master-link-status") == Some("ok");
        Some(Self {
            place: place("ip", "port")?,
            flags: entry(fields, "flags")?.to_owned(),
            follows: place("master-host", "master-port").filter(|_| in_step),
        })
    }
}

impl State {
    async fn ask(server: &TestServer) -> Result<Self, ServerError> {
        let address = server.address();
        let asked = timeout(PATIENCE, async {
            let mut connection = Connection::open(address).await?;
            let info = connection.command(&["INFO", "replication"]).await?;
            let info = info.as_str().unwrap_or_default();
            Self::read(info).ok_or_else(|| ServerError::Malformed("no role in INFO".into()))
        });
        asked.await.map_err(|_| address.timeout(PATIENCE))?
    }

    fn read(info: &str) -> Option<Self> {
        match field(info, "role")? {
            "master" => Some(Self::Master),
            _ => {
                let (host, port) = (field(info, "master_host")?, field(info, "master_port")?);
                Some(Self::Replica {
                    of: format!("{host}:{port}"),
                    in_step: field(info, "master_link_status") == Some("up")
                        && field(info, "master_sync_in_progress") == Some("0"),
                })
            }
        }
    }
}

/// A value in a flat list of names and values.
fn entry<'a>(fields: &'a Value, name: &str) -> Option<&'a str> {
    let pair = fields.items().chunks_exact(2).find(|pair| pair[0] == *name);
    pair?[1].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Value {
        let words = pairs.iter().flat_map(|(name, value)| [*name, *value]);
        Value::Array(words.map(|word| Value::Bytes(word.into())).collect())
    }

    #[test]
    fn opinions_are_taken_apart() {
        let at = [("ip", "127.0.0.1"), ("port", "7000"), ("flags", "master")];
        let more = [("config-epoch", "3"), ("num-other-sentinels", "2")];
        let master = fields(&[&at[..], &more].concat());
        let follower = [
            ("role-reported", "slave"),
            ("master-link-status", "ok"),
            ("master-host", "h"),
            ("master-port", "1"),
        ];
        let follower = fields(&[&at[..], &follower].concat());
        let replicas = Value::Array(vec![fields(&at), follower]);
        let opinion = Opinion::read(&master, &replicas).unwrap();
        assert_eq!(opinion.master.place, "127.0.0.1:7000");
        assert_eq!(
            (opinion.epoch, opinion.others, opinion.replicas.len()),
            (3, 2, 2)
        );
        let follows = |i: usize| opinion.replicas[i].follows.as_deref();
        assert_eq!((follows(0), follows(1)), (None, Some("h:1")));
        for nonsense in [Value::Nil, fields(&at), fields(&more)] {
            assert_eq!(Opinion::read(&nonsense, &replicas), None);
        }
    }

    #[test]
    fn states_are_taken_apart() {
        assert_eq!(State::read("role:master\r\n"), Some(State::Master));
        let replica = "role:slave\r\nmaster_host:h\r\nmaster_port:1\r\nmaster_link_status:up\r\n\
                       master_sync_in_progress:0\r\n";
        let of = "h:1".to_owned();
        let in_step = true;
        assert_eq!(State::read(replica), Some(State::Replica { of, in_step }));
        assert_eq!(State::read("# Replication\r\n"), None);
    }
}
