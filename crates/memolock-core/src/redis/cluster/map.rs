//! Who serves which slot, as a node said it.

use std::fmt;
use std::sync::Arc;

use super::SLOTS;
use crate::ErrorKind;
use crate::connection::Fault;
use crate::redis::Reply;

/// The longest host that is believed: names of the DNS have at most 253 characters.
const MAX_HOST_BYTES: usize = 255;

/// Nodes of one map that are believed: larger clusters are advised against.
const MAX_NODES: usize = 1024;

/// No master.
const NOBODY: u16 = u16::MAX;

/// Where a node is. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    host: Arc<str>,
    port: u16,
}

impl Place {
    /// None if that is no place. An unknown host, which nodes tell as `?`, is the empty one.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Option<Self> {
        let host = if host == "?" { "" } else { host };
        let odd = |c: char| c.is_control() || c.is_whitespace();
        if port == 0 || host.len() > MAX_HOST_BYTES || host.contains(odd) {
            return None;
        }
        let host = host.into();
        Some(Self { host, port })
    }

    /// A name, or an IP address without brackets. Empty: the host of the node that told of it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same, where the host of the node that told of it is `host`.
    #[must_use]
    pub fn told_by(self, host: &str) -> Self {
        match self.host.is_empty() {
            true => Self {
                host: host.into(),
                port: self.port,
            },
            false => self,
        }
    }
}

/// `host:port`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Who serves which slot.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotMap {
    /// Each once, sorted.
    masters: Vec<Place>,
    /// Each once, sorted. They know the map too.
    replicas: Vec<Place>,
    /// An index in `masters`, or nobody.
    owners: Box<[u16]>,
}

impl SlotMap {
    /// Reads the answer to `CLUSTER SLOTS`, which a node at `asked` gave. What makes no sense in it is left out.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] if it is no such answer, or says of no slot who serves it.
    pub fn read(reply: Reply, asked: &str) -> Result<Self, Fault> {
        let Reply::Array(ranges) = reply else {
            return Err(senseless("no list of slots"));
        };
        let ranges: Vec<Range> = ranges
            .into_iter()
            .filter_map(|range| Range::read(range, asked))
            .collect();
        if ranges.is_empty() {
            return Err(senseless("a map in which no slot is served"));
        }
        let mut masters: Vec<Place> = ranges.iter().map(|r| r.master.clone()).collect();
        let mut replicas: Vec<Place> = ranges.iter().flat_map(|r| r.replicas.clone()).collect();
        for places in [&mut masters, &mut replicas] {
            places.sort_unstable();
            places.dedup();
        }
        replicas.retain(|place| masters.binary_search(place).is_err());
        if masters.len() + replicas.len() > MAX_NODES {
            return Err(senseless("a map of too many nodes"));
        }
        let mut owners = vec![NOBODY; usize::from(SLOTS)].into_boxed_slice();
        for range in &ranges {
            let at = masters.binary_search(&range.master).ok();
            // There are at most `MAX_NODES`.
            let at = at.and_then(|at| u16::try_from(at).ok()).unwrap_or(NOBODY);
            owners[usize::from(range.first)..=usize::from(range.last)].fill(at);
        }
        Ok(Self {
            masters,
            replicas,
            owners,
        })
    }

    /// Who serves it; none if nobody does, or the slot is none.
    #[must_use]
    pub fn owner(&self, slot: u16) -> Option<&Place> {
        self.masters.get(self.owner_at(slot)?)
    }

    /// The place in [`masters`](Self::masters) of who serves it.
    #[must_use]
    pub fn owner_at(&self, slot: u16) -> Option<usize> {
        let at = usize::from(*self.owners.get(usize::from(slot))?);
        (at < self.masters.len()).then_some(at)
    }

    /// The same map with one slot at another place, as a node has said that it is. A slot that is none changes nothing.
    pub fn moved(&mut self, slot: u16, place: &Place) {
        let Some(owner) = self.owners.get_mut(usize::from(slot)) else {
            return;
        };
        let at = match self.masters.iter().position(|master| master == place) {
            Some(at) => at,
            None if self.masters.len() >= MAX_NODES => return,
            None => {
                // At the end, so that the others keep their numbers.
                self.replicas.retain(|replica| replica != place);
                self.masters.push(place.clone());
                self.masters.len() - 1
            }
        };
        *owner = u16::try_from(at).unwrap_or(NOBODY);
    }

    /// Those that serve slots, or did before they [moved](Self::moved).
    #[must_use]
    pub fn masters(&self) -> &[Place] {
        &self.masters
    }

    /// Their replicas, as far as they are known.
    #[must_use]
    pub fn replicas(&self) -> &[Place] {
        &self.replicas
    }

    /// How many slots are served.
    #[must_use]
    pub fn served(&self) -> usize {
        self.owners.iter().filter(|at| **at != NOBODY).count()
    }
}

/// Masters and how many slots are served.
impl fmt::Debug for SlotMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masters = self.masters.iter().map(ToString::to_string);
        f.debug_struct("SlotMap")
            .field("masters", &masters.collect::<Vec<_>>())
            .field("served", &self.served())
            .finish_non_exhaustive()
    }
}

struct Range {
    first: u16,
    last: u16,
    master: Place,
    replicas: Vec<Place>,
}

impl Range {
    /// First slot, last slot, the master, replicas.
    fn read(reply: Reply, asked: &str) -> Option<Self> {
        let Reply::Array(items) = reply else {
            return None;
        };
        let mut items = items.into_iter();
        let first = number(&items.next()?)?;
        let last = number(&items.next()?)?;
        let master = node(items.next()?, asked)?;
        let replicas = items.filter_map(|item| node(item, asked)).collect();
        (first <= last && last < SLOTS).then_some(Self {
            first,
            last,
            master,
            replicas,
        })
    }
}

/// Host, port, and what else servers tell of a node.
fn node(reply: Reply, asked: &str) -> Option<Place> {
    let Reply::Array(items) = reply else {
        return None;
    };
    let mut items = items.into_iter();
    let host = match items.next()? {
        Reply::Bytes(host) => String::from_utf8(host.to_vec()).ok()?,
        // It does not know: the one that was asked.
        Reply::Nil => String::new(),
        _ => return None,
    };
    let port = number(&items.next()?)?;
    Some(Place::new(&host, port)?.told_by(asked))
}

fn number(reply: &Reply) -> Option<u16> {
    match reply {
        Reply::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    }
}

fn senseless(what: &str) -> Fault {
    Fault::new(ErrorKind::Protocol, format!("CLUSTER SLOTS told {what}"))
}

#[cfg(test)]
mod tests;
