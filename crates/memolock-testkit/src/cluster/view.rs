//! A cluster as one of its nodes sees it: its `CLUSTER NODES`, and how its own replication does.

use std::time::Duration;

use tokio::time::timeout;

use crate::connection::Connection;
use crate::info::field;
use crate::server::Address;
use crate::{ServerError, Value};

/// A node that says nothing for so long counts as silent this time.
const PATIENCE: Duration = Duration::from_secs(1);

/// What one node says of itself and of all others.
#[derive(Debug)]
pub(super) struct View {
    /// `cluster_state:ok`.
    pub(super) ok: bool,
    /// It is a master, or a replica that is in step with its master.
    pub(super) in_step: bool,
    pub(super) rows: Vec<Row>,
}

/// An id, that of its master, and its slots.
type Essence<'a> = (&'a str, Option<&'a str>, &'a [(u16, u16)]);

/// One line of `CLUSTER NODES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: String,
    /// `host:port`.
    pub(super) place: String,
    pub(super) flags: Vec<String>,
    /// The id of its master, if it is a replica.
    pub(super) master: Option<String>,
    pub(super) epoch: u64,
    pub(super) linked: bool,
    /// First and last slot of each range.
    pub(super) slots: Vec<(u16, u16)>,
    /// Slots on their way, as `[93->-id]`.
    pub(super) open: Vec<String>,
}

impl View {
    /// Asks the node at `address`; an error also where it takes too long.
    pub(super) async fn ask(address: &Address) -> Result<Self, ServerError> {
        let asked = timeout(PATIENCE, async {
            let mut connection = Connection::open(address).await?;
            let info = text(connection.command(&["CLUSTER", "INFO"]).await?);
            let nodes = text(connection.command(&["CLUSTER", "NODES"]).await?);
            let replication = text(connection.command(&["INFO", "replication"]).await?);
            Self::read(&info, &nodes, &replication)
        });
        asked.await.map_err(|_| address.timeout(PATIENCE))?
    }

    fn read(info: &str, nodes: &str, replication: &str) -> Result<Self, ServerError> {
        let in_step = field(replication, "role") == Some("master")
            || (field(replication, "master_link_status") == Some("up")
                && field(replication, "master_sync_in_progress") == Some("0"));
        let rows = nodes.lines().map(|line| {
            Row::read(line)
                .ok_or_else(|| ServerError::Malformed(format!("{line:?} of CLUSTER NODES")))
        });
        Ok(Self {
            ok: field(info, "cluster_state") == Some("ok"),
            in_step,
            rows: rows.collect::<Result<_, _>>()?,
        })
    }

    /// The node that was asked.
    pub(super) fn own(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.has("myself"))
    }

    #[cfg(test)]
    fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// What all nodes must agree on: who is there, who follows whom, and who has which slots.
    pub(super) fn essence(&self) -> Vec<Essence<'_>> {
        let mut essence: Vec<_> = self
            .rows
            .iter()
            .map(|row| (&*row.id, row.master.as_deref(), &*row.slots))
            .collect();
        essence.sort_unstable();
        essence
    }

    /// How many slots have a master that is not known to have failed.
    pub(super) fn covered(&self) -> usize {
        let masters = self.rows.iter().filter(|row| row.is_live_master());
        let ranges = masters.flat_map(|row| &row.slots);
        ranges
            .map(|(first, last)| usize::from(last.saturating_sub(*first)) + 1)
            .sum()
    }
}

impl Row {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let id = words.next()?.to_owned();
        // Also a bus port, and from Redis 7 on a host name: `host:port@bus,name`.
        let place = words.next()?.split(['@', ',']).next()?.to_owned();
        let flags = words.next()?.split(',').map(Into::into).collect();
        let master = words.next().filter(|id| *id != "-").map(Into::into);
        let epoch = words.nth(2)?.parse().ok()?;
        let linked = words.next()? == "connected";
        let (mut slots, mut open) = (Vec::new(), Vec::new());
        for word in words {
            match word.starts_with('[') {
                true => open.push(word.to_owned()),
                false => {
                    let (first, last) = word.split_once('-').unwrap_or((word, word));
                    slots.push((first.parse().ok()?, last.parse().ok()?));
                }
            }
        }
        Some(Self {
            id,
            place,
            flags,
            master,
            epoch,
            linked,
            slots,
            open,
        })
    }

    pub(super) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|has| has == flag)
    }

    pub(super) fn is_master(&self) -> bool {
        self.has("master")
    }

    fn is_live_master(&self) -> bool {
        self.is_master() && !self.has("fail")
    }

    pub(super) fn owns(&self, slot: u16) -> bool {
        let mut ranges = self.slots.iter();
        self.is_master() && ranges.any(|(first, last)| (*first..=*last).contains(&slot))
    }
}

/// RESP2 has one kind of text here; anything else reads as nothing, and is refused as such.
pub(super) fn text(reply: Value) -> String {
    match reply {
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\
        aa 127.0.0.1:30001@40001,name myself,master - 0 0 3 connected 0-5460 7000 [93->-bb] [77-<-bb]\n\
        bb 127.0.0.1:30002@40002 master,fail - 1 2 4 disconnected 5461-6999\n\
        cc [::1]:30003@40003 slave aa 0 1426238317239 3 connected\n";

    #[test]
    fn rows_are_taken_apart() {
        let view = View::read("cluster_state:ok\r\n", NODES, "role:master\r\n").unwrap();
        assert!(view.ok && view.in_step);
        let own = view.own().unwrap();
        assert_eq!((own.id.as_str(), own.epoch), ("aa", 3));
        assert_eq!(own.place, "127.0.0.1:30001");
        assert_eq!(own.slots, [(0, 5460), (7000, 7000)]);
        assert_eq!(own.open, ["[93->-bb]", "[77-<-bb]"]);
        assert!(own.owns(7000) && !own.owns(5461));
        let replica = view.row("cc").unwrap();
        assert_eq!(replica.master.as_deref(), Some("aa"));
        assert!(!replica.is_master() && replica.linked);
        assert!(!view.row("bb").unwrap().linked);
        assert_eq!(view.covered(), 5462, "what a failed master has counts not");
    }

    #[test]
    fn a_replica_is_in_step_once_its_link_is_up() {
        let read = |replication| View::read("", "", replication).unwrap().in_step;
        assert!(!read("role:slave\r\nmaster_link_status:down\r\n"));
        assert!(!read(
            "role:slave\r\nmaster_link_status:up\r\nmaster_sync_in_progress:1\r\n"
        ));
        assert!(read(
            "role:slave\r\nmaster_link_status:up\r\nmaster_sync_in_progress:0\r\n"
        ));
    }

    #[test]
    fn nonsense_is_an_error() {
        for nodes in ["aa", "aa h:1@2 master - 0 0 x connected", "\n"] {
            assert!(View::read("", nodes, "").is_err(), "{nodes:?}");
        }
    }
}
