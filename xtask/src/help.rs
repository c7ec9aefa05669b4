//! What the chores are.

use std::fmt;

pub(crate) const TEXT: &str = "\
cargo xtask CHORE

  test [-- ARGS]         Run all tests, doc tests included. Sees to a Redis first: installs
                         redis-server on Debian and Ubuntu where it may, says how where it may not.
                         ARGS go to cargo nextest (cargo test where that is not installed), in place
                         of the whole workspace: `test -- -p memolock-core expires`.
  ci [--skip-tests]      Everything that must hold: format, tidy, clippy, features one by one, tests,
                         documentation, dependencies. Does not stop at the first failure.
  tidy                   The rules of the house: file length, headings, unwraps, who may depend on
                         whom, the core's purity, scripts and their documentation.
  conformance            Run the conformance suite over every backend, and print one table: cases by
                         room and backend.
  image [--name NAME]    Make the Docker image of the container tests from this machine's redis-server,
                         for where no registry can be reached (default memolock-test-redis:local).
  help                   This.

Servers for tests come from MEMOLOCK_TEST_URL, Docker (MEMOLOCK_TEST_IMAGE), or redis-server or
valkey-server on the PATH; MEMOLOCK_TEST_PROVIDER=url|docker|local insists on one.
";

/// A chore was called in a way it does not know.
#[derive(Debug)]
pub(crate) struct Usage(String);

impl Usage {
    pub(crate) fn unknown(chore: &str, argument: &str) -> anyhow::Error {
        Self(format!("`{chore}` does not know `{argument}`")).into()
    }

    pub(crate) fn missing(chore: &str, what: &str) -> anyhow::Error {
        Self(format!("`{chore}` misses {what}")).into()
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
