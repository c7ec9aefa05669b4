//! Addresses: reading a URL, and never showing its password.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use super::Fault;
use crate::ErrorKind;

const FORMS: &str =
    "use redis://[user:pass@]host[:port][/db], rediss://… for TLS, or redis+unix:///path.sock";

const DEFAULT_PORT: u16 = 6379;

/// Where to connect and as whom: what a URL says.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    endpoint: Endpoint,
    user: Option<String>,
    password: Option<String>,
    database: u32,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A host and port.
    Tcp {
        /// A name, or an IP address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A host and port, over TLS.
    Tls {
        /// A name, or an IP address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], or [`ErrorKind::Unsupported`] for a cluster or Sentinel. The error says
    /// what is wrong with the URL and does not repeat it: it may hold a password in a place where
    /// nobody expects one.
    pub fn parse(url: &str) -> Result<Self, Fault> {
        let (scheme, rest) = url
            .trim()
            .split_once("://")
            .ok_or_else(|| unusable("not the URL of a Redis"))?;
        if rest.contains('#') {
            return Err(unusable("a # in a user name or password is written %23"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        match scheme.to_ascii_lowercase().as_str() {
            "redis" | "valkey" => network(rest, query, false),
            "rediss" | "valkeys" => network(rest, query, true),
            "redis+unix" | "valkey+unix" | "unix" => socket(rest, query),
            "redis-cluster" | "redis-sentinel" => Err(Fault::new(
                ErrorKind::Unsupported,
                "redis-cluster:// and redis-sentinel:// are not supported yet",
            )),
            _ => Err(unusable("not the URL of a Redis")),
        }
    }

    /// Where the server is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The user, if one was given.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password, if one was given.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The database; 0 if none was given.
    #[must_use]
    pub fn database(&self) -> u32 {
        self.database
    }
}

/// Host and port, or path. Never user or password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Endpoint::Tcp { host, port } | Endpoint::Tls { host, port } => {
                match host.contains(':') {
                    true => write!(f, "[{host}]:{port}"),
                    false => write!(f, "{host}:{port}"),
                }
            }
            Endpoint::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// As `Display`: never user or password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

fn network(rest: &str, query: &str, tls: bool) -> Result<Address, Fault> {
    // Else what a password with an @ and a ? in it holds between them would be the host, and be shown.
    if query.contains('@') {
        return Err(unusable(
            "an @, / or ? in a user name or password is written %40, %2F or %3F",
        ));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (who, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    let (host, port) = place_of(place)?;
    for (name, value) in pairs(query) {
        protocol(name, value)?;
    }
    Ok(Address {
        endpoint: match tls {
            true => Endpoint::Tls { host, port },
            false => Endpoint::Tcp { host, port },
        },
        user: secret(user)?,
        password: secret(password)?,
        database: database(path.trim_matches('/'))?,
    })
}

fn socket(rest: &str, query: &str) -> Result<Address, Fault> {
    let path = decoded(rest).ok_or_else(|| unusable("the path of the socket is not UTF-8"))?;
    if !path.starts_with('/') || path.trim_matches('/').is_empty() {
        return Err(unusable("the path of the socket is missing"));
    }
    let mut address = Address {
        endpoint: Endpoint::Unix(PathBuf::from(path)),
        user: None,
        password: None,
        database: 0,
    };
    for (name, value) in pairs(query) {
        match name {
            "db" => address.database = database(value)?,
            "user" => address.user = secret(value)?,
            "pass" => address.password = secret(value)?,
            _ => protocol(name, value)?,
        }
    }
    Ok(address)
}

/// The host, without brackets, and the port.
fn place_of(place: &str) -> Result<(String, u16), Fault> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let bad = || unusable("the IPv6 address did not parse");
            let (host, port) = rest.split_once(']').ok_or_else(bad)?;
            host.parse::<Ipv6Addr>().map_err(|_| bad())?;
            match port.strip_prefix(':') {
                None if !port.is_empty() => return Err(bad()),
                port => (host, port.unwrap_or_default()),
            }
        }
        None => {
            let (host, port) = place.split_once(':').unwrap_or((place, ""));
            let fits = |c: char| c.is_alphanumeric() || "-._~".contains(c);
            if host.is_empty() {
                return Err(unusable("the host is missing"));
            } else if !host.chars().all(fits) {
                return Err(unusable("the host did not parse"));
            }
            (host, port)
        }
    };
    if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
        return Err(unusable("the host is a wildcard address"));
    }
    let port = match port {
        "" => DEFAULT_PORT,
        port => port
            .parse()
            .map_err(|_| unusable("the port is not a number from 0 to 65535"))?,
    };
    Ok((host.to_owned(), port))
}

fn database(written: &str) -> Result<u32, Fault> {
    match written {
        "" => Ok(0),
        written => written
            .parse()
            .map_err(|_| unusable("the database is not a number")),
    }
}

fn secret(written: &str) -> Result<Option<String>, Fault> {
    let decoded =
        decoded(written).ok_or_else(|| unusable("a user name or password is not UTF-8"))?;
    Ok(Some(decoded).filter(|decoded| !decoded.is_empty()))
}

/// RESP3 is spoken whatever is asked for here, but what makes no sense is named.
fn protocol(name: &str, value: &str) -> Result<(), Fault> {
    let known = ["2", "3", "resp2", "resp3"].contains(&value);
    match name == "protocol" && !known {
        true => Err(unusable("the protocol is neither resp2 nor resp3")),
        false => Ok(()),
    }
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let written = query.split('&').filter(|pair| !pair.is_empty());
    written.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Takes the percent-encoding off; `None` if the result is not UTF-8. A `%` that encodes nothing is
/// itself.
fn decoded(written: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |byte: u8| char::from(byte).to_digit(16);
        rest = match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let digits = hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low);
                bytes.extend(digits.and_then(|byte| u8::try_from(byte).ok()));
                after
            }
            _ => {
                bytes.push(*first);
                tail
            }
        };
    }
    String::from_utf8(bytes).ok()
}

fn unusable(reason: &str) -> Fault {
    Fault::new(ErrorKind::Config, format!("{reason}; {FORMS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(url: &str) -> Fault {
        match Address::parse(url) {
            Ok(address) => panic!("{url} was taken for {address}"),
            Err(fault) => fault,
        }
    }

    fn shown(url: &str) -> String {
        Address::parse(url).unwrap().to_string()
    }

    #[test]
    fn the_forms_of_the_documentation_are_read() {
        let full = Address::parse("redis://ann:s%40cret@example.org:7000/3").unwrap();
        assert_eq!(full.to_string(), "example.org:7000");
        assert_eq!(full.password(), Some("s@cret"));
        assert_eq!((full.user(), full.database()), (Some("ann"), 3));
        let (host, port) = ("example.org".to_owned(), 7000);
        assert_eq!(*full.endpoint(), Endpoint::Tcp { host, port });

        assert_eq!(shown("redis://localhost"), "localhost:6379");
        assert_eq!(shown("valkey://localhost:/"), "localhost:6379");
        assert_eq!(shown("redis://[::1]:6380/"), "[::1]:6380");
        assert_eq!(shown("redis://:p%@[::1]"), "[::1]:6379");
        let tls = Address::parse(" REDISS://:pw@example.org/?x=y ").unwrap();
        assert!(matches!(tls.endpoint(), Endpoint::Tls { port: 6379, .. }));
        assert_eq!((tls.user(), tls.password()), (None, Some("pw")));
        let socket = Address::parse("redis+unix:///tmp/r%20.sock?db=2&pass=pw&user=ann").unwrap();
        assert_eq!(socket.to_string(), "/tmp/r .sock");
        assert_eq!((socket.user(), socket.database()), (Some("ann"), 2));
        assert_eq!(socket.password(), Some("pw"));
    }

    #[test]
    fn bad_urls_get_one_line_without_the_password() {
        for url in [
            "",
            "localhost:6379",
            "hunter2",
            "http://:hunter2@localhost",
            "redis://",
            "redis://:hunter2@",
            "redis://:hunter2@host:99999",
            "redis://:hunter2@host/hunter2",
            "redis://:hunter2@host/-1",
            "redis://:hunter2@host/99999999999",
            "redis://:hunter2@host/?protocol=hunter2",
            "redis://:hunter2@ho st/",
            "redis://:hunter2@[::1/",
            "redis://:hunter2@[hunter2]/",
            "redis://:hunter2@[::1]hunter2",
            "redis://:hunter2@::1",
            "redis://:hunter2@0.0.0.0",
            "redis://:%ff@host/",
            "redis://user:hunter2/x@host",
            "redis://user:hunter2?x@host",
            "redis://hunter2:123?x@host",
            "redis://hunter2?x@host",
            "redis://user:x@hunter2?x@host",
            "rediss://:hunter2@host/#hunter2",
            "redis://:#hunter2@host/",
            "redis+unix://",
            "redis+unix:///",
            "redis+unix://hunter2",
            "redis+unix:///s?db=hunter2",
        ] {
            let fault = fault(url);
            assert_eq!(fault.kind(), ErrorKind::Config, "{url}");
            assert!(!fault.detail().contains("hunter2"), "{}", fault.detail());
            assert!(fault.detail().contains("redis://"), "{}", fault.detail());
        }
    }

    #[test]
    fn clusters_and_sentinels_are_refused_by_name() {
        for url in [
            "redis-cluster://:hunter2@h:1?node=h:2",
            "redis-sentinel://h:1",
        ] {
            let fault = fault(url);
            assert_eq!(fault.kind(), ErrorKind::Unsupported, "{url}");
            let said = fault.detail();
            assert!(said.contains("not supported yet") && !said.contains("h:1"));
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let address = Address::parse("redis://ann:hunter2@host").unwrap();
        assert_eq!(format!("{address:?}"), "Address(host:6379)");
    }
}
