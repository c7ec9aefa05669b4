//! Other languages, where they are: `cargo xtask test` prepares them and says where by environment variables.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// A Python with `tests/polyglot/requirements.txt`: the value of `MEMOLOCK_TEST_PYTHON`, or `None` where it is not set.
#[must_use]
pub fn python() -> Option<PathBuf> {
    named("MEMOLOCK_TEST_PYTHON")
}

/// A language in which there is a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// With redis-py.
    Python,
    /// With redis.v5.
    Go,
}

impl Language {
    /// The peer's program, with pipes. `None` where the language is not there, which is said on standard error.
    ///
    /// # Panics
    /// If it is not there and `MEMOLOCK_TEST_LANGUAGES_REQUIRED` says that it must be.
    #[must_use]
    pub fn peer(self) -> Option<Command> {
        let program = match self {
            Self::Python => python(),
            Self::Go => named("MEMOLOCK_TEST_GO_PEER"),
        };
        let Some(program) = program else {
            let missing = format!("there is no {self} here: `cargo xtask test` sees to it");
            let required = named("MEMOLOCK_TEST_LANGUAGES_REQUIRED").is_some();
            assert!(!required, "{missing}");
            eprintln!("not run, since {missing}");
            return None;
        };
        let mut command = Command::new(program);
        if self == Self::Python {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("polyglot/python/peer.py");
            // No byte code beside the sources.
            command.arg("-B").arg(script);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        Some(command)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

fn named(variable: &str) -> Option<PathBuf> {
    let value = std::env::var_os(variable)?;
    (!value.is_empty()).then(|| value.into())
}
