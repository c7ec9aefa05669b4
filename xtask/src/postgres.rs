//! `cargo xtask postgres`: what the tests of the backend over PostgreSQL need.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::help::Usage;
use crate::languages::Effort;
use crate::{machine, test};

/// A server that the tests use instead of their own.
const URL: &str = "MEMOLOCK_TEST_POSTGRES_URL";
/// Where Debian puts each release, off the `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";
/// And pgbouncer, off the `PATH` of some users.
const DEBIANS_POOLER: &str = "/usr/sbin/pgbouncer";

/// Prepares it, and fails if it is not there.
pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(other) = args.first() {
        return Err(Usage::unknown("postgres", other));
    }
    prepare(Effort::Whole)
}

/// The same for a run of the tests: what is not there is no error, for the tests say that they did not run.
pub(crate) fn prepare_if_possible(effort: Effort) {
    if let Err(error) = prepare(effort) {
        eprintln!(
            "tests do not find all of PostgreSQL, and those that need it will not run: {error:#}"
        );
    }
}

fn prepare(effort: Effort) -> Result<()> {
    if std::env::var_os(URL).is_some_and(|url| !url.is_empty()) {
        eprintln!("tests find a PostgreSQL at {URL}");
        return Ok(());
    }
    for need in [POSTGRES, PGBOUNCER] {
        need.prepare(effort)?;
    }
    Ok(())
}

/// What is needed, and how Debian calls it.
struct Need {
    package: &'static str,
    what: &'static str,
    find: fn() -> Option<PathBuf>,
    place: &'static str,
}

const POSTGRES: Need = Need {
    package: "postgresql",
    what: "a PostgreSQL",
    find,
    place: DEBIAN,
};

/// For the tests of poolers.
const PGBOUNCER: Need = Need {
    package: "pgbouncer",
    what: "a pgbouncer",
    find: || {
        machine::find("pgbouncer")
            .or_else(|| Some(DEBIANS_POOLER.into()).filter(|p: &PathBuf| p.is_file()))
    },
    place: DEBIANS_POOLER,
};

impl Need {
    fn prepare(&self, effort: Effort) -> Result<()> {
        let (what, place) = (self.what, self.place);
        if (self.find)().is_none() {
            if effort == Effort::Light {
                bail!("{what} is neither on the PATH nor in {place}");
            }
            test::apt_install(&[self.package], what)?;
        }
        match (self.find)() {
            Some(program) => {
                eprintln!("tests find {}", program.display());
                Ok(())
            }
            None => bail!("{} is installed, and not in {place}", self.package),
        }
    }
}

fn find() -> Option<PathBuf> {
    machine::find("postgres").or_else(|| installed(Path::new(DEBIAN)))
}

/// Any release will do to say that there is one; the test kit takes the newest.
fn installed(releases: &Path) -> Option<PathBuf> {
    let releases = fs::read_dir(releases).ok()?.flatten();
    let mut programs = releases.map(|release| release.path().join("bin/postgres"));
    programs.find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_place_is_searched() {
        let dir = std::env::temp_dir().join(format!("xtask-postgres-{}", std::process::id()));
        assert_eq!(installed(&dir), None);
        let bin = dir.join("15/bin");
        fs::create_dir_all(&bin).unwrap();
        assert_eq!(installed(&dir), None);
        fs::write(bin.join("postgres"), "").unwrap();
        assert_eq!(installed(&dir), Some(bin.join("postgres")));
        fs::remove_dir_all(&dir).unwrap();
    }
}
