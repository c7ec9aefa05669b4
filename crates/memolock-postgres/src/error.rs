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
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        detail = cause.to_string();
        source = cause.source();
    }
    let cause = std::error::Error::source(error);
    let kind = match cause.and_then(|cause| cause.downcast_ref::<std::io::Error>()) {
        Some(_) => ErrorKind::Unavailable,
        // Authentication that the client refuses, TLS, a message that cannot be read.
        None => ErrorKind::Protocol,
    };
    Fault::new(kind, detail)
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
