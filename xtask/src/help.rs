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
  interop                Have every ordered pair of adapters meet in every scenario, on a spawned server
                         and, with Docker, on three releases; print the tables.
  faults [NAME...]       Kill, stop, pause, flush, fill, demote, depose, lock out and unplug servers, also those of
                         clusters and of Sentinel, under callers of every adapter; print what they saw. NAMEs
                         choose faults by parts of theirs.
  model [NAME...]        Go through every interleaving of small fleets over one key, with each fault at every
                         point; print states, steps and seconds. NAMEs choose scenarios by parts of theirs.
  fuzz [TARGET...]       Have libFuzzer (cargo-fuzz) look for inputs that break the targets of tests/fuzzing;
       [--seconds S]     60 s each if not said.
  shuttle [--schedules N]
                         Run flights and switchboards under random interleavings of threads; print how many.
  simulate [ARGS]        Simulate fleets of the real client over a store that fails, seed after seed, for
                         --seconds S (60) or --schedules N; `--seed N --trace` shows one again.
  mutants [NAME...]      Plant one fault at a time and see whether the simulation finds it, else the model;
                         print the table. NAMEs choose faults by parts of theirs.
  paths [--write]        Count instructions (valgrind) and allocations of each hot path, and hold them to
                         tests/paths/limits.txt; --write makes what was counted the limits.
  soak --minutes M [--seed N] [--processes P] [--callers N] [--json FILE]
                         Processes with random callers over a server with random faults, every few seconds one;
                         a checker that knows every value ever made; print what happened and what should not have.
  bench [--quick] [--only BUDGET] [--json FILE]
                         Measure every budget of speed and size (B1 to B8) against a server of its own, in 4 minutes
                         or less; print one table, and fail if one is missed. --quick, less than one minute: shows
                         that everything works. --only B2: that budget alone, may be repeated. --json writes the
                         table to FILE too.
  report [--quick]       Measure the budgets and what things cost as they grow; write docs/performance.md with its
                         curves and data, in about 5 minutes. --quick: a smoke run of less than one minute, to
                         target/quick-report.
  fanout [--quick] [--json FILE]
                         What the nodes of clusters of their own have to do with 1,000 completions, told the classic way
                         and sharded, and with 32 processes: messages, bytes, connections, commands, script time. Print
                         tables, in about a minute; docs/scaling.md quotes them. --quick: few of each.
  image [--name NAME]    Make the Docker images of the container tests: from this machine's redis-server
                         (memolock-test-redis:local; NAME for that one alone), and of Redis 7.0, Redis
                         8.0 and Valkey 8.1, official ones or of Debian's packages.
  languages              Prepare what the tests with peers in other languages need (Python from PyPI, Go from
                         Debian), as `test` does; fails if one is not there.
  postgres               Prepare what the tests of memolock-postgres need (Debian's postgresql and pgbouncer), as `test`
                         does; fails if it is not there.
  help                   This.

Servers for tests come from MEMOLOCK_TEST_URL, Docker (MEMOLOCK_TEST_IMAGE), or redis-server or
valkey-server on the PATH; MEMOLOCK_TEST_PROVIDER=url|docker|local insists on one. Peers in other
languages come from MEMOLOCK_TEST_PYTHON and MEMOLOCK_TEST_GO_PEER, which `test` sets if they are not;
MEMOLOCK_TEST_LANGUAGES_REQUIRED=1 makes their absence a failure, as MEMOLOCK_TEST_POSTGRES_REQUIRED=1
does for a PostgreSQL, which comes from MEMOLOCK_TEST_POSTGRES_URL, the PATH or Debian's package.
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
