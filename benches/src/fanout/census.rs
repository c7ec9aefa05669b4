//! What one node of a cluster has done: `INFO`, `INFO commandstats`, `CLUSTER INFO` and `CLIENT LIST`, read.

use std::collections::BTreeMap;
use std::ops::{Add, Sub};
use std::time::Duration;

use anyhow::{Context, Result};
use memolock_testkit::TestServer;
use serde::Serialize;

use crate::server::Facts;

/// What a node has done so far. The difference of two says what happened between.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Census {
    pub(super) facts: Facts,
    pub(super) messages: Messages,
    pub(super) calls: Calls,
}

/// Messages over the cluster's bus that carry what was published. One to each of two peers counts as two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Messages {
    /// `PUBLISH`, sent to peers.
    pub classic_sent: u64,
    /// `PUBLISH`, come from peers.
    pub classic_received: u64,
    /// `SPUBLISH`, sent to peers.
    pub sharded_sent: u64,
    /// `SPUBLISH`, come from peers.
    pub sharded_received: u64,
}

/// Calls and microseconds of each command, those within scripts included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Calls(BTreeMap<String, Call>);

/// One command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Call {
    /// How often.
    pub calls: u64,
    /// Microseconds, all calls together.
    pub micros: u64,
}

/// Connections of memolocks to one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Clients {
    /// How many.
    pub connections: u64,
    /// Channels that they listen to, classic and sharded.
    pub subscriptions: u64,
    /// Bytes that the server has set aside for them (`tot-mem`).
    pub bytes: u64,
}

impl Census {
    /// Asks the node; costs some commands and kilobytes, which count from there on: [`cost`](Self::cost).
    pub(super) async fn of(node: &TestServer) -> Result<Self> {
        let text = |reply: memolock_testkit::Value| reply.as_str().map(str::to_owned);
        let cluster = node.command(&["CLUSTER", "INFO"]).await?;
        let stats = node.command(&["INFO", "commandstats"]).await?;
        Ok(Self {
            messages: Messages::parse(&text(cluster).context("CLUSTER INFO is text")?)?,
            calls: Calls::parse(&text(stats).context("INFO is text")?)?,
            facts: Facts::of(node).await?,
        })
    }

    /// What asking costs in bytes and processor time.
    pub(super) async fn cost(node: &TestServer) -> Result<Facts> {
        let first = Self::of(node).await?;
        Ok(Self::of(node).await?.facts - first.facts)
    }
}

impl Sub for Census {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            facts: self.facts - before.facts,
            messages: self.messages - before.messages,
            calls: self.calls.since(&before.calls),
        }
    }
}

impl Messages {
    /// A server leaves out what never happened.
    fn parse(info: &str) -> Result<Self> {
        let field = |name: &str| {
            let name = format!("cluster_stats_messages_{name}:");
            let mut values = info.lines().filter_map(|line| line.strip_prefix(&name));
            let value = values.next().unwrap_or("0").trim();
            value
                .parse()
                .with_context(|| format!("{name}{value} of CLUSTER INFO is no number"))
        };
        Ok(Self {
            classic_sent: field("publish_sent")?,
            classic_received: field("publish_received")?,
            sharded_sent: field("publishshard_sent")?,
            sharded_received: field("publishshard_received")?,
        })
    }

    /// Sent to peers, in either way.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.classic_sent + self.sharded_sent
    }

    /// Come from peers, in either way.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.classic_received + self.sharded_received
    }
}

impl Add for Messages {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            classic_sent: self.classic_sent + other.classic_sent,
            classic_received: self.classic_received + other.classic_received,
            sharded_sent: self.sharded_sent + other.sharded_sent,
            sharded_received: self.sharded_received + other.sharded_received,
        }
    }
}

impl Sub for Messages {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        let less = u64::saturating_sub;
        Self {
            classic_sent: less(self.classic_sent, before.classic_sent),
            classic_received: less(self.classic_received, before.classic_received),
            sharded_sent: less(self.sharded_sent, before.sharded_sent),
            sharded_received: less(self.sharded_received, before.sharded_received),
        }
    }
}

impl Calls {
    fn parse(info: &str) -> Result<Self> {
        let lines = info
            .lines()
            .filter_map(|line| line.strip_prefix("cmdstat_"));
        let calls = lines.map(|line| {
            let (name, fields) = line
                .split_once(':')
                .with_context(|| format!("INFO commandstats has a line {line:?}"))?;
            let field = |wanted: &str| {
                let mut pairs = fields.trim().split(',').filter_map(|f| f.split_once('='));
                let found = pairs.find(|(key, _)| *key == wanted);
                let (_, value) = found.with_context(|| format!("{name} has no {wanted}"))?;
                let number = value.parse::<u64>();
                number.with_context(|| format!("{wanted} of {name} is no number"))
            };
            let call = Call {
                calls: field("calls")?,
                micros: field("usec")?,
            };
            Ok((name.to_owned(), call))
        });
        Ok(Self(calls.collect::<Result<_>>()?))
    }

    /// One command, by its name in lower case.
    #[must_use]
    pub fn of(&self, name: &str) -> Call {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Those that were called, with how often.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Call)> {
        self.0.iter().map(|(name, call)| (name.as_str(), *call))
    }

    /// Those of several nodes together.
    #[must_use]
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for (name, call) in all.into_iter().flat_map(Self::iter) {
            let of_it = sum.0.entry(name.to_owned()).or_default();
            of_it.calls += call.calls;
            of_it.micros += call.micros;
        }
        sum
    }

    /// All others.
    pub(super) fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|name, _| !names.contains(&&**name));
        self
    }

    fn since(self, before: &Self) -> Self {
        let less = self.0.into_iter().filter_map(|(name, call)| {
            let was = before.of(&name);
            let calls = call.calls.saturating_sub(was.calls);
            let micros = call.micros.saturating_sub(was.micros);
            (calls > 0).then_some((name, Call { calls, micros }))
        });
        Self(less.collect())
    }
}

impl Call {
    /// One call, on average.
    #[must_use]
    pub fn each(&self) -> Duration {
        let nanos = (self.micros * 1000).checked_div(self.calls);
        Duration::from_nanos(nanos.unwrap_or(0))
    }
}

impl Clients {
    /// Asks the node.
    pub(super) async fn of(node: &TestServer) -> Result<Self> {
        let list = node.command(&["CLIENT", "LIST"]).await?;
        Ok(Self::parse(
            list.as_str().context("CLIENT LIST is no text")?,
        ))
    }

    /// Those whose name says that they are a memolock's. Servers before 7.0 have no `ssub`.
    fn parse(list: &str) -> Self {
        let mut clients = Self::default();
        for line in list.lines() {
            let field = |wanted: &str| {
                let mut pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
                pairs
                    .find(|(key, _)| *key == wanted)
                    .map(|(_, value)| value)
            };
            let number = |wanted| field(wanted).and_then(|value| value.parse::<u64>().ok());
            if field("name").is_some_and(|name| name.starts_with("memolock")) {
                clients.connections += 1;
                clients.subscriptions += number("sub").unwrap_or(0) + number("ssub").unwrap_or(0);
                clients.bytes += number("tot-mem").unwrap_or(0);
            }
        }
        clients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_bus_are_read() {
        let info = "cluster_state:ok\r\ncluster_stats_messages_ping_sent:9\r\n\
            cluster_stats_messages_publish_sent:2000\r\ncluster_stats_messages_sent:2009\r\n\
            cluster_stats_messages_publishshard_received:7\r\n";
        let read = Messages::parse(info).unwrap();
        assert_eq!((read.classic_sent, read.classic_received), (2000, 0));
        assert_eq!((read.sharded_sent, read.sharded_received), (0, 7));
        assert_eq!((read.sent(), read.received()), (2000, 7));
        assert_eq!((read + read) - read, read);
        assert!(Messages::parse("cluster_stats_messages_publish_sent:x").is_err());
    }

    #[test]
    fn calls_are_read_and_subtracted() {
        let info = |calls, micros| {
            format!(
                "# Commandstats\r\ncmdstat_evalsha:calls={calls},usec={micros},usec_per_call=1.00,\
                 rejected_calls=0,failed_calls=0\r\ncmdstat_client|list:calls=1,usec=5,usec_per_call=5.00\r\n"
            )
        };
        let before = Calls::parse(&info(10, 100)).unwrap();
        assert_eq!(
            before.of("client|list"),
            Call {
                calls: 1,
                micros: 5
            }
        );
        let since = Calls::parse(&info(14, 190)).unwrap().since(&before);
        assert_eq!(
            since.of("evalsha"),
            Call {
                calls: 4,
                micros: 90
            }
        );
        assert_eq!(since.of("evalsha").each(), Duration::from_nanos(22_500));
        assert_eq!(since.iter().count(), 1, "what was not called is left out");
        assert_eq!(Call::default().each(), Duration::ZERO);
        assert_eq!(before.clone().without(&["evalsha"]).iter().count(), 1);
        let sum = Calls::sum([&since, &before]);
        assert_eq!(
            sum.of("evalsha"),
            Call {
                calls: 14,
                micros: 190
            }
        );
        for broken in [
            "cmdstat_get",
            "cmdstat_get:calls=1",
            "cmdstat_get:calls=x,usec=1",
        ] {
            assert!(Calls::parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn only_memolocks_connections_count() {
        let list = "id=3 addr=127.0.0.1:1 name=memolock:likes sub=0 psub=0 ssub=0 tot-mem=1928 resp=3\n\
            id=4 addr=127.0.0.1:2 name=memolock:likes-sub sub=4 psub=0 ssub=2 tot-mem=20000 resp=3\n\
            id=5 addr=127.0.0.1:3 name= sub=9 psub=0 ssub=9 tot-mem=1 resp=2\n\n";
        let read = Clients::parse(list);
        assert_eq!((read.connections, read.subscriptions), (2, 6));
        assert_eq!(read.bytes, 21_928);
        assert_eq!(Clients::parse("").connections, 0);
    }
}
