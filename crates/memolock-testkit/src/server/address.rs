//! Where a server is and how to log in: what a `redis://` URL says.

use std::fmt;
use std::time::Duration;

use crate::ServerError;

/// Host, port, credentials and database.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    url: String,
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<String>,
    database: Option<u32>,
}

impl Address {
    /// A server without credentials.
    pub(crate) fn plain(host: &str, port: u16) -> Self {
        let shown = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        Self {
            url: format!("redis://{shown}:{port}"),
            host: host.to_owned(),
            port,
            user: None,
            password: None,
            database: None,
        }
    }

    /// Reads `redis://[user:pass@]host[:port][/db]`. The error never repeats the URL, which may hold a password.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let rest = url
            .strip_prefix("redis://")
            .ok_or("only redis://[user:pass@]host[:port][/db] is understood here")?;
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| "the port is no number")?)
            }
            _ => (place, 6379),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("the host is missing".into());
        }
        let database = match path {
            "" => None,
            digits => Some(digits.parse().map_err(|_| "the database is no number")?),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "")))
        {
            Some((user, password)) => (non_empty(user), non_empty(password)),
            None => (None, None),
        };
        Ok(Self {
            url: url.to_owned(),
            host: host.to_owned(),
            port,
            user,
            password,
            database,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What a socket connects to.
    pub(crate) fn place(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// What is sent first on a new connection.
    pub(crate) fn greetings(&self) -> Vec<Vec<String>> {
        let mut greetings = Vec::new();
        if let Some(password) = &self.password {
            let words = ["AUTH"].into_iter().chain(self.user.as_deref());
            greetings.push(words.chain([password.as_str()]).map(Into::into).collect());
        }
        if let Some(database) = self.database {
            greetings.push(vec!["SELECT".into(), database.to_string()]);
        }
        greetings
    }

    pub(crate) fn lost(&self, why: &dyn fmt::Display) -> ServerError {
        ServerError::Connection {
            address: self.place(),
            why: why.to_string(),
        }
    }

    pub(crate) fn timeout(&self, waited: Duration) -> ServerError {
        ServerError::Timeout {
            address: self.place(),
            waited,
        }
    }
}

/// Without the credentials.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.place())
    }
}

/// Percent-decoded, as passwords in URLs are encoded; `None` where there is nothing.
fn non_empty(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(high * 16 + low);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    // A hexadecimal digit is below 16.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let bare = Address::parse("redis://localhost").unwrap();
        assert_eq!(
            (bare.place().as_str(), bare.port()),
            ("localhost:6379", 6379)
        );
        assert!(bare.greetings().is_empty());
        let full =
            Address::parse("redis://ann:p%40ss:word@db.example:7000/3?protocol=resp3").unwrap();
        assert_eq!(full.place(), "db.example:7000");
        assert_eq!(
            full.greetings(),
            [vec!["AUTH", "ann", "p@ss:word"], vec!["SELECT", "3"]]
        );
        let password = Address::parse("redis://:secret@[::1]:7001").unwrap();
        assert_eq!(password.place(), "[::1]:7001");
        assert_eq!(password.greetings(), [vec!["AUTH", "secret"]]);
        assert_eq!(
            Address::parse("redis://[::1]").unwrap().place(),
            "[::1]:6379"
        );
        assert_eq!(Address::plain("::1", 1).url(), "redis://[::1]:1");
    }

    #[test]
    fn bad_urls_are_refused_without_repeating_them() {
        for url in [
            "",
            "localhost",
            "rediss://a:secret@h",
            "redis://:secret@",
            "redis://h:secret",
            "redis://h/secret",
        ] {
            let refused = Address::parse(url).expect_err(url);
            assert!(!refused.contains("secret"), "{refused}");
        }
        let shown = format!("{:?}", Address::parse("redis://:secret@h").unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
