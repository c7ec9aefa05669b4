//! How the program ends: every failure becomes one line and one exit code here, and nowhere else.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use memolock::Error;
use memolock::core::{BackendError, ErrorKind};

/// Something failed.
const FAILED: u8 = 1;
/// The command line cannot be used.
const USAGE: u8 = 2;
/// There is no value.
const NO_VALUE: u8 = 3;
/// The wait time-out passed.
const TIMED_OUT: u8 = 4;

/// How a command ended: with an exit code of its own choice, or with a failure.
pub(crate) type Outcome = Result<Code, Failure>;

/// An exit code without a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(u8);

impl Code {
    pub(crate) const FINE: Self = Self(0);
    pub(crate) const NO_VALUE: Self = Self(NO_VALUE);

    /// The code of a command that was run; beyond a byte nothing can be passed on.
    pub(crate) fn passed_on(code: i32) -> Self {
        Self(u8::try_from(code).unwrap_or(FAILED))
    }
}

/// A failure: an exit code, and what is wrong, in one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    code: u8,
    line: String,
}

impl Failure {
    pub(crate) fn failed(line: impl Display) -> Self {
        Self::new(FAILED, line)
    }

    pub(crate) fn usage(line: impl Display) -> Self {
        Self::new(USAGE, line)
    }

    /// A failure whose code the shell knows, such as 127 for a command that is not found.
    pub(crate) fn coded(code: u8, line: impl Display) -> Self {
        Self::new(code, line)
    }

    fn new(code: u8, line: impl Display) -> Self {
        Self {
            code,
            line: one_line(&line.to_string()),
        }
    }

    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        match error.kind() {
            ErrorKind::Config => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Backend(error) => error.into(),
            Error::Timeout { .. } => Self::new(TIMED_OUT, error),
            Error::Key(_) | Error::Config(_) => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

/// Says what is wrong, if anything is, and gives the process its exit code.
pub(crate) fn report(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(code) => code.0.into(),
        Err(failure) => {
            say(&failure.line);
            failure.code.into()
        }
    }
}

/// One line on stderr.
pub(crate) fn say(line: &str) {
    // Where stderr is closed nobody wants to know.
    let _ = writeln!(std::io::stderr(), "memolock: {line}");
}

/// One line, without control characters.
fn one_line(text: &str) -> String {
    text.trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use memolock::core::Operation;

    #[test]
    fn kinds_of_errors_have_their_codes() {
        let of = |kind| Failure::from(BackendError::new(kind, Operation::Connect, "")).code();
        assert_eq!(of(ErrorKind::Config), USAGE);
        assert_eq!(of(ErrorKind::Denied), FAILED);
        assert_eq!(of(ErrorKind::Timeout), FAILED);
        let config: Error = Error::Config("x".into());
        assert_eq!(Failure::from(config).code(), USAGE);
        let closed: Error = Error::Closed;
        assert_eq!(Failure::from(closed).code(), FAILED);
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(Failure::usage("a\n\u{1b}b\n").line(), "a  b");
    }

    #[test]
    fn codes_of_children_are_passed_on() {
        assert_eq!(Code::passed_on(7), Code(7));
        assert_eq!(Code::passed_on(-1), Code(FAILED));
    }
}
