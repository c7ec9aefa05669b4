//! What goes wrong inside a backend, and the one way outward.

use std::time::Duration;

use crate::redis::cluster::Redirect;
use crate::{BackendError, ErrorKind, Key, Operation};

/// The longest detail that an error carries, in bytes: servers echo what they were sent.
const MAX_DETAIL_BYTES: usize = 300;

/// How long a backend waits at least before it asks again by itself after an error that is not known
/// ([`ErrorKind::Unrecognized`]): as long as the circuit breaker does by default. Connecting costs commands too.
pub const UNRECOGNIZED_PAUSE: Duration = Duration::from_millis(500);

/// A failure that does not know yet which operation it spoilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    kind: ErrorKind,
    detail: String,
    /// Boxed: few faults have one.
    redirect: Option<Box<Redirect>>,
    unsent: bool,
}

impl Fault {
    /// A failure; the detail is cut if it is long.
    #[must_use]
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        let mut detail: String = detail.into();
        // Old Redis servers answer an unknown HELLO by echoing its arguments, the password among them.
        if let Some(echo) = detail.find("with args beginning") {
            detail.truncate(echo);
        }
        let mut end = detail.len().min(MAX_DETAIL_BYTES);
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        detail.truncate(end);
        let detail = detail.trim_end_matches([' ', ',']).to_owned();
        Self {
            kind,
            detail,
            redirect: None,
            unsent: false,
        }
    }

    /// The backend was closed.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(ErrorKind::Closed, "")
    }

    /// The runtime that drove the connections has shut down.
    #[must_use]
    pub fn no_runtime() -> Self {
        Self::new(ErrorKind::NoRuntime, "")
    }

    /// The connection is gone, and with it the answer.
    #[must_use]
    pub fn lost() -> Self {
        Self::new(ErrorKind::Unavailable, "the connection was lost")
    }

    /// Waited for a first attempt to connect until the bound, and it has not ended.
    #[must_use]
    pub fn still_connecting() -> Self {
        Self::new(ErrorKind::Unavailable, "still connecting")
    }

    /// No answer within the bound of a command.
    #[must_use]
    pub fn late(bound: Duration) -> Self {
        Self::new(ErrorKind::Timeout, format!("after {bound:?}"))
    }

    /// The same of a node that says where to turn instead.
    #[must_use]
    pub fn redirecting(mut self, redirect: Redirect) -> Self {
        self.redirect = Some(Box::new(redirect));
        self
    }

    /// The same of a command of which nothing was sent.
    #[must_use]
    pub fn before_sending(mut self) -> Self {
        self.unsent = true;
        self
    }

    /// Where to turn instead, if a node of a cluster said so.
    #[must_use]
    pub fn redirect(&self) -> Option<&Redirect> {
        self.redirect.as_deref()
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What was said of it; may be empty.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether asking again, perhaps over a new connection, can help. Not of an error that is not known: a new
    /// connection costs more commands, and may be told the same.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unavailable
                | ErrorKind::Timeout
                | ErrorKind::Refused
                | ErrorKind::OutOfMemory
                | ErrorKind::Protocol
        )
    }

    /// Whether the connection failed, and not what was asked over it.
    #[must_use]
    pub fn is_connection(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Timeout)
    }

    /// As it is told to those who find the link down: they sent nothing, so nothing timed out.
    #[must_use]
    pub fn while_down(&self) -> Self {
        let kind = match self.kind {
            ErrorKind::Timeout | ErrorKind::Protocol | ErrorKind::Unrecognized => {
                ErrorKind::Unavailable
            }
            kind => kind,
        };
        Self::new(kind, self.detail.clone())
    }

    fn with_detail(self, detail: impl Into<String>) -> Self {
        Self {
            redirect: self.redirect,
            unsent: self.unsent,
            ..Self::new(self.kind, detail)
        }
    }

    /// Says where it was, and takes the secret out of what a server may have echoed.
    #[must_use]
    pub fn at_place(mut self, place: &str, secret: Option<&str>) -> Self {
        let detail = std::mem::take(&mut self.detail);
        let detail = match secret {
            Some(secret) if !secret.is_empty() => {
                let mut detail = detail.replace(secret, "***");
                // What was cut for its length may end amid the secret.
                let ends = secret.char_indices().map(|(end, _)| &secret[..end]);
                if let Some(part) = ends.rev().find(|part| detail.ends_with(part)) {
                    detail.truncate(detail.len() - part.len());
                }
                detail
            }
            _ => detail,
        };
        let said = match detail.is_empty() {
            true => place.to_owned(),
            false => format!("{place}: {detail}"),
        };
        self.with_detail(said)
    }

    /// As callers see it.
    #[must_use]
    pub fn outward(self, operation: Operation) -> BackendError {
        let redirected = self.redirect.is_some();
        BackendError::new(self.kind, operation, self.detail)
            .redirected(redirected)
            .unsent(self.unsent)
    }

    /// As callers see it, with the key.
    #[must_use]
    pub fn on(self, operation: Operation, key: &Key) -> BackendError {
        self.outward(operation).on(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_short() {
        let fault = Fault::new(ErrorKind::Protocol, "ü".repeat(999));
        assert!(fault.detail().len() <= MAX_DETAIL_BYTES);
    }

    #[test]
    fn a_place_is_told_and_a_secret_is_not() {
        let fault = Fault::new(ErrorKind::Denied, "no hunter2").at_place("h:1", Some("hunter2"));
        assert_eq!(fault.detail(), "h:1: no ***");
        let bare = Fault::new(ErrorKind::Denied, "").at_place("h:1", Some(""));
        assert_eq!(bare.detail(), "h:1");
    }

    #[test]
    fn a_redirection_stays_whatever_is_said_of_the_place() {
        let fault = Fault::new(ErrorKind::Refused, "").redirecting(Redirect::Down);
        let fault = fault.at_place("h:1", None);
        assert_eq!(fault.redirect(), Some(&Redirect::Down));
        assert!(fault.outward(Operation::Get).is_redirected());
        assert!(!Fault::lost().outward(Operation::Get).is_redirected());
    }

    #[test]
    fn what_was_not_sent_is_told_whatever_is_said_of_the_place() {
        let fault = Fault::lost().before_sending().at_place("h:1", None);
        assert!(fault.outward(Operation::Fulfil).is_unsent());
        assert!(!Fault::lost().outward(Operation::Fulfil).is_unsent());
    }

    #[test]
    fn who_finds_a_link_down_sent_nothing() {
        let told = |kind| Fault::new(kind, "").while_down().kind();
        assert_eq!(told(ErrorKind::Timeout), ErrorKind::Unavailable);
        assert_eq!(told(ErrorKind::Protocol), ErrorKind::Unavailable);
        assert_eq!(told(ErrorKind::Unrecognized), ErrorKind::Unavailable);
        assert_eq!(told(ErrorKind::Denied), ErrorKind::Denied);
    }

    /// The cut comes before the secret is known, and may go through it.
    #[test]
    fn a_secret_that_was_cut_short_is_taken_out_too() {
        let secret = "0123456789".repeat(6);
        for before in 0..=MAX_DETAIL_BYTES {
            let echoed = format!("{}{secret}", "x".repeat(before));
            let fault = Fault::new(ErrorKind::Denied, echoed).at_place("h:1", Some(&secret));
            assert!(!fault.detail().contains("0123"), "{}", fault.detail());
        }
    }
}
