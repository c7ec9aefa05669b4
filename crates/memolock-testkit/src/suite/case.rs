//! One case: a name, an async function, and the ways in which it can end.

use std::pin::Pin;

use memolock_core::BackendError;

use super::HarnessError;
use super::trial::Trial;

/// A named case of a room.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) room: &'static str,
    pub(crate) name: &'static str,
    pub(crate) run: for<'a> fn(&'a Trial) -> Running<'a>,
}

pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

pub(crate) type Verdict<T = ()> = Result<T, Stop>;

/// Why a case did not go on to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    Failed(String),
    Skipped(String),
}

/// Reasons are lines: longer ones hold somebody's data.
const MAX_REASON_CHARS: usize = 300;

impl Stop {
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        let why: String = why.into();
        let mut line: String = why.chars().take(MAX_REASON_CHARS).collect();
        if line.len() < why.len() {
            line.push('…');
        }
        Self::Failed(line.replace(['\n', '\r'], " "))
    }

    pub(crate) fn skipped(why: impl Into<String>) -> Self {
        Self::Skipped(why.into())
    }
}

impl From<BackendError> for Stop {
    fn from(error: BackendError) -> Self {
        Self::failed(format!("a call failed: {error}"))
    }
}

impl From<HarnessError> for Stop {
    fn from(error: HarnessError) -> Self {
        Self::failed(format!("the harness failed: {error}"))
    }
}

/// The table of a room's cases.
macro_rules! cases {
    ($room:literal: $($name:ident),* $(,)?) => {
        pub(super) const CASES: &[$crate::suite::case::Case] = &[$($crate::suite::case::Case {
            room: $room,
            name: stringify!($name),
            run: |trial| Box::pin($name(trial)),
        }),*];
    };
}

/// Fails the case with a message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::suite::case::Stop::failed(format!($($message)+)));
        }
    };
}

/// Fails the case unless what was found is what was expected.
macro_rules! equal {
    ($found:expr, $expected:expr, $($what:tt)+) => {{
        let (found, expected) = (&$found, &$expected);
        if found != expected {
            let what = format!($($what)+);
            return Err($crate::suite::case::Stop::failed(format!(
                "{what}: found {found:?}, expected {expected:?}"
            )));
        }
    }};
}

pub(crate) use {cases, ensure, equal};
