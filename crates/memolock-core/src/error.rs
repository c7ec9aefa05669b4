//! Errors of backends: what failed, on which key, whether trying again can help.

use std::fmt;

use crate::Key;

/// What a backend was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // They are the methods of `Backend`, by name.
pub enum Operation {
    Connect,
    Get,
    Acquire,
    Fulfil,
    Renew,
    Release,
    Put,
    Invalidate,
    Inspect,
    Subscribe,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Get => "get",
            Self::Acquire => "acquire",
            Self::Fulfil => "fulfil",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::Put => "put",
            Self::Invalidate => "invalidate",
            Self::Inspect => "inspect",
            Self::Subscribe => "subscribe",
        })
    }
}

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store cannot be reached, or the connection was lost with the command in flight.
    Unavailable,
    /// No answer came in time.
    Timeout,
    /// The store is there and refuses for now: busy, a read-only replica, still loading, a row that is locked.
    Refused,
    /// The store has no room for what it was asked to keep.
    OutOfMemory,
    /// The store, or a proxy before it, answered with an error that memolock does not know, and that is therefore
    /// not known to be about this key or this command: over a quota, no upstream. It is taken for an outage.
    Unrecognized,
    /// Credentials are missing, wrong, or not allowed to do this.
    Denied,
    /// The store holds something at this key that memolock did not put there, such as a list.
    WrongType,
    /// The store answered something that makes no sense.
    Protocol,
    /// The address or an option is not usable.
    Config,
    /// The store lacks a feature that this needs.
    Unsupported,
    /// The backend was closed.
    Closed,
    /// The tokio runtime that drives the backend's connections has shut down.
    NoRuntime,
}

impl ErrorKind {
    const fn says(self) -> &'static str {
        match self {
            Self::Unavailable => "the store cannot be reached",
            Self::Timeout => "no answer in time",
            Self::Refused => "the store refuses for now",
            Self::OutOfMemory => "the store is full, give it more memory or let it evict",
            Self::Unrecognized => {
                "the store or a proxy answered with an error that memolock does not know"
            }
            Self::Denied => "access denied, check user, password and ACL",
            Self::WrongType => {
                "the key holds another type of value, delete it or choose another tag"
            }
            Self::Protocol => "the store gave an answer that makes no sense",
            Self::Config => "the configuration is not usable",
            Self::Unsupported => "the store lacks what this needs",
            Self::Closed => "the backend is closed",
            Self::NoRuntime => {
                "the tokio runtime that drives its connections has shut down, connect on one that outlives it"
            }
        }
    }
}

/// Why an operation of a [`Backend`](crate::Backend) failed. One line, and never a password: authors
/// of backends strip credentials from `detail`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BackendError {
    kind: ErrorKind,
    operation: Operation,
    key: Option<Key>,
    detail: String,
    /// A node of a cluster said that another one is to be asked.
    redirected: bool,
    /// Nothing of the command was sent.
    unsent: bool,
}

impl BackendError {
    /// A failure of `operation`; `detail` is what the client library said (may be empty).
    #[must_use]
    pub fn new(kind: ErrorKind, operation: Operation, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        Self {
            kind,
            operation,
            key: None,
            // Some of it is what a server said, and goes in somebody's log.
            detail: detail.replace(char::is_control, " "),
            redirected: false,
            unsent: false,
        }
    }

    /// Says on which key it was.
    #[must_use]
    pub fn on(mut self, key: &Key) -> Self {
        self.key = Some(key.clone());
        self
    }

    /// Says whether a node of a cluster sent us elsewhere, or will not answer for now: for adapters.
    #[doc(hidden)]
    #[must_use]
    pub fn redirected(mut self, redirected: bool) -> Self {
        self.redirected = redirected;
        self
    }

    /// Whether a node of a cluster sent us elsewhere, or will not answer for now: for adapters.
    #[doc(hidden)]
    #[must_use]
    pub fn is_redirected(&self) -> bool {
        self.redirected
    }

    /// Says whether the command failed before any of it was sent: for adapters.
    #[doc(hidden)]
    #[must_use]
    pub fn unsent(mut self, unsent: bool) -> Self {
        self.unsent = unsent;
        self
    }

    /// Whether the command failed before any of it was sent, as far as the adapter knows.
    #[doc(hidden)]
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        self.unsent
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What was being done.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The key, where there was one.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// What the client library said; may be empty.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unavailable
                | ErrorKind::Timeout
                | ErrorKind::Refused
                | ErrorKind::OutOfMemory
                | ErrorKind::Unrecognized
        )
    }

    /// Whether the command may have taken effect although it failed: its reply was lost, or a proxy answered
    /// in place of the store.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unavailable
                | ErrorKind::Timeout
                | ErrorKind::Protocol
                | ErrorKind::Unrecognized
        )
    }

    /// Whether the reply was lost, so that asking again at once may tell what became of the command. An error that
    /// memolock does not know is ambiguous too, but it was answered, and would be answered again.
    #[must_use]
    pub fn is_reply_lost(&self) -> bool {
        self.is_ambiguous() && self.kind != ErrorKind::Unrecognized
    }

    /// Whether the store as a whole is failing, rather than this one key: reason to work without it.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unavailable
                | ErrorKind::Timeout
                | ErrorKind::Refused
                | ErrorKind::OutOfMemory
                | ErrorKind::Denied
                | ErrorKind::Unrecognized
        )
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.operation)?;
        if let Some(key) = &self.key {
            write!(f, " {key}")?;
        }
        write!(f, ": {}", self.kind.says())?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for BackendError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keyspace, Layout, Tag};

    #[test]
    fn one_line_says_what_failed_on_which_key_and_what_to_do() {
        let key = Keyspace::new(Tag::new("likes").unwrap(), Layout::Classic)
            .unwrap()
            .key("kristoff")
            .unwrap();
        let error =
            BackendError::new(ErrorKind::Denied, Operation::Acquire, "NOPERM\u{1b}x").on(&key);
        assert_eq!(
            error.to_string(),
            "cannot acquire likes:kristoff: access denied, check user, password and ACL (NOPERM x)"
        );
        let bare = BackendError::new(ErrorKind::Timeout, Operation::Connect, "");
        assert_eq!(bare.to_string(), "cannot connect: no answer in time");
    }

    #[test]
    fn only_lost_replies_are_ambiguous_and_bad_data_is_no_outage() {
        let of = |kind| BackendError::new(kind, Operation::Get, "");
        assert!(of(ErrorKind::Timeout).is_ambiguous() && of(ErrorKind::Unavailable).is_ambiguous());
        assert!(!of(ErrorKind::Refused).is_ambiguous() && of(ErrorKind::Refused).is_retryable());
        assert!(!of(ErrorKind::WrongType).is_outage() && !of(ErrorKind::WrongType).is_retryable());
        assert!(of(ErrorKind::Denied).is_outage() && !of(ErrorKind::Denied).is_retryable());
        // It never comes back, so to work without the store would hide it.
        assert!(!of(ErrorKind::NoRuntime).is_outage() && !of(ErrorKind::NoRuntime).is_retryable());
        let full = of(ErrorKind::OutOfMemory);
        assert!(full.is_outage() && full.is_retryable() && !full.is_ambiguous());
    }

    /// A proxy that says `upstream failure` may have sent the command on before.
    #[test]
    fn an_error_that_is_not_known_is_an_outage_and_its_effect_is_unknown() {
        let unknown = BackendError::new(ErrorKind::Unrecognized, Operation::Acquire, "");
        assert!(unknown.is_outage() && unknown.is_ambiguous() && unknown.is_retryable());
        assert!(!unknown.is_reply_lost(), "it was answered");
    }
}
