//! Reading a URL.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use super::{Address, Endpoint, Login, Topology};
use crate::ErrorKind;
use crate::redis::Fault;

const FORMS: &str = "use redis://[user[:pass]@]host[:port][/db], rediss://… for TLS, redis+unix:///path.sock, \
                     redis-cluster://host[:port][,host…] or redis-sentinel://host[:port][,host…]/service[/db]";

const DEFAULT_PORT: u16 = 6379;

const SENTINEL_PORT: u16 = 26379;

/// What a scheme says of the servers behind it.
#[derive(Clone, Copy)]
enum Kind {
    Single,
    Cluster,
    Sentinel,
}

pub(super) fn address(url: &str) -> Result<Address, Fault> {
    let (scheme, rest) = url
        .trim()
        .split_once("://")
        .ok_or_else(|| unusable("not the URL of a Redis"))?;
    if rest.contains('#') {
        return Err(unusable("a # in a user name or password is written %23"));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    match scheme.to_ascii_lowercase().as_str() {
        "redis" | "valkey" => network(rest, query, false, Kind::Single),
        "rediss" | "valkeys" => network(rest, query, true, Kind::Single),
        "redis-cluster" | "valkey-cluster" => network(rest, query, false, Kind::Cluster),
        "rediss-cluster" | "valkeys-cluster" => network(rest, query, true, Kind::Cluster),
        "redis-sentinel" | "valkey-sentinel" => network(rest, query, false, Kind::Sentinel),
        "rediss-sentinel" | "valkeys-sentinel" => network(rest, query, true, Kind::Sentinel),
        "redis+unix" | "valkey+unix" | "unix" => socket(rest, query),
        _ => Err(unusable("not the URL of a Redis")),
    }
}

fn network(rest: &str, query: &str, tls: bool, kind: Kind) -> Result<Address, Fault> {
    // Else what a password with an @ and a ? in it holds between them would be the host, and be shown.
    if query.contains('@') {
        return Err(unusable(
            "an @, / or ? in a user name or password is written %40, %2F or %3F",
        ));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (who, places) = authority.rsplit_once('@').unwrap_or(("", authority));
    let query = Query::read(query)?;
    let mut address = Address {
        endpoints: Vec::new(),
        topology: Topology::Single,
        who: query.login(who)?,
        sentinels: login(query.sentinel_user, query.sentinel_pass)?,
        database: 0,
    };
    let mut places: Vec<&str> = places.split(',').collect();
    let path = path.trim_end_matches('/');
    match kind {
        Kind::Single if places.len() > 1 => {
            return Err(unusable("a single server has one host"));
        }
        Kind::Single => address.database = query.database(path.trim_start_matches('/'))?,
        Kind::Cluster if query.database(path)? != 0 => {
            return Err(unusable("a cluster has no database but 0"));
        }
        Kind::Cluster => {
            places.extend(&query.nodes);
            address.topology = Topology::Cluster;
        }
        Kind::Sentinel => {
            let (service, path) = path.split_once('/').unwrap_or((path, ""));
            let service = service_of(service)?;
            address.topology = Topology::Sentinel { service };
            address.database = query.database(path)?;
        }
    }
    for place in places {
        let (host, port) = place_of(place, kind)?;
        address.endpoints.push(match tls {
            true => Endpoint::Tls { host, port },
            false => Endpoint::Tcp { host, port },
        });
    }
    Ok(address)
}

/// What stands behind the `?`, the same for every kind of URL. Other names are ignored.
#[derive(Default)]
struct Query<'a> {
    db: Option<&'a str>,
    user: Option<&'a str>,
    pass: Option<&'a str>,
    sentinel_user: Option<&'a str>,
    sentinel_pass: Option<&'a str>,
    nodes: Vec<&'a str>,
}

impl<'a> Query<'a> {
    fn read(query: &'a str) -> Result<Self, Fault> {
        let mut read = Self::default();
        for (name, value) in pairs(query) {
            let place = match name {
                "db" => &mut read.db,
                "user" => &mut read.user,
                "pass" => &mut read.pass,
                "sentinel_user" => &mut read.sentinel_user,
                "sentinel_pass" => &mut read.sentinel_pass,
                "node" => {
                    read.nodes.push(value);
                    continue;
                }
                // If they were ignored, we would be somebody else, or somewhere else.
                "database" | "username" | "password" => {
                    return Err(unusable(
                        "the database, user and password in a query are called db, user and pass",
                    ));
                }
                _ => {
                    protocol(name, value)?;
                    continue;
                }
            };
            if place.replace(value).is_some_and(|before| before != value) {
                return Err(unusable("an option in the query is given twice"));
            }
        }
        Ok(read)
    }

    /// From `user:password` before the host, or from the query, but not half from each.
    fn login(&self, who: &str) -> Result<Login, Fault> {
        if who.is_empty() {
            return login(self.user, self.pass);
        }
        if self.user.is_some() || self.pass.is_some() {
            return Err(unusable(
                "user and password stand before the host or in the query, not in both",
            ));
        }
        let (user, password) = who.split_once(':').unwrap_or((who, ""));
        login(Some(user), Some(password))
    }

    /// From the path, from the query, or the same in both.
    fn database(&self, path: &str) -> Result<u32, Fault> {
        match (path, self.db) {
            (path, None) => database(path),
            ("", Some(asked)) => database(asked),
            (path, Some(asked)) => match (database(path)?, database(asked)?) {
                (a, b) if a == b => Ok(a),
                _ => Err(unusable("two databases are given")),
            },
        }
    }
}

/// What sentinels take for a name, and so never the rest of a password with a / in it.
fn service_of(written: &str) -> Result<String, Fault> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    match secret(written)? {
        None => Err(unusable("the name of the service is missing")),
        Some(name) if name.chars().all(fits) => Ok(name),
        Some(_) => Err(unusable(
            "the name of the service has other characters than A-Z, a-z, 0-9, -, . and _",
        )),
    }
}

fn login(user: Option<&str>, password: Option<&str>) -> Result<Login, Fault> {
    let read = |written: Option<&str>| secret(written.unwrap_or_default());
    Ok(Login::new(read(user)?, read(password)?))
}

fn socket(rest: &str, query: &str) -> Result<Address, Fault> {
    let path = decoded(rest).ok_or_else(|| unusable("the path of the socket is not UTF-8"))?;
    if !path.starts_with('/') || path.trim_matches('/').is_empty() {
        return Err(unusable(
            "the path of the socket is missing, or user and password stand before it and not in the query",
        ));
    }
    let query = Query::read(query)?;
    Ok(Address {
        endpoints: vec![Endpoint::Unix(PathBuf::from(path))],
        topology: Topology::Single,
        who: query.login("")?,
        sentinels: Login::default(),
        database: query.database("")?,
    })
}

/// The host, without brackets, and the port.
fn place_of(place: &str, kind: Kind) -> Result<(String, u16), Fault> {
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
        "" => match kind {
            Kind::Sentinel => SENTINEL_PORT,
            Kind::Single | Kind::Cluster => DEFAULT_PORT,
        },
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

    /// Whoever names a user is never taken for the default one.
    #[test]
    fn a_user_without_a_password_has_an_empty_one() {
        for url in [
            "redis://ann@h",
            "redis://ann:@h",
            "rediss://ann@h/",
            "redis-cluster://ann@h",
            "redis-sentinel://ann:@h/s",
            "redis://h?user=ann",
            "redis+unix:///s?user=ann",
            "redis+unix:///s?user=ann&pass=",
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(
                (address.user(), address.password()),
                (Some("ann"), Some("")),
                "{url}"
            );
        }
        for url in [
            "redis://h",
            "redis://@h",
            "redis://:@h",
            "redis://h?user=&pass=",
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!((address.user(), address.password()), (None, None), "{url}");
        }
        let sentinels = Address::parse("redis-sentinel://h/s?sentinel_user=bob").unwrap();
        let sentinel = sentinels.at_sentinel(sentinels.endpoint().clone());
        assert_eq!(
            (sentinel.user(), sentinel.password()),
            (Some("bob"), Some(""))
        );
        let bare = sentinels.with_login(Some("eve".into()), None);
        assert_eq!((bare.user(), bare.password()), (Some("eve"), Some("")));
    }

    #[test]
    fn database_user_and_password_may_stand_in_the_query_of_every_form() {
        for url in [
            "redis://h?db=2&user=ann&pass=p%26w",
            "redis://h/?pass=p%26w&user=ann&db=2",
            "redis://h/2?db=2&user=ann&pass=p%26w",
            "rediss://[::1]:7?db=2&db=2&user=ann&pass=p%26w",
            "redis-sentinel://h/s?db=2&user=ann&pass=p%26w",
            "redis-sentinel://ann:p%26w@h/s/?db=2",
            "redis+unix:///s?db=2&user=ann&pass=p%26w",
            "redis://ann:p&w@h?db=2",
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(
                (address.user(), address.password(), address.database()),
                (Some("ann"), Some("p&w"), 2),
                "{url}"
            );
        }
        let cluster = Address::parse("redis-cluster://h?db=0&user=ann&pass=pw").unwrap();
        assert_eq!(
            (cluster.user(), cluster.password()),
            (Some("ann"), Some("pw"))
        );
        let refused = Address::parse("redis-cluster://h?db=1").unwrap_err();
        assert!(refused.detail().contains("database"));
    }

    #[test]
    fn every_character_of_a_password_is_read() {
        for code in 0..=0xff_u32 {
            let c = char::from_u32(code).unwrap();
            let mut utf8 = [0; 4];
            let encoded: String = c
                .encode_utf8(&mut utf8)
                .bytes()
                .map(|byte| format!("%{byte:02X}"))
                .collect();
            let expected = format!("a{c}b");
            for url in [
                format!("redis://u:a{encoded}b@h"),
                format!("redis://a{encoded}b@h"),
                format!("redis+unix:///s?user=u&pass=a{encoded}b"),
            ] {
                let address = Address::parse(&url).unwrap();
                let read = [address.user(), address.password()];
                assert!(read.contains(&Some(&expected)), "{url}");
            }
            // A byte above 7F alone is no character.
            let alone = Address::parse(&format!("redis://u:a%{code:02x}b@h"));
            assert_eq!(alone.is_ok(), code < 0x80, "{code:x}");
        }
    }
}
