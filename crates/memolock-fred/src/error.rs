//! fred's errors, as faults.

use fred::error::{Error, ErrorKind as Said};
use memolock_core::ErrorKind;
use memolock_core::redis::{Fault, tls::handshake_fault};

/// What went wrong, in the terms of every adapter.
///
/// fred has one type for what a server answered, for what the network did and for its own plumbing;
/// only the words tell them apart.
// By value, so that it goes in a `map_err`.
#[allow(clippy::needless_pass_by_value)]
pub(crate) fn fault(error: Error) -> Fault {
    let said = error.details();
    if matches!(error.kind(), Said::IO | Said::Tls)
        && let Some(fault) = handshake_fault(said)
    {
        return fault;
    }
    match error.kind() {
        Said::Timeout => Fault::new(ErrorKind::Timeout, ""),
        Said::IO => network(said),
        Said::Tls => Fault::new(ErrorKind::Unavailable, words(said)),
        Said::Protocol | Said::Parse => Fault::new(ErrorKind::Protocol, said),
        _ if is_answer(said) => Fault::answered(said),
        Said::Config | Said::Url => Fault::new(ErrorKind::Config, said),
        // A line without a code, as proxies send them.
        Said::Unknown | Said::InvalidArgument | Said::InvalidCommand if !is_plumbing(said) => {
            Fault::answered(said)
        }
        // Its plumbing: the task that owns the connection has ended, or has no connection.
        _ => Fault::lost(),
    }
}

/// Whether it is a server's error line: those begin with a code in capitals.
fn is_answer(said: &str) -> bool {
    let code = said.split(' ').next().unwrap_or_default();
    let capital = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    code.len() > 1 && code.bytes().all(capital)
}

/// Whether fred says so of itself: its task has ended, or has no connection. A server's line without a code comes as
/// the same kind of error.
fn is_plumbing(said: &str) -> bool {
    const WHOLE: [&str; 8] = [
        "Client is not initialized.",
        "Failed to send command to router.",
        "Failed to route command.",
        "Missing expected connection.",
        "Missing response.",
        "Too many failed write attempts.",
        "Max attempts exceeded",
        "Max redirections exceeded",
    ];
    // Of tokio's channels and tasks, which fred passes on.
    const PARTS: [&str; 4] = [
        "channel closed",
        "closed channel",
        "channel lagged",
        "Spawn Error",
    ];
    WHOLE.contains(&said) || PARTS.iter().any(|part| said.contains(part))
}

/// An error of the operating system, which fred keeps in its `Debug` form.
fn network(said: &str) -> Fault {
    let is = |kinds: &[&str]| kinds.iter().any(|kind| said.contains(kind));
    if is(&["TimedOut"]) {
        Fault::new(ErrorKind::Timeout, "")
    } else if is(&[
        "BrokenPipe",
        "ConnectionAborted",
        "ConnectionReset",
        "NotConnected",
        "UnexpectedEof",
        "onnection closed",
        "onnection Closed",
    ]) {
        // What the operating system says of a dropped connection depends on the moment.
        Fault::lost()
    } else {
        Fault::new(ErrorKind::Unavailable, words(said))
    }
}

/// The part that is for people: `Os { code: 111, …, message: "Connection refused" }`.
fn words(said: &str) -> &str {
    let quoted = said.rsplit('"').nth(1);
    quoted.filter(|words| !words.is_empty()).unwrap_or(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn of(kind: Said, said: &'static str) -> Fault {
        fault(Error::new(kind, said))
    }

    #[test]
    fn what_a_server_answered_is_understood_as_it_was_sent() {
        // With the kinds that fred gives them.
        for (kind, line) in [
            (
                Said::Unknown,
                "OOM command not allowed when used memory > 'maxmemory'.",
            ),
            (Said::Auth, "NOAUTH Authentication required."),
            (Said::Unknown, "NOPERM this user has no permissions"),
            (Said::InvalidArgument, "WRONGTYPE Operation against a key"),
            (Said::Cluster, "MOVED 3999 127.0.0.1:6381"),
            (
                Said::Unknown,
                "ERR unknown command 'HELLO', with args beginning with: '3'",
            ),
            (
                Said::Config,
                "ERR This instance has cluster support disabled",
            ),
            (Said::Unknown, "NEWCODE something new"),
            (Said::Unknown, "ERR"),
            (Said::Unknown, "ERR max requests limit exceeded"),
            (Said::Unknown, "upstream failure"),
            (Said::Unknown, "no upstream host"),
            (Said::InvalidArgument, "Invalid argument(s)"),
        ] {
            assert_eq!(of(kind, line), Fault::answered(line), "{line}");
        }
    }

    #[test]
    fn its_own_plumbing_is_a_lost_connection() {
        for (kind, said) in [
            (Said::Unknown, "Client is not initialized."),
            (Said::Unknown, "Failed to send command to router."),
            (Said::Unknown, "Failed to route command."),
            (Said::Unknown, "channel closed"),
            (Said::Canceled, "Canceled."),
            (Said::IO, "Connection closed."),
            (Said::IO, "Connection Closed"),
        ] {
            assert_eq!(of(kind, said), Fault::lost(), "{said}");
        }
    }

    #[test]
    fn failures_of_the_network_have_their_kinds() {
        let of = |error: io::Error| fault(Error::from(error));
        let late = of(io::ErrorKind::TimedOut.into());
        assert_eq!(late.kind(), ErrorKind::Timeout);
        for kind in [
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::UnexpectedEof,
        ] {
            assert_eq!(of(kind.into()), Fault::lost(), "{kind}");
        }
        let refused = of(io::Error::from_raw_os_error(111));
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        assert_eq!(refused.detail(), "Connection refused");
        let nobody = of(io::Error::other("failed to lookup address information"));
        assert_eq!(nobody.detail(), "failed to lookup address information");
        let bare = of(io::ErrorKind::HostUnreachable.into());
        assert_eq!(bare.kind(), ErrorKind::Unavailable);
        assert!(!bare.detail().is_empty());
    }
}
