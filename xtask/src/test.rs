//! `cargo xtask test`: what the tests need, a Redis above all; then the tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::help::Usage;
use crate::languages::{self, Effort};
use crate::run::{cargo, program, run as run_command};
use crate::{machine, postgres};

/// One feature set for tests, clippy and documentation, so that dependencies are built once.
pub(crate) const WHOLE: [&str; 2] = ["--workspace", "--all-features"];

/// Where Debian's packages ask whether they may start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

pub(crate) fn run(args: &[String]) -> Result<()> {
    let filter: Vec<&str> = match args.split_first() {
        None => Vec::new(),
        Some((dashes, rest)) if dashes == "--" => rest.iter().map(String::as_str).collect(),
        Some((other, _)) => return Err(Usage::unknown("test", other)),
    };
    prepare()?;
    // A few tests are not worth packages of the system.
    let effort = match filter.is_empty() {
        true => Effort::Whole,
        false => Effort::Light,
    };
    let languages = languages::prepare(effort)?;
    postgres::prepare_if_possible(effort);
    let tests = |args: &[&str]| {
        let mut command = cargo(args);
        command.envs(languages.iter().cloned());
        command
    };
    let nextest = machine::cargo_has("nextest");
    match (nextest, filter.is_empty()) {
        (true, true) => {
            // First, so that the last lines are those of the larger run.
            run_command(tests(&["test", "--doc"]).args(WHOLE))?;
            run_command(tests(&["nextest", "run", "--no-fail-fast"]).args(WHOLE))
        }
        (true, false) => run_command(tests(&["nextest", "run", "--all-features"]).args(filter)),
        (false, true) => run_command(tests(&["test", "--no-fail-fast"]).args(WHOLE)),
        (false, false) => run_command(tests(&["test", "--all-features"]).args(filter)),
    }
}

/// Sees to it that the tests will find what they need.
pub(crate) fn prepare() -> Result<()> {
    server()
}

/// Sees to it that the test kit will find a server, and says which.
fn server() -> Result<()> {
    let named = std::env::var_os("MEMOLOCK_TEST_URL").is_some_and(|url| !url.is_empty());
    let (image, program) = (machine::docker_image(), machine::server());
    if named {
        eprintln!("tests find a server at MEMOLOCK_TEST_URL");
    }
    if let Some(image) = &image {
        eprintln!("tests find Docker with the image {image}");
    }
    if let Some(program) = &program {
        eprintln!("tests find {}", program.display());
    }
    match (image.is_some() || program.is_some(), named) {
        (true, _) => Ok(()),
        (false, true) => {
            eprintln!(
                "tests that stop and pause servers will fail: they want redis-server on the PATH"
            );
            Ok(())
        }
        (false, false) => install(),
    }
}

/// Installs redis-server where we may, and says how where we may not.
pub(crate) fn install() -> Result<()> {
    apt_install(&["redis-server"], "a Redis or Valkey")?;
    match machine::server() {
        Some(program) => {
            eprintln!("tests find {}", program.display());
            Ok(())
        }
        None => bail!("redis-server is installed and not on the PATH"),
    }
}

/// Installs Debian's `packages` where we may, for the sake of `what`, and says how where we may not.
pub(crate) fn apt_install(packages: &[&str], what: &str) -> Result<()> {
    let packages_named = packages.join(" ");
    let advice = format!(
        "the tests need {what}; run this and try again: sudo apt-get install -y {packages_named}"
    );
    if machine::find("apt-get").is_none() {
        bail!("the tests need {what}: install what Debian calls {packages_named}");
    }
    if !machine::is_root() {
        bail!(advice);
    }
    eprintln!("no {what} here: installing {packages_named}");
    let quiet = NoServices::new(Path::new(POLICY))?;
    let apt = |args: &[&str]| {
        let mut command = program("apt-get", args);
        // Some packages ask the run level instead of the policy.
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("RUNLEVEL", "1");
        run_command(&mut command)
    };
    // An index that is there already may do; a bare machine has none.
    let mut wanted = vec!["install", "-y", "-q", "--no-install-recommends"];
    wanted.extend(packages);
    if apt(&wanted).is_err() {
        apt(&["update", "-q"]).with_context(|| advice.clone())?;
        apt(&wanted).context(advice)?;
    }
    drop(quiet);
    Ok(())
}

/// While it lives, packages do not start their services: the tests start their own servers.
struct NoServices<'a>(Option<&'a Path>);

impl<'a> NoServices<'a> {
    fn new(policy: &'a Path) -> Result<Self> {
        if policy.exists() {
            // Whoever wrote it knows what may start here.
            return Ok(Self(None));
        }
        let cannot = || format!("cannot write {}", policy.display());
        // 101: the action is forbidden by policy.
        fs::write(policy, "#!/bin/sh\nexit 101\n").with_context(cannot)?;
        let ours = Self(Some(policy));
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755)).with_context(cannot)?;
        Ok(ours)
    }
}

impl Drop for NoServices<'_> {
    fn drop(&mut self) {
        if let Some(policy) = self.0
            && let Err(error) = fs::remove_file(policy)
        {
            eprintln!("cannot remove {}: {error}", policy.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_held_back_and_the_policy_leaves_no_trace() {
        let policy = std::env::temp_dir().join(format!("xtask-policy-{}", std::process::id()));
        let quiet = NoServices::new(&policy).unwrap();
        let mode = fs::metadata(&policy).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111);
        // A policy that stands already is not ours to remove.
        drop(NoServices::new(&policy).unwrap());
        assert!(policy.exists());
        drop(quiet);
        assert!(!policy.exists());
    }

    #[test]
    fn arguments_come_after_dashes() {
        let error = run(&["core".to_owned()]).unwrap_err();
        assert!(error.is::<Usage>(), "{error}");
    }
}
