//! The parts of a URL, or of a list `host=… user=…`, by the names that libpq gives them.
//!
//! What is wrong is said without the text itself: it may hold a password, and a special character that is
//! not encoded can make a part of the password look like anything else.

use std::collections::BTreeMap;

use memolock_core::ErrorKind;
use memolock_core::connection::Fault;

const FORM: &str = "not a PostgreSQL URL: postgres://user:pass@host:port/database?parameter=value, with special characters of the password percent-encoded";

/// Parameters by name; of two with one name the last counts, and an empty one is as good as none.
#[derive(Default)]
pub(crate) struct Parameters {
    all: BTreeMap<String, Vec<u8>>,
    /// What looks like parameters may be the rest of a password with a slash in it, and a host.
    is_doubtful: bool,
}

impl Parameters {
    /// Reads either form.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let schemes = ["postgres://", "postgresql://"];
        let mut read = Self::default();
        match schemes.iter().find_map(|s| text.strip_prefix(s)) {
            Some(rest) => read.url(rest)?,
            None => read.pairs(text)?,
        }
        Ok(read)
    }

    /// Takes one out, as text.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, Fault> {
        match self.take_bytes(name) {
            Some(value) => match String::from_utf8(value) {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(unusable(name, "is not UTF-8")),
            },
            None => Ok(None),
        }
    }

    /// Takes one out, whatever it is.
    pub(crate) fn take_bytes(&mut self, name: &str) -> Option<Vec<u8>> {
        self.all.remove(name).filter(|value| !value.is_empty())
    }

    /// Refuses what was not taken, by its name.
    pub(crate) fn finish(&self, unsupported: &[&str]) -> Result<(), Fault> {
        match self.all.keys().next() {
            None => Ok(()),
            Some(_) if self.is_doubtful => Err(malformed()),
            Some(name) if unsupported.contains(&name.as_str()) => {
                Err(unusable(name, "is not supported by this client"))
            }
            Some(name) => Err(unusable(name, "is not known")),
        }
    }

    fn put(&mut self, name: impl Into<String>, value: Vec<u8>) {
        self.all.insert(name.into(), value);
    }

    /// What stands behind the scheme. As libpq, the first `@` before any slash ends user and password.
    fn url(&mut self, rest: &str) -> Result<(), Fault> {
        let slash = rest.find('/').unwrap_or(rest.len());
        let rest = match rest[..slash].split_once('@') {
            Some((who, _)) => {
                let (user, password) = who.split_once(':').unwrap_or((who, ""));
                self.put("user", decoded(user)?);
                self.put("password", decoded(password)?);
                &rest[who.len() + 1..]
            }
            None => rest,
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        self.hosts(hosts)?;
        self.put("dbname", decoded(database)?);
        self.is_doubtful = query.contains('@') && !self.all.contains_key("user");
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(malformed)?;
            let name = String::from_utf8(decoded(name)?).map_err(|_| malformed())?;
            if !is_name(&name) {
                return Err(malformed());
            }
            match (name.as_str(), value) {
                // As JDBC has it; libpq understands it too.
                ("ssl", "true") => self.put("sslmode", b"require".to_vec()),
                _ => self.put(name, decoded(value)?),
            }
        }
        Ok(())
    }

    fn hosts(&mut self, hosts: &str) -> Result<(), Fault> {
        let (mut names, mut ports) = (Vec::new(), Vec::new());
        for host in hosts.split(',') {
            let (name, port) = match host.strip_prefix('[') {
                Some(address) => {
                    let (address, port) = address.split_once(']').ok_or_else(malformed)?;
                    match port.strip_prefix(':') {
                        Some(port) => (address, port),
                        None if port.is_empty() => (address, ""),
                        None => return Err(malformed()),
                    }
                }
                None => host.split_once(':').unwrap_or((host, "")),
            };
            names.push(decoded(name)?);
            // Unlike the parameter, this may be a piece of a password.
            match port.parse::<u16>() {
                Ok(_) => ports.push(port),
                Err(_) if port.is_empty() => ports.push(port),
                Err(_) => return Err(malformed()),
            }
        }
        self.put("host", names.join(&b","[..]));
        if ports.iter().any(|port| !port.is_empty()) {
            self.put("port", ports.join(",").into_bytes());
        }
        Ok(())
    }

    /// `name = value` or `name = 'va\'lue'`, with spaces between them.
    fn pairs(&mut self, text: &str) -> Result<(), Fault> {
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (name, behind) = rest.split_once('=').ok_or_else(malformed)?;
            let name = name.trim_end();
            if !is_name(name) {
                return Err(malformed());
            }
            let (value, behind) = value(behind.trim_start()).ok_or_else(malformed)?;
            self.put(name, value);
            rest = behind.trim_start();
        }
        Ok(())
    }
}

/// One value at the beginning of a text, and what follows it. None: its quote is not closed.
fn value(text: &str) -> Option<(Vec<u8>, &str)> {
    let quoted = text.strip_prefix('\'');
    let mut value = String::new();
    let body = quoted.unwrap_or(text);
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            '\'' if quoted.is_some() => return Some((value.into_bytes(), &body[at + 1..])),
            c if quoted.is_none() && c.is_whitespace() => {
                return Some((value.into_bytes(), &body[at..]));
            }
            c => value.push(c),
        }
    }
    quoted.is_none().then(|| (value.into_bytes(), ""))
}

/// Percent-decoded.
fn decoded(text: &str) -> Result<Vec<u8>, Fault> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let value = digit().zip(digit()).map(|(high, low)| high * 16 + low);
                match value.and_then(|value| u8::try_from(value).ok()) {
                    // The protocol's strings end with it.
                    Some(0) | None => return Err(malformed()),
                    Some(byte) => byte,
                }
            }
            byte => byte,
        });
    }
    Ok(decoded)
}

/// What can be told of it: no password has such a name by accident, but one with special characters might.
fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=40).contains(&name.len()) && name.bytes().all(legal)
}

fn malformed() -> Fault {
    Fault::new(ErrorKind::Config, FORM)
}

/// A parameter that cannot be used, by its name and never with its value.
pub(crate) fn unusable(name: &str, why: &str) -> Fault {
    Fault::new(
        ErrorKind::Config,
        format!("the URL's parameter {name} {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let read = Parameters::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
        let all = read.all.into_iter().filter(|(_, value)| !value.is_empty());
        all.map(|(name, value)| (name, String::from_utf8(value).unwrap()))
            .collect()
    }

    #[test]
    fn all_forms_of_an_address_are_read_as_libpq_reads_them() {
        for (text, expected) in [
            ("postgres://h", "host=h"),
            ("postgresql://h:1/d", "dbname=d host=h port=1"),
            ("postgres://u@h/", "host=h user=u"),
            ("postgres://u:p%40%2F@h", "host=h password=p@/ user=u"),
            ("postgres://u:p?x=1@h", "host=h password=p?x=1 user=u"),
            ("postgres://[::1]:5/d", "dbname=d host=::1 port=5"),
            ("postgres://a:1,b,c:3/d", "dbname=d host=a,b,c port=1,,3"),
            ("postgres://%2Fvar%2Frun/d", "dbname=d host=/var/run"),
            (
                "postgres:///d?host=/var/run&port=6",
                "dbname=d host=/var/run port=6",
            ),
            ("postgres://h?user=u&sslmode=&a=b=c", "a=b=c host=h user=u"),
            ("postgres://h/d?ssl=true", "dbname=d host=h sslmode=require"),
            ("postgres://h/d?dbname=e", "dbname=e host=h"),
            (
                "host=h user = 'u v' password=a\\'b",
                "host=h password=a'b user=u v",
            ),
            (" host = h  port='' dbname='d\\\\'", "dbname=d\\ host=h"),
        ] {
            let pairs = read(text)
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"));
            assert_eq!(pairs.collect::<Vec<_>>().join(" "), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_not_shown() {
        for text in [
            "hunter2",
            "redis://:hunter2@h",
            "postgres://u:hunter2@h:port/d",
            "postgres://u:a/hunter2@h/d",
            "postgres://u:5/x?y@h/d?hunter2",
            "postgres://u:5/x?hunter2=y@h/d",
            "postgres://h/d?hunter2",
            "postgres://h/%4",
            "postgres://h/%zz",
            "postgres://h/%00",
            "postgres://[::1/d",
            "postgres://[::1]x/d",
            "host=h password='hunter2",
            "host=h password=secret hunter2",
            "host=h password=not quoted hunter2=1",
        ] {
            let read = Parameters::parse(text).and_then(|mut read| {
                for name in ["host", "port", "dbname", "user", "password"] {
                    read.take_bytes(name);
                }
                read.finish(&[])
            });
            let fault = read.unwrap_err();
            assert_eq!(fault.kind(), ErrorKind::Config, "{text}");
            assert!(!fault.detail().contains("hunter2"), "{fault:?}");
        }
    }

    #[test]
    fn what_nobody_takes_is_named() {
        let mut read = Parameters::parse("postgres://h/d?sslmod=1").unwrap();
        assert_eq!(read.take("host").unwrap().as_deref(), Some("h"));
        assert_eq!(read.take("host").unwrap(), None);
        read.take("dbname").unwrap();
        let said = |unsupported| read.finish(unsupported).unwrap_err().detail().to_owned();
        assert_eq!(said(&[]), "the URL's parameter sslmod is not known");
        assert!(said(&["sslmod"]).contains("sslmod is not supported"));
    }
}
