//! What goes wrong inside, and the one way outward.

use memolock_core::{BackendError, ErrorKind, Key, Operation};
use redis::RedisError;

/// The longest detail that an error carries, in bytes: servers echo what they were sent.
const MAX_DETAIL_BYTES: usize = 300;

const RESP3_NEEDED: &str =
    "the server does not speak RESP3: Redis 6.0 or later, or Valkey, is needed";

/// A failure that does not know yet which operation it spoilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    kind: ErrorKind,
    detail: String,
}

impl Fault {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        let mut detail: String = detail.into();
        // Old servers answer an unknown HELLO by echoing its arguments, the password among them.
        if let Some(echo) = detail.find("with args beginning") {
            detail.truncate(echo);
        }
        let mut end = detail.len().min(MAX_DETAIL_BYTES);
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        detail.truncate(end);
        let detail = detail.trim_end_matches([' ', ',']).to_owned();
        Self { kind, detail }
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "")
    }

    pub(crate) fn lost() -> Self {
        Self::new(ErrorKind::Unavailable, "the connection was lost")
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether asking again, perhaps over a new connection, can help.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Refused | ErrorKind::Protocol
        )
    }

    /// As it is told to those who find the link down: they sent nothing, so nothing timed out.
    pub(crate) fn while_down(&self) -> Self {
        let kind = match self.kind {
            ErrorKind::Timeout | ErrorKind::Protocol => ErrorKind::Unavailable,
            kind => kind,
        };
        Self::new(kind, self.detail.clone())
    }

    /// Says where it was, and takes the secret out of what a server may have echoed.
    pub(crate) fn at(self, address: &str, secret: Option<&str>) -> Self {
        let detail = match secret {
            Some(secret) if !secret.is_empty() => self.detail.replace(secret, "***"),
            _ => self.detail,
        };
        Self::new(self.kind, format!("{address}: {detail}"))
    }

    pub(crate) fn outward(self, operation: Operation) -> BackendError {
        BackendError::new(self.kind, operation, self.detail)
    }

    pub(crate) fn on(self, operation: Operation, key: &Key) -> BackendError {
        self.outward(operation).on(key)
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        use redis::ErrorKind as Said;
        if let Some(code) = error.code() {
            return answered(code, error.detail().unwrap_or_default());
        }
        let kind = match error.kind() {
            Said::Io if error.is_timeout() => {
                return Self::new(ErrorKind::Timeout, "");
            }
            Said::Io if error.is_connection_dropped() && !error.is_connection_refusal() => {
                // What the operating system says of a dropped connection depends on the moment.
                return Self::lost();
            }
            Said::Io => ErrorKind::Unavailable,
            // "No address found for host" comes as this kind too, but addresses come and go.
            Said::InvalidClientConfig if error.to_string().contains("address") => {
                ErrorKind::Unavailable
            }
            Said::InvalidClientConfig | Said::Client => ErrorKind::Config,
            Said::AuthenticationFailed => ErrorKind::Denied,
            Said::RESP3NotSupported => {
                return Self::new(ErrorKind::Unsupported, RESP3_NEEDED);
            }
            _ => ErrorKind::Protocol,
        };
        Self::new(kind, error.to_string())
    }
}

/// A server's error reply: its code and the rest of its line.
fn answered(code: &str, rest: &str) -> Fault {
    let kind = match code {
        "ERR" => return unnamed(rest),
        "NOPROTO" => return Fault::new(ErrorKind::Unsupported, RESP3_NEEDED),
        "MOVED" | "ASK" | "CROSSSLOT" => {
            let detail = "the server is a node of a cluster, which this URL does not say";
            return Fault::new(ErrorKind::Unsupported, detail);
        }
        code => named(code).unwrap_or(ErrorKind::Protocol),
    };
    Fault::new(kind, format!("{code} {rest}"))
}

fn named(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "OOM" | "READONLY" | "LOADING" | "MISCONF" | "BUSY" | "NOREPLICAS" | "CLUSTERDOWN"
        | "MASTERDOWN" | "TRYAGAIN" => ErrorKind::Refused,
        "NOAUTH" | "WRONGPASS" | "NOPERM" => ErrorKind::Denied,
        "WRONGTYPE" => ErrorKind::WrongType,
        _ => return None,
    })
}

/// An `ERR`: the kind is in the words.
fn unnamed(rest: &str) -> Fault {
    let says = |words: &str| rest.contains(words);
    let kind = if says("unknown command") && says("HELLO") {
        return Fault::new(ErrorKind::Unsupported, RESP3_NEEDED);
    } else if says("unknown command") {
        ErrorKind::Unsupported
    } else if says("max number of clients") {
        ErrorKind::Refused
    } else if says("invalid password")
        || says("invalid username-password")
        || says("no password is set")
        || says("The user executing the script")
    {
        ErrorKind::Denied
    } else if says("DB index") {
        ErrorKind::Config
    } else if says("running script") {
        // Before 7.0 a script's error wraps the code of the command that failed in it.
        let words = rest.split_whitespace();
        let mut codes = words.filter_map(|word| named(word.trim_start_matches('-')));
        codes.next().unwrap_or(ErrorKind::Protocol)
    } else {
        ErrorKind::Protocol
    };
    Fault::new(kind, format!("ERR {rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn of_line(line: &str) -> Fault {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        Fault::from(value.extract_error().unwrap_err())
    }

    #[test]
    fn each_error_line_of_a_server_has_its_kind() {
        use ErrorKind::{Config, Denied, Protocol, Refused, Unsupported, WrongType};
        for (line, kind) in [
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Refused,
            ),
            (
                "READONLY You can't write against a read only replica.",
                Refused,
            ),
            ("LOADING Redis is loading the dataset in memory", Refused),
            ("MISCONF Redis is configured to save RDB snapshots", Refused),
            ("BUSY Redis is busy running a script.", Refused),
            ("CLUSTERDOWN The cluster is down", Refused),
            ("MASTERDOWN Link with MASTER is down", Refused),
            (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                Refused,
            ),
            ("ERR max number of clients reached", Refused),
            ("NOAUTH Authentication required.", Denied),
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                Denied,
            ),
            ("ERR invalid password", Denied),
            ("NOPERM this user has no permissions", Denied),
            (
                "ERR The user executing the script can't run this command or subcommand",
                Denied,
            ),
            (
                "WRONGTYPE Operation against a key holding the wrong kind of value",
                WrongType,
            ),
            (
                "ERR Error running script (call to f_ab): @user_script:3: WRONGTYPE Operation against",
                WrongType,
            ),
            (
                "ERR Error running script (call to f_ab): @user_script:7: -OOM command not allowed",
                Refused,
            ),
            (
                "ERR Error running script (call to f_ab): @user_script:7: whatever",
                Protocol,
            ),
            ("NOPROTO unsupported protocol version", Unsupported),
            (
                "ERR unknown command 'HELLO', with args beginning with: '3'",
                Unsupported,
            ),
            ("ERR unknown command 'EVALSHA'", Unsupported),
            ("MOVED 3999 127.0.0.1:6381", Unsupported),
            ("ERR DB index is out of range", Config),
            ("ERR something new", Protocol),
            ("NEWCODE something new", Protocol),
            ("ERR", Protocol),
        ] {
            assert_eq!(of_line(line).kind(), kind, "{line}");
        }
    }

    #[test]
    fn failures_of_the_network_have_their_kinds() {
        let of = |kind: io::ErrorKind| Fault::from(RedisError::from(io::Error::from(kind))).kind();
        assert_eq!(of(io::ErrorKind::TimedOut), ErrorKind::Timeout);
        for kind in [
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::InvalidData,
        ] {
            assert_eq!(of(kind), ErrorKind::Unavailable, "{kind}");
        }
    }

    #[test]
    fn details_are_short_and_hold_no_password() {
        let echo = of_line("ERR unknown command `AUTH`, with args beginning with: `hunter2`, ");
        assert_eq!(echo.detail(), "ERR unknown command `AUTH`");
        let scrubbed = Fault::new(ErrorKind::Denied, "no hunter2").at("h:1", Some("hunter2"));
        assert_eq!(scrubbed.detail(), "h:1: no ***");
        assert!(
            Fault::new(ErrorKind::Protocol, "ü".repeat(999))
                .detail()
                .len()
                <= 300
        );
    }
}
