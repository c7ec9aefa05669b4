//! What can go wrong with a test server: one line each, with what to do about it.

use std::fmt;
use std::time::Duration;

/// Why a server could not be had, or did not do what it was asked.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// No provider has a server.
    #[error(
        "no Redis or Valkey for tests ({tried}): install one (apt-get install redis-server), or start \
         Docker and run `cargo xtask image`, or set MEMOLOCK_TEST_URL=redis://host:port"
    )]
    NoServer {
        /// Each way that was tried, and why it failed.
        tried: String,
    },
    /// There is no PostgreSQL.
    #[error(
        "no PostgreSQL for tests ({why}): install one (apt-get install postgresql), or set \
         MEMOLOCK_TEST_POSTGRES_URL=postgres://user@host:port/database"
    )]
    NoPostgres {
        /// What was tried, and why it failed.
        why: String,
    },
    /// An environment variable holds what cannot be used.
    #[error("{name} is not usable: {why}")]
    Setting {
        /// The variable.
        name: &'static str,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The server is shared, so it may not be stopped or paused.
    #[error(
        "a shared server cannot be {verb}: use TestServer::start_local, or unset MEMOLOCK_TEST_URL"
    )]
    Shared {
        /// What was asked for.
        verb: &'static str,
    },
    /// Stopping, pausing or going on failed, or getting before it.
    #[error("the test server could not be {verb}: {why}")]
    Control {
        /// What was asked for.
        verb: &'static str,
        /// What happened.
        why: String,
    },
    /// Several servers together have not become what they should be.
    #[error("the test {what} is not in order: {why}")]
    Unsettled {
        /// `cluster`, or `sentinel`.
        what: &'static str,
        /// What is amiss, and was all the time that it was waited for.
        why: String,
    },
    /// The connection failed.
    #[error("lost the test server at {address}: {why}")]
    Connection {
        /// Host and port.
        address: String,
        /// What happened.
        why: String,
    },
    /// The server did not answer in time.
    #[error("no answer from the test server at {address} within {waited:?}")]
    Timeout {
        /// Host and port.
        address: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The server answered with an error.
    #[error("the test server refuses {command}: {message}")]
    Refused {
        /// The command's name.
        command: String,
        /// The server's words.
        message: String,
    },
    /// The server's answer is not RESP2.
    #[error("the test server's answer makes no sense: {0}")]
    Malformed(String),
}

/// The sentence: it is what a test that returns the error shows, and `unwrap` too.
impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_test_shows_what_to_do() {
        let tried = "Docker: no daemon answers".into();
        let shown = format!("{:?}", ServerError::NoServer { tried });
        for hint in [
            "no daemon",
            "apt-get install redis-server",
            "cargo xtask image",
            "MEMOLOCK_TEST_URL=",
        ] {
            assert!(shown.contains(hint), "{shown}");
        }
    }
}
