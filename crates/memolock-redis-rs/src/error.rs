//! The client's errors, as faults.

use std::io;

use memolock_core::ErrorKind;
use memolock_core::redis::{Fault, tls::handshake_fault};
use redis::RedisError;

/// What went wrong, in the terms of every adapter.
// By value, so that it goes in a `map_err`.
#[allow(clippy::needless_pass_by_value)]
pub(crate) fn fault(error: RedisError) -> Fault {
    use redis::ErrorKind as Said;
    if let Some(code) = error.code() {
        return Fault::answered(&format!("{code} {}", error.detail().unwrap_or_default()));
    }
    // Before all else: over TLS 1.3 a server refuses us only after the handshake, amid our greeting.
    if error.kind() == Said::Io
        && let Some(fault) = handshake_fault(&error.to_string())
    {
        return fault;
    }
    let kind = match error.kind() {
        Said::Io if error.is_timeout() => {
            return Fault::new(ErrorKind::Timeout, "");
        }
        Said::Io if error.is_connection_dropped() && !error.is_connection_refusal() => {
            // What the operating system says of a dropped connection depends on the moment.
            return Fault::lost();
        }
        Said::Io => ErrorKind::Unavailable,
        // A reply that broke off: what makes no sense of it is the end of the connection. The client tells it
        // from garbage by these words alone.
        Said::Parse if error.to_string().contains("end of input") => return Fault::lost(),
        // "No address found for host" comes as this kind too, but addresses come and go.
        Said::InvalidClientConfig if error.to_string().contains("address") => {
            ErrorKind::Unavailable
        }
        Said::InvalidClientConfig | Said::Client => ErrorKind::Config,
        Said::AuthenticationFailed => ErrorKind::Denied,
        // The client says so instead of this line.
        Said::RESP3NotSupported => return Fault::no_resp3("ERR unknown command `HELLO`"),
        _ => ErrorKind::Protocol,
    };
    Fault::new(kind, error.to_string())
}

/// The same of a failure of the operating system, or of TLS.
pub(crate) fn of_io(error: io::Error) -> Fault {
    fault(RedisError::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_line(line: &str) -> Fault {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        fault(value.extract_error().unwrap_err())
    }

    #[test]
    fn what_a_server_answered_is_understood_as_it_was_sent() {
        for line in [
            "OOM command not allowed when used memory > 'maxmemory'.",
            "NOAUTH Authentication required.",
            "NOPERM this user has no permissions",
            "NOSCRIPT No matching script.",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "MOVED 3999 127.0.0.1:6381",
            "ERR unknown command 'HELLO', with args beginning with: '3'",
            "ERR DB index is out of range",
            "NEWCODE something new",
            "ERR",
            "ERR max requests limit exceeded",
            "upstream failure",
            "no upstream host",
            "Invalid argument(s)",
        ] {
            assert_eq!(of_line(line), Fault::answered(line), "{line}");
        }
    }

    /// A caller could not try again, and would not compute locally, over an answer that makes no sense.
    #[test]
    fn a_reply_that_broke_off_is_a_lost_connection() {
        use redis::parse_redis_value as parse;
        for torn in [&b"$5\r\nab"[..], b"$", b"*2\r\n:1\r\n", b"+O"] {
            assert_eq!(fault(parse(torn).unwrap_err()), Fault::lost(), "{torn:?}");
        }
        let garbage = fault(parse(b"HTTP/1.1 400\r\n").unwrap_err());
        assert_eq!(garbage.kind(), ErrorKind::Protocol, "{garbage:?}");
    }

    #[test]
    fn failures_of_the_network_have_their_kinds() {
        let of = |kind: io::ErrorKind| fault(RedisError::from(io::Error::from(kind))).kind();
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
}
