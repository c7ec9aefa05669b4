//! What sentinels say, read with distrust: where the master of a service is, and whom to believe.

use std::fmt;
use std::net::IpAddr;

use super::{Endpoint, Fault, Reply};
use crate::ErrorKind;

/// Where sentinels announce that a master has changed: once it is done, and as soon as the new one is chosen.
pub const CHANNELS: [&str; 2] = ["+switch-master", "+promoted-slave"];

/// The longest host that is believed: names have at most 253 characters.
const MAX_HOST_BYTES: usize = 255;

/// Where a sentinel says that a master is. Two that are equal are the same place, however they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    host: String,
    port: u16,
}

impl Place {
    /// A place, if a client can connect there.
    fn new(host: &str, port: &str) -> Option<Self> {
        let port = port.parse().ok().filter(|port| *port != 0)?;
        if let Ok(ip) = host.parse::<IpAddr>() {
            let ip = ip.to_canonical();
            let host = ip.to_string();
            return (!ip.is_unspecified()).then_some(Self { host, port });
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let fine = !host.is_empty() && host.len() <= MAX_HOST_BYTES && host.chars().all(fits);
        fine.then_some(Self { host, port })
    }

    /// A name, or an IP address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
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

/// What asks a sentinel for the master, to be read by [`place`].
#[must_use]
pub fn where_is(service: &str) -> [&str; 3] {
    ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", service]
}

/// What asks a sentinel for what else it knows of the master, to be read by [`epoch`].
#[must_use]
pub fn what_is(service: &str) -> [&str; 3] {
    ["SENTINEL", "MASTER", service]
}

/// The answer to [`where_is`]: `None` if the sentinel knows no such service.
///
/// # Errors
/// [`ErrorKind::Protocol`] if it is no place that one can connect to.
pub fn place(reply: Reply) -> Result<Option<Place>, Fault> {
    let senseless = || {
        let detail = "what the sentinel says is no address of a master";
        Fault::new(ErrorKind::Protocol, detail)
    };
    let items = match reply {
        Reply::Nil => return Ok(None),
        Reply::Array(items) => items,
        _ => return Err(senseless()),
    };
    let [Reply::Bytes(host), Reply::Bytes(port)] = items.as_slice() else {
        return Err(senseless());
    };
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    let place = Place::new(text(host), text(port));
    place.map(Some).ok_or_else(senseless)
}

/// The epoch of what the sentinel knows, in the answer to [`what_is`]; 0 where it does not say. Of two sentinels
/// that disagree, the one of the later epoch has heard of the later failover.
#[must_use]
pub fn epoch(reply: Reply) -> u64 {
    let is_name = |name: &Reply| matches!(name, Reply::Bytes(name) if name == "config-epoch");
    let value = match reply {
        Reply::Map(pairs) => pairs.into_iter().find(|(name, _)| is_name(name)),
        Reply::Array(items) => {
            let mut items = items.into_iter();
            std::iter::from_fn(|| items.next().zip(items.next())).find(|(name, _)| is_name(name))
        }
        _ => None,
    };
    match value {
        Some((_, Reply::Bytes(digits))) => {
            let digits = std::str::from_utf8(&digits).unwrap_or_default();
            digits.parse().unwrap_or_default()
        }
        Some((_, Reply::Int(number))) => u64::try_from(number).unwrap_or_default(),
        _ => 0,
    }
}

/// Whether an announcement on one of the [`CHANNELS`] is about the service. It is a reason to ask, and no more.
#[must_use]
pub fn concerns(payload: &[u8], service: &str) -> bool {
    let mut words = payload.split(|byte| *byte == b' ');
    words.any(|word| word == service.as_bytes())
}

/// Reads the answer to `ROLE`.
///
/// # Errors
/// [`ErrorKind::Refused`] if it is the answer of another than a master.
pub fn is_master(reply: &Reply) -> Result<(), Fault> {
    let role = match reply {
        Reply::Array(items) => items.first(),
        _ => None,
    };
    match role {
        Some(Reply::Bytes(role)) if role == "master" => Ok(()),
        Some(Reply::Bytes(role)) if role == "slave" || role == "replica" => Err(Fault::new(
            ErrorKind::Refused,
            "it is a replica, and not the master that the sentinels say it is",
        )),
        _ => Err(Fault::new(
            ErrorKind::Refused,
            "it is not the master that the sentinels say it is",
        )),
    }
}

/// What all sentinels of a service say, put together.
///
/// Each has a seat, in the order of the URL. Whoever wants to know [`ask`](Self::ask)s, which numbers the question;
/// those who talk with the sentinels report the answers; [`verdict`](Self::verdict) is what to make of them. Of
/// sentinels that disagree, that of the latest epoch is believed, and among those the one that changed its mind last.
#[derive(Debug, Clone)]
pub struct Council {
    service: String,
    seats: Vec<Seat>,
    asked: u64,
    changes: u64,
}

#[derive(Debug, Clone)]
struct Seat {
    sentinel: String,
    word: Word,
    /// The latest question that the word answers.
    answered: u64,
    /// When the word became what it is.
    since: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    /// Not heard of yet.
    Awaited,
    Said {
        place: Place,
        epoch: u64,
    },
    /// It knows no such service.
    Unknown,
    Silent(Fault),
}

impl Council {
    /// Sentinels that nobody has heard of yet.
    #[must_use]
    pub fn new(service: &str, sentinels: &[Endpoint]) -> Self {
        let seat = |sentinel: &Endpoint| Seat {
            sentinel: sentinel.to_string(),
            word: Word::Awaited,
            answered: 0,
            since: 0,
        };
        Self {
            service: service.to_owned(),
            seats: sentinels.iter().map(seat).collect(),
            asked: 0,
            changes: 0,
        }
    }

    /// Puts the question anew, and says its number.
    pub fn ask(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// The number of the latest question.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// A sentinel has answered. `place` is `None` if it knows no such service.
    pub fn said(&mut self, seat: usize, question: u64, place: Option<Place>, epoch: u64) {
        let word = match place {
            Some(place) => Word::Said { place, epoch },
            None => Word::Unknown,
        };
        self.hear(seat, question, word);
    }

    /// A sentinel cannot be asked.
    pub fn silent(&mut self, seat: usize, fault: Fault) {
        self.hear(seat, 0, Word::Silent(fault));
    }

    fn hear(&mut self, seat: usize, question: u64, word: Word) {
        let Some(seat) = self.seats.get_mut(seat) else {
            return;
        };
        seat.answered = seat.answered.max(question);
        if seat.word != word {
            self.changes += 1;
            seat.since = self.changes;
            seat.word = word;
        }
    }

    /// Where the master is, by what is known now.
    #[must_use]
    pub fn master(&self) -> Option<&Place> {
        let said = self.seats.iter().filter_map(|seat| match &seat.word {
            Word::Said { place, epoch } => Some((*epoch, seat.since, place)),
            _ => None,
        });
        said.max_by_key(|(epoch, since, _)| (*epoch, *since))
            .map(|(_, _, place)| place)
    }

    /// Whether there is nobody left to wait for.
    #[must_use]
    pub fn is_complete(&self, question: u64) -> bool {
        self.seats.iter().all(|seat| match seat.word {
            Word::Awaited => false,
            Word::Silent(_) => true,
            Word::Said { .. } | Word::Unknown => seat.answered >= question,
        })
    }

    /// Where the master is, once any sentinel has answered this question; or why nobody says, once all have been
    /// heard. `None`: wait.
    #[must_use]
    pub fn verdict(&self, question: u64) -> Option<Result<Place, Fault>> {
        let fresh =
            |seat: &Seat| matches!(seat.word, Word::Said { .. }) && seat.answered >= question;
        match self.master() {
            Some(place) if self.seats.iter().any(fresh) => Some(Ok(place.clone())),
            _ if self.is_complete(question) => Some(Err(self.nobody())),
            _ => None,
        }
    }

    /// Why nobody says where the master is. Unavailable: sentinels come back, and learn of services.
    fn nobody(&self) -> Fault {
        let service = &self.service;
        let silent = self.seats.iter().filter_map(|seat| match &seat.word {
            Word::Silent(fault) => Some((fault, &seat.sentinel)),
            _ => None,
        });
        let silent: Vec<_> = silent.collect();
        let knows_not = self.seats.iter().find(|seat| seat.word == Word::Unknown);
        let others = match self.seats.len() {
            0 | 1 => String::new(),
            all => format!(" and {} more", all - 1),
        };
        match (knows_not, silent.first()) {
            (Some(seat), _) => {
                let sentinel = &seat.sentinel;
                let detail = format!(
                    "sentinel {sentinel} knows no master named {service}: correct the service in the URL, \
                     or have the sentinels monitor it"
                );
                Fault::new(ErrorKind::Unavailable, detail)
            }
            (None, Some((first, sentinel))) => {
                // Wrong credentials for all of them are no outage.
                let denied = |fault: &Fault| fault.kind() == ErrorKind::Denied;
                let kind = match silent.iter().all(|(fault, _)| denied(fault)) {
                    true => ErrorKind::Denied,
                    false => ErrorKind::Unavailable,
                };
                let said = first.detail();
                let said = said.strip_prefix(sentinel.as_str()).unwrap_or(said);
                let said = said.trim_start_matches([':', ' ']);
                let detail = format!(
                    "no sentinel says where the master of {service} is; {sentinel}{others}: {said}"
                );
                Fault::new(kind, detail)
            }
            (None, None) => Fault::new(
                ErrorKind::Unavailable,
                format!("no sentinel says where the master of {service} is"),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
