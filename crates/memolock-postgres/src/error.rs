//! What a server's error means.

use memolock_core::ErrorKind;
use memolock_core::connection::Fault;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// A client error as a fault.
pub(crate) fn fault(error: &Error) -> Fault {
    if let Some(answer) = error.as_db_error() {
        let detail = match answer.hint() {
            // Says what to do, as for a full notification queue.
            Some(hint) => format!("{} ({hint})", answer.message()),
            None => answer.message().to_owned(),
        };
        return Fault::new(kind(answer.code()), detail);
    }
    if error.is_closed() {
        return Fault::lost();
    }
    // A server may say so only after the handshake.
    if let Some(handshake) = tls_failure(error) {
        return handshake;
    }
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        detail = cause.to_string();
        source = cause.source();
    }
    let cause = std::error::Error::source(error);
    if detail == "password missing" {
        let detail = "the server asks for a password, and the URL has none";
        return Fault::new(ErrorKind::Denied, detail);
    }
    let kind = match cause.and_then(|cause| cause.downcast_ref::<std::io::Error>()) {
        Some(_) => ErrorKind::Unavailable,
        // Authentication that the client refuses, TLS, a message that cannot be read.
        None => ErrorKind::Protocol,
    };
    Fault::new(kind, detail)
}

/// A failure of TLS beneath a failure of the connection.
fn tls_failure(error: &Error) -> Option<Fault> {
    let cause = std::error::Error::source(error)?.downcast_ref::<std::io::Error>()?;
    let inner = cause.get_ref()?;
    inner.is::<rustls::Error>().then(|| handshake(cause))
}

/// Why a server did not let us in, where that tells what to try next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `pg_hba.conf` has no line for such a connection, or one that rejects it. Nobody looked at a password.
    NoLine,
    /// Anything else about who we are.
    Identity,
    /// The server takes nobody now.
    Other,
}

/// What the server said to our greeting; `None` if it said nothing.
pub(crate) fn refusal(error: &Error) -> Option<Refusal> {
    let answer = error.as_db_error()?;
    let is_identity = answer.code().code().starts_with("28");
    Some(match answer.routine() {
        // Whatever language its messages are in.
        Some("ClientAuthentication") if is_identity => Refusal::NoLine,
        _ if is_identity => Refusal::Identity,
        _ => Refusal::Other,
    })
}

/// What a failed handshake means. What is wrong with the server's certificate is the server's to mend and
/// may pass; what is wrong with ours is not.
pub(crate) fn handshake(error: &std::io::Error) -> Fault {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    let (kind, detail) = match cause {
        Some(rustls::Error::InvalidCertificate(why)) => {
            (ErrorKind::Unavailable, certificate(why).to_owned())
        }
        Some(rustls::Error::AlertReceived(alert)) => alerted(*alert),
        _ if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            let detail = "the server ended the connection amid the TLS handshake";
            (ErrorKind::Unavailable, detail.to_owned())
        }
        _ => (ErrorKind::Unavailable, format!("TLS: {error}")),
    };
    Fault::new(kind, detail)
}

/// The server ended the handshake, and said why.
fn alerted(alert: rustls::AlertDescription) -> (ErrorKind, String) {
    use rustls::AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired => {
            let detail = "the server wants a client certificate: add sslcert=FILE and sslkey=FILE";
            (ErrorKind::Denied, detail.to_owned())
        }
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied
        | Alert::DecryptError => {
            let detail =
                format!("the server does not take our certificate in the TLS handshake: {alert:?}");
            (ErrorKind::Denied, detail)
        }
        _ => {
            let detail = format!("the server ended the TLS handshake: {alert:?}");
            (ErrorKind::Unavailable, detail)
        }
    }
}

/// What is wrong with a server's certificate.
fn certificate(why: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as Why;
    match why {
        Why::UnknownIssuer | Why::BadSignature => {
            "the server's certificate is not of an authority that sslrootcert names"
        }
        Why::NotValidForName | Why::NotValidForNameContext { .. } => {
            "the server's certificate is not for this host name, which sslmode=verify-full asks for"
        }
        Why::Expired | Why::ExpiredContext { .. } => "the server's certificate has expired",
        Why::NotValidYet | Why::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet"
        }
        Why::Revoked => "the server's certificate was revoked",
        _ => "the server's certificate cannot be used",
    }
}

/// The one list of states that are known. What is not in it is not known to be about this row or this statement, so it is
/// an outage: an internal error, a failing disk, what an extension or a proxy has made up.
fn kind(code: &SqlState) -> ErrorKind {
    match code.code() {
        // The bound of a statement has passed. It was rolled back.
        "57014" => ErrorKind::Timeout,
        // Shut down with the statement in flight.
        "57P01" | "57P02" | "57P05" => ErrorKind::Unavailable,
        // Starting, read-only, locked by somebody, a standby.
        "57P03" | "25006" | "55P03" | "40001" | "40P01" | "55006" => ErrorKind::Refused,
        // The table is gone. It is an outage until somebody makes it again.
        "42P01" | "42703" => ErrorKind::Refused,
        // Out of disk, of memory.
        "53100" | "53200" => ErrorKind::OutOfMemory,
        "42501" => ErrorKind::Denied,
        "3D000" | "42704" => ErrorKind::Config,
        code => match &code[..code.len().min(2)] {
            "08" => ErrorKind::Unavailable,
            "28" => ErrorKind::Denied,
            // Out of connections; the notification queue is full.
            "53" | "54" => ErrorKind::Refused,
            "0A" => ErrorKind::Unsupported,
            // About the statement or its row: cardinality, data, constraints, the transaction's state, a statement
            // that is not prepared, syntax, what a trigger of the table raises.
            "21" | "22" | "23" | "24" | "25" | "26" | "42" | "P0" => ErrorKind::Protocol,
            _ => ErrorKind::Unrecognized,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_of_a_server_has_its_kind() {
        use ErrorKind::{
            Config, Denied, OutOfMemory, Protocol, Refused, Timeout, Unavailable, Unrecognized,
        };
        for (state, expected) in [
            (SqlState::QUERY_CANCELED, Timeout),
            (SqlState::ADMIN_SHUTDOWN, Unavailable),
            (SqlState::CONNECTION_FAILURE, Unavailable),
            (SqlState::CANNOT_CONNECT_NOW, Refused),
            (SqlState::READ_ONLY_SQL_TRANSACTION, Refused),
            (SqlState::T_R_DEADLOCK_DETECTED, Refused),
            (SqlState::TOO_MANY_CONNECTIONS, Refused),
            (SqlState::DISK_FULL, OutOfMemory),
            (SqlState::OUT_OF_MEMORY, OutOfMemory),
            (SqlState::LOCK_NOT_AVAILABLE, Refused),
            (SqlState::PROGRAM_LIMIT_EXCEEDED, Refused),
            (SqlState::UNDEFINED_TABLE, Refused),
            (SqlState::INVALID_PASSWORD, Denied),
            (SqlState::INSUFFICIENT_PRIVILEGE, Denied),
            (SqlState::INVALID_CATALOG_NAME, Config),
            (SqlState::SYNTAX_ERROR, Protocol),
            (SqlState::UNIQUE_VIOLATION, Protocol),
            (SqlState::INVALID_SQL_STATEMENT_NAME, Protocol),
            (SqlState::INTERNAL_ERROR, Unrecognized),
            (SqlState::IO_ERROR, Unrecognized),
            (SqlState::from_code("ZZ001"), Unrecognized),
            (SqlState::from_code("9"), Unrecognized),
        ] {
            assert_eq!(kind(&state), expected, "{state:?}");
        }
    }
}
